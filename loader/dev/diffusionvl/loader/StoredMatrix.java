// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;

/**
 * The tensors that a quantised layer's matrix is stored in, found and checked against its format.
 *
 * @param file named in errors
 * @param layer name of the layer in the file
 * @param tensors by their suffixes
 */
record StoredMatrix(Path file, String layer, Map<String, TensorView> tensors, int[] size) {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int MAX_FEATURES = 1 << 24;

  /**
   * @param find the tensor of a suffix, or null
   * @throws BadInputException naming the tensor that is missing, of another shape or type
   */
  static StoredMatrix of(Path file, String layer, WeightFormat format, Function<String, TensorView> find) {
    Map<String, TensorView> found = new LinkedHashMap<>();
    for (WeightFormat.Part part : format.parts()) {
      TensorView tensor = find.apply(part.suffix());
      if (tensor != null) {
        found.put(part.suffix(), tensor);
      } else if (part.required()) {
        throw BadInputException.of(file, layer + "." + part.suffix(), "missing; its weights are stored as " + format.describe());
      }
    }
    StoredMatrix unchecked = new StoredMatrix(file, layer, found, null);
    long[] shape = format.shape(unchecked);
    if (shape[0] < 1 || shape[1] < 1 || shape[0] > MAX_FEATURES || shape[1] > MAX_FEATURES) {
      throw BadInputException.of(file, layer, "a matrix of " + Arrays.toString(shape) + ", possible are 1 to " + MAX_FEATURES);
    }
    for (WeightFormat.Part part : format.parts(shape[0], shape[1])) {
      TensorView tensor = found.get(part.suffix());
      String problem = tensor == null ? null : part.problem(tensor);
      if (problem != null) {
        throw unchecked.error(part.suffix(), problem);
      }
    }
    return new StoredMatrix(file, layer, found, new int[] {(int) shape[0], (int) shape[1]});
  }

  int out() {
    return size[0];
  }

  int in() {
    return size[1];
  }

  TensorView tensor(String suffix) {
    return tensors.get(suffix);
  }

  private BadInputException error(String suffix, String problem) {
    return BadInputException.of(file, layer + "." + suffix, problem);
  }

  /** The shape of a tensor that must have two dimensions. */
  long[] matrixShape(String suffix) {
    long[] shape = tensor(suffix).shape();
    if (shape.length != 2) {
      throw error(suffix, "shape " + Arrays.toString(shape) + ", two dimensions are needed");
    }
    return shape;
  }

  /** The values of an I64 [2]. */
  long[] pair(String suffix) {
    TensorView tensor = tensor(suffix);
    if (tensor.type() != TensorType.I64 || tensor.elements() != 2) {
      throw error(suffix, tensor.type() + Arrays.toString(tensor.shape()) + ", I64[2] is needed");
    }
    return new long[] {tensor.data().get(LONG, 0), tensor.data().get(LONG, 8)};
  }

  NibbleMatrix nibbles(String suffix) {
    return new NibbleMatrix(tensor(suffix).data(), tensor(suffix).shape()[1]);
  }

  /** All scales, in the order of the file. @throws BadInputException if one is zero or no finite number: nothing writes such a scale */
  float[] scales(String suffix) {
    TensorView tensor = tensor(suffix);
    float[] scales = new float[Math.toIntExact(tensor.elements())];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = tensor.floatAt(i);
      if (!Float.isFinite(scales[i]) || scales[i] == 0) {
        throw error(suffix, "element " + i + " is " + scales[i]);
      }
    }
    return scales;
  }

  /**
   * Which group each input belongs to: as a tensor says, else in order.
   *
   * @param groupSize inputs of a group; 0: all
   */
  int[] groups(String suffix, int groups, int groupSize) {
    TensorView index = tensor(suffix);
    int[] group = new int[in()];
    for (int i = 0; i < group.length; i++) {
      group[i] = index != null ? index.data().get(INT, 4L * i) : groupSize == 0 ? 0 : i / groupSize;
      if (group[i] < 0 || group[i] >= groups) {
        throw error(suffix, "input " + i + " is of group " + group[i] + ", there are " + groups);
      }
    }
    return group;
  }
}
