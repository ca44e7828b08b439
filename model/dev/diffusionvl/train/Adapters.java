// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.Linear;
import dev.diffusionvl.model.Parameter;
import dev.diffusionvl.model.Parameters;
import dev.diffusionvl.model.TextWeights;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Gemm.Form;
import dev.diffusionvl.runtime.Gemm.Matrix;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.BiasActivation;
import dev.diffusionvl.runtime.op.Kernels;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** Low-rank adapters of the seven projections of each layer of the language model ({@link Lora}). */
final class Adapters implements AutoCloseable {
  /**
   * The adapter of one projection.
   *
   * @param name of the projection's weight
   * @param weight the projection's own [out, in], which may be rows of a stacked one
   * @param first of its rows there
   * @param a [rank, in]
   * @param b [out, rank]
   */
  record Adapter(String name, DeviceBuffer weight, int first, DeviceBuffer a, DeviceBuffer b) {
    int out() {
      return (int) b.shape()[0];
    }

    int in() {
      return (int) a.shape()[1];
    }

    int rank() {
      return (int) a.shape()[0];
    }
  }

  private static final int MERGED_ELEMENTS = 4 << 20;

  private final Map<DeviceBuffer, List<Adapter>> of = new IdentityHashMap<>();
  private final List<Adapter> all = new ArrayList<>();
  private final DeviceScope scope;
  private final int rank;
  private final float scale;
  private DeviceBuffer low;
  private DeviceBuffer dLow;

  /** @param memory that becomes this object's; the content is undefined */
  Adapters(TrainingMemory memory, Parameters parameters, TextWeights text, Lora lora) {
    rank = lora.rank();
    scale = lora.scale();
    try (memory) {
      for (TextWeights.Layer layer : text.layers()) {
        for (Linear projections : List.of(layer.qkv(), layer.output(), layer.gateUp(), layer.down())) {
          DeviceBuffer weight = ((Linear.Dense) projections).weight();
          List<Adapter> adapters = parameters.entries().stream().filter(entry -> parameters.buffers().get(entry.buffer()) == weight)
              .map(entry -> adapter(memory, entry, parameters.data(entry))).toList();
          all.addAll(adapters);
          of.put(weight, adapters);
        }
      }
      scope = memory.keep();
    }
  }

  private Adapter adapter(TrainingMemory memory, Parameter entry, DeviceBuffer weight) {
    long out = weight.shape()[0];
    long in = weight.shape()[1];
    return new Adapter(entry.name(), weight, Math.toIntExact(entry.offset() / in), memory.own("adapter A", weight.dtype(), rank, in),
        memory.own("adapter B", weight.dtype(), out, rank));
  }

  /** Puts the adapters where training starts: A is drawn, B is zero, so that the model is still what it was. */
  void initialise(Kernels kernels, Stream stream, long seed) {
    for (Adapter adapter : all) {
      float deviation = (float) (1 / Math.sqrt(adapter.in()));
      kernels.fillNormal.launch(stream, adapter.a(), 0, deviation, seed ^ (long) adapter.name().hashCode() << 32);
      stream.fill(adapter.b(), 0);
    }
  }

  /** Passes work on this memory from now on: [rows, rank] each. */
  void workOn(DeviceBuffer products, DeviceBuffer theirGradient) {
    low = products;
    dLow = theirGradient;
  }

  /** Those of a layer's parts, none if it has none. */
  List<Adapter> of(Linear linear) {
    return linear instanceof Linear.Dense dense ? of.getOrDefault(dense.weight(), List.of()) : List.of();
  }

  /** What the product of A and B counts. */
  float scale() {
    return scale;
  }

  /** [rows, rank]. */
  DeviceBuffer low() {
    return low;
  }

  /** [rows, rank]: its gradient. */
  DeviceBuffer dLow() {
    return dLow;
  }

  /** All matrices that are trained, in a fixed order. */
  List<DeviceBuffer> weights() {
    return all.stream().flatMap(adapter -> List.of(adapter.a(), adapter.b()).stream()).toList();
  }

  int rank() {
    return rank;
  }

  /** W = W + scale · B A for every projection, rounded once. */
  void merge(Kernels kernels, Stream stream, Gemm gemm) {
    for (Adapter adapter : all) {
      int in = adapter.in();
      int each = Math.clamp(MERGED_ELEMENTS / in, 1, adapter.out()); // rows at a time
      try (DeviceBuffer sum = stream.device().allocate("merged weight", DType.F32, each, in)) {
        for (int row = 0; row < adapter.out(); row += each) {
          int rows = Math.min(each, adapter.out() - row);
          DeviceBuffer weight = adapter.weight().slice((long) row * in, rows, in);
          stream.fill(sum, 0);
          kernels.columnSum.launch(stream, weight, sum, 1, rows * in); // of one row: the weights as F32
          gemm.product(Form.INPUT_GRADIENT, new Matrix(adapter.b().slice((long) row * rank, rows, rank), rank),
              new Matrix(adapter.a(), in), new Matrix(sum, in), rows, rank, in, scale, true);
          kernels.biasActivation.launch(stream, sum, null, weight, rows, in, BiasActivation.NONE); // rounds
        }
        stream.synchronize();
      }
    }
  }

  /** What {@code use} gives while the adapters are merged; then the weights are what they were, bit for bit. They wait on the host. */
  <T> T merged(Kernels kernels, Stream stream, Gemm gemm, Supplier<T> use) {
    try (Arena arena = Arena.ofConfined()) {
      Map<DeviceBuffer, MemorySegment> kept = new IdentityHashMap<>();
      for (DeviceBuffer weight : of.keySet()) {
        MemorySegment host = arena.allocate(weight.bytes(), 16);
        stream.download(weight, host);
        kept.put(weight, host);
      }
      try {
        merge(kernels, stream, gemm);
        return use.get();
      } finally {
        kept.forEach((weight, host) -> stream.upload(host, weight));
        stream.synchronize();
      }
    }
  }

  @Override
  public void close() {
    scope.close();
  }
}
