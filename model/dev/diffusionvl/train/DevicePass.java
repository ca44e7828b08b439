// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Segments;
import java.util.Arrays;

/** A {@link PassRows} on the device: what the kernels of a training pass look up. */
final class DevicePass implements AutoCloseable {
  private final DeviceScope scope;
  private final int rows;
  private final int firstLearning;
  private final int targets;
  private final DeviceBuffer tokens;
  private final DeviceBuffer features;
  private final DeviceBuffer targetRows;
  private final DeviceBuffer targetOfRow;
  private final DeviceBuffer labels;
  private final DeviceBuffer weights;
  private final ScatterList tokenRows;
  private final ScatterList featureRows;
  private final Segments segments;
  private final Segments learningSegments;

  DevicePass(Device device, Stream stream, PassRows pass) {
    rows = pass.rows();
    firstLearning = pass.firstLearning();
    targets = pass.targets().size();
    int[] of = new int[rows];
    Arrays.fill(of, -1);
    int[] at = new int[targets];
    int[] label = new int[targets];
    float[] weight = new float[targets];
    for (int i = 0; i < targets; i++) {
      PassRows.Target target = pass.targets().get(i);
      of[target.row()] = i;
      at[i] = target.row();
      label[i] = target.label();
      weight[i] = target.weight();
    }
    try (DeviceScope own = new DeviceScope(device)) {
      tokens = ints(own, stream, "tokens", pass.tokens());
      features = ints(own, stream, "feature rows", pass.features());
      targetRows = ints(own, stream, "target rows", at);
      targetOfRow = ints(own, stream, "targets by row", of);
      labels = ints(own, stream, "labels", label);
      weights = own.allocate("target weights", DType.F32, targets);
      weights.set(stream, weight);
      tokenRows = own.own(new ScatterList(device, stream, pass.tokens()));
      featureRows = own.own(new ScatterList(device, stream, pass.features()));
      segments = own.own(new Segments(device, pass.spans().size()));
      for (PassRows.Span span : pass.spans()) {
        segments.add(span.row(), span.rows(), span.position(), span.row(), span.contextBegin(), span.contextEnd(),
            span.causal() ? Segments.Own.CAUSAL : Segments.Own.SELF);
      }
      segments.upload(stream);
      learningSegments = segments.view(pass.contextSpans(), pass.spans().size() - pass.contextSpans());
      scope = own.keep();
    }
  }

  private static DeviceBuffer ints(DeviceScope own, Stream stream, String what, int[] values) {
    DeviceBuffer buffer = own.allocate(what, DType.I32, values.length);
    buffer.set(stream, values);
    return buffer;
  }

  int rows() {
    return rows;
  }

  /** The first row that something may be learnt at; the rows before it only serve as context. */
  int firstLearning() {
    return firstLearning;
  }

  int targets() {
    return targets;
  }

  /** I32 [rows]: token ids, negative for image rows. */
  DeviceBuffer tokens() {
    return tokens;
  }

  /** I32 [rows]: rows of the image features, negative for tokens. */
  DeviceBuffer features() {
    return features;
  }

  /** I32 [targets]: rows of the pass. */
  DeviceBuffer targetRows() {
    return targetRows;
  }

  /** I32 [rows]: the target at a row, negative where there is none. */
  DeviceBuffer targetOfRow() {
    return targetOfRow;
  }

  /** I32 [targets]. */
  DeviceBuffer labels() {
    return labels;
  }

  /** F32 [targets]. */
  DeviceBuffer weights() {
    return weights;
  }

  ScatterList tokenRows() {
    return tokenRows;
  }

  ScatterList featureRows() {
    return featureRows;
  }

  /** All rows. */
  Segments segments() {
    return segments;
  }

  /** The rows from {@link #firstLearning} on. */
  Segments learningSegments() {
    return learningSegments;
  }

  @Override
  public void close() {
    scope.close();
  }
}
