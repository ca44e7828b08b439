// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Parameter;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.TreeMap;

/** Gradients as a checkpoint would have them: by canonical name, in the order of elements that files have. */
final class FileGradients {
  private FileGradients() {}

  /** Of all tensors that have a place among the gradients. */
  static Map<String, float[]> read(DiffusionVl model, Twin gradients, Stream stream) {
    Map<String, float[]> tensors = new TreeMap<>();
    for (Parameter entry : model.parameters().entries()) {
      DeviceBuffer place = gradients.of(model.parameters().buffers().get(entry.buffer()));
      if (place != null) {
        float[] stored = place.slice(entry.offset(), entry.storedElements()).getFloats(stream);
        float[] file = new float[Math.toIntExact(entry.elements())];
        entry.layout().toFile(MemorySegment.ofArray(stored), MemorySegment.ofArray(file), entry.rows(), Float.BYTES);
        tensors.put(entry.name(), file);
      }
    }
    return tensors;
  }

  /** [L2 norm, sum, sum of v[i] cos(i)]. */
  static double[] probe(float[] values) {
    double squares = 0;
    double sum = 0;
    double waves = 0;
    for (int i = 0; i < values.length; i++) {
      squares += (double) values[i] * values[i];
      sum += values[i];
      waves += values[i] * Math.cos(i);
    }
    return new double[] {Math.sqrt(squares), sum, waves};
  }

  /** The norm within 1e-4; the sums, in which errors of a tensor's many elements add up, within 5e-4 of the norm. */
  static void assertProbe(String name, JsonNode expected, float[] actual) {
    assertTrue(expected != null && expected.size() == 3, name + " has a golden probe");
    double[] probe = probe(actual);
    double norm = expected.get(0).asDouble();
    for (int i = 0; i < probe.length; i++) {
      assertEquals(expected.get(i).asDouble(), probe[i], (i == 0 ? 1e-4 : 5e-4) * norm, name + ", number " + i + " of the probe");
    }
  }
}
