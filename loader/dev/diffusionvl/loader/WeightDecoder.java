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

  private static final int PIECE = 1 << 20; // elements: a tensor may be larger than an array

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
        write(target, weight, plain.shape(), out -> writeFloats(plain, out));
      } else if (format == null) {
        throw BadInputException.of(file, weight, plain == null ? "missing" + unquantised(config)
            : "dtype " + plain.type() + unquantised(config));
      } else {
        QuantizedMatrix matrix = format.matrix(StoredMatrix.of(file, layer, format,
            suffix -> tensors.names().contains(layer + "." + suffix) ? tensors.tensor(layer + "." + suffix) : null));
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

  private static void writeFloats(TensorView tensor, OutputFile file) {
    float[] piece = new float[(int) Math.min(PIECE, tensor.elements())];
    MemorySegment bytes = MemorySegment.ofArray(new byte[4 * piece.length]);
    for (long from = 0; from < tensor.elements(); from += piece.length) {
      int count = (int) Math.min(piece.length, tensor.elements() - from);
      for (int i = 0; i < count; i++) {
        piece[i] = tensor.floatAt(from + i);
      }
      write(piece, count, bytes, file);
    }
  }

  private static void writeRows(QuantizedMatrix matrix, OutputFile file) {
    float[] row = new float[matrix.in()];
    MemorySegment bytes = MemorySegment.ofArray(new byte[4 * row.length]);
    for (int i = 0; i < matrix.out(); i++) {
      matrix.decodeRow(i, row);
      write(row, row.length, bytes, file);
    }
  }

  private static void write(float[] values, int count, MemorySegment bytes, OutputFile file) {
    MemorySegment.copy(values, 0, bytes, FLOAT, 0, count);
    file.write(bytes.asSlice(0, 4L * count));
  }
}
