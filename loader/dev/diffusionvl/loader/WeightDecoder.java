// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;

/** Writes the matrix of one layer, quantised or not, as plain numbers: to look at, or to compare with what others make of it. */
public final class WeightDecoder {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private WeightDecoder() {}

  /**
   * Writes {@code LAYER.weight} as F32 [out, in], in place of a file of that name.
   *
   * @param file safetensors file that holds the layer
   * @param config how it is quantised; null: all is stored as it is
   * @param layer name of the layer in the file
   * @param target file to write
   * @throws BadInputException naming the tensor that is missing, misshaped, or holds what is no number
   * @throws OutputException if the disk is full; no file is left then
   */
  public static void decode(Path file, QuantizationConfig config, String layer, Path target) {
    try (Safetensors tensors = Safetensors.open(file)) {
      String weight = layer + ".weight";
      TensorView plain = tensors.names().contains(weight) ? tensors.tensor(weight) : null;
      WeightFormat format = config == null ? null : config.formatOf(layer);
      if (plain != null && plain.type().isWeight()) {
        write(target, weight, plain.shape(), out -> out.write(floats(plain)));
      } else if (format == null) {
        throw BadInputException.of(file, weight, plain == null ? "missing" + unquantised(config)
            : "dtype " + plain.type() + unquantised(config));
      } else {
        QuantizedMatrix matrix = format.matrix(StoredMatrix.of(file, layer, format,
            name -> tensors.names().contains(name) ? tensors.tensor(name) : null));
        write(target, weight, new long[] {matrix.out(), matrix.in()}, out -> writeRows(matrix, out));
      }
    }
  }

  private static String unquantised(QuantizationConfig config) {
    return config == null ? ", and no quantization configuration says how the layer is stored"
        : ", and the quantization configuration leaves this layer out";
  }

  private static void write(Path target, String name, long[] shape, SafetensorsWriter.Data data) {
    SafetensorsWriter.writeFile(target, List.of(new SafetensorsWriter.Tensor(name, TensorType.F32, shape, data)));
  }

  private static MemorySegment floats(TensorView tensor) {
    MemorySegment values = MemorySegment.ofArray(new byte[Math.toIntExact(4 * tensor.elements())]);
    for (long i = 0; i < tensor.elements(); i++) {
      values.set(FLOAT, 4 * i, tensor.floatAt(i));
    }
    return values;
  }

  private static void writeRows(QuantizedMatrix matrix, OutputFile file) {
    float[] row = new float[matrix.in()];
    MemorySegment bytes = MemorySegment.ofArray(new byte[4 * row.length]);
    for (int i = 0; i < matrix.out(); i++) {
      matrix.decodeRow(i, row);
      MemorySegment.copy(row, 0, bytes, FLOAT, 0, row.length);
      file.write(bytes);
    }
  }
}
