// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static dev.diffusionvl.loader.TensorType.BF16;
import static dev.diffusionvl.loader.TensorType.F16;
import static dev.diffusionvl.loader.TensorType.F32;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * How a checkpoint stores the matrix W [out, in] of a linear layer (docs/model.md, "Weight formats"). A format names the tensors that take
 * the place of {@code LAYER.weight} and decodes them; it holds no weights itself.
 */
public sealed interface WeightFormat {
  /**
   * A tensor of a stored matrix.
   *
   * @param suffix behind the layer's name and a dot
   * @param types element types that it may have
   * @param shape its dimensions
   * @param required whether the matrix cannot be decoded without it
   */
  record Part(String suffix, Set<TensorType> types, long[] shape, boolean required) {
    /** What is wrong with a tensor that stands in this place, or null. */
    String problem(TensorView tensor) {
      // one scale is written as [1, 1], [1] or []
      boolean scalar = types == SCALES && tensor.elements() == 1 && Arrays.stream(shape).allMatch(n -> n == 1);
      if (!scalar && !Arrays.equals(tensor.shape(), shape)) {
        return "shape " + Arrays.toString(tensor.shape()) + ", the quantization configuration needs " + Arrays.toString(shape);
      }
      return types.contains(tensor.type()) ? null : "dtype " + tensor.type() + ", allowed here: " + types;
    }
  }

  /** Element types of scales. */
  Set<TensorType> SCALES = Set.of(F16, BF16, F32);

  /** The tensors of a matrix of this shape; the one that tells the shape comes first. */
  List<Part> parts(long out, long in);

  /** The tensors of any matrix, whatever its shape. */
  default List<Part> parts() {
    return parts(1, 1);
  }

  /** [out, in] as the stored tensors tell it. */
  long[] shape(StoredMatrix stored);

  /** The matrix itself; {@link StoredMatrix#of} has checked its tensors. */
  QuantizedMatrix matrix(StoredMatrix stored);

  /** Short name: {@code INT4} or {@code FP8}. */
  String label();

  /** One sentence, for people. */
  String describe();

  /** Where a word of eight codes has which of them. */
  enum Packing {
    /** AWQ's GEMM layout: {@code qweight} [in, out / 8], the eight columns of a word interleaved. */
    AWQ,
    /** GPTQ: {@code qweight} [in / 8, out], {@code g_idx} says which group an input belongs to, stored zero points are one too small. */
    GPTQ,
    /** compressed-tensors' pack-quantized layout: {@code weight_packed} [out, in / 8]. */
    COMPRESSED_TENSORS
  }

  /**
   * Four bits per weight: (code − zero point) · scale, zero point and scale per output and group of inputs.
   *
   * @param groupSize inputs of a group; 0: all inputs are one group
   * @param symmetric no zero points are stored: the zero is 8 (COMPRESSED_TENSORS only)
   */
  record GroupedInt4(Packing packing, int groupSize, boolean symmetric) implements WeightFormat {
    /** The place in a word of AWQ's column 8c + j. */
    private static final int[] AWQ_PLACE = {0, 4, 1, 5, 2, 6, 3, 7};
    private static final Set<TensorType> WORDS = Set.of(TensorType.I32);

    private long groups(long in) {
      return groupSize == 0 ? 1 : ceilDiv(in, groupSize);
    }

    @Override
    public List<Part> parts(long out, long in) {
      long groups = groups(in);
      List<Part> parts = new ArrayList<>();
      switch (packing) {
        case AWQ -> {
          parts.add(new Part("qweight", WORDS, new long[] {in, ceilDiv(out, 8)}, true));
          parts.add(new Part("qzeros", WORDS, new long[] {groups, ceilDiv(out, 8)}, true));
          parts.add(new Part("scales", SCALES, new long[] {groups, out}, true));
        }
        case GPTQ -> {
          parts.add(new Part("qweight", WORDS, new long[] {ceilDiv(in, 8), out}, true));
          parts.add(new Part("qzeros", WORDS, new long[] {groups, ceilDiv(out, 8)}, true));
          parts.add(new Part("scales", SCALES, new long[] {groups, out}, true));
          parts.add(new Part("g_idx", WORDS, new long[] {in}, false));
        }
        case COMPRESSED_TENSORS -> {
          parts.add(new Part("weight_packed", WORDS, new long[] {out, ceilDiv(in, 8)}, true));
          parts.add(new Part("weight_scale", SCALES, new long[] {out, groups}, true));
          parts.add(new Part("weight_shape", Set.of(TensorType.I64), new long[] {2}, true));
          if (!symmetric) {
            parts.add(new Part("weight_zero_point", WORDS, new long[] {ceilDiv(out, 8), groups}, true));
          }
          parts.add(new Part("weight_g_idx", WORDS, new long[] {in}, false));
        }
      }
      return parts;
    }

    @Override
    public long[] shape(StoredMatrix stored) {
      return switch (packing) {
        case AWQ -> new long[] {8 * stored.matrixShape("qweight")[1], stored.matrixShape("qweight")[0]};
        case GPTQ -> new long[] {stored.matrixShape("qweight")[1], 8 * stored.matrixShape("qweight")[0]};
        case COMPRESSED_TENSORS -> stored.pair("weight_shape");
      };
    }

    @Override
    public QuantizedMatrix matrix(StoredMatrix stored) {
      int groups = (int) groups(stored.in());
      int[] group = stored.groups(packing == Packing.GPTQ ? "g_idx" : "weight_g_idx", groups, groupSize);
      return switch (packing) {
        case AWQ -> {
          NibbleMatrix codes = stored.nibbles("qweight");
          NibbleMatrix zeros = stored.nibbles("qzeros");
          float[] scales = stored.scales("scales");
          yield new Int4Matrix(stored.out(), stored.in(), group, (row, column) -> codes.at(column, row / 8, AWQ_PLACE[row % 8]),
              (row, g) -> zeros.at(g, row / 8, AWQ_PLACE[row % 8]), (row, g) -> scales[g * stored.out() + row], false);
        }
        case GPTQ -> {
          NibbleMatrix codes = stored.nibbles("qweight");
          NibbleMatrix zeros = stored.nibbles("qzeros");
          float[] scales = stored.scales("scales");
          yield new Int4Matrix(stored.out(), stored.in(), group, (row, column) -> codes.at(column / 8, row, column % 8),
              (row, g) -> zeros.at(g, row / 8, row % 8) + 1, (row, g) -> scales[g * stored.out() + row], false);
        }
        case COMPRESSED_TENSORS -> {
          NibbleMatrix codes = stored.nibbles("weight_packed");
          NibbleMatrix zeros = symmetric ? null : stored.nibbles("weight_zero_point");
          float[] scales = stored.scales("weight_scale");
          yield new Int4Matrix(stored.out(), stored.in(), group, (row, column) -> codes.at(row, column / 8, column % 8),
              zeros == null ? (row, g) -> 8 : (row, g) -> zeros.at(row / 8, g, row % 8), (row, g) -> scales[row * groups + g],
              symmetric);
        }
      };
    }

    @Override
    public String label() {
      return "INT4";
    }

    @Override
    public String describe() {
      String layout = packing.name().toLowerCase(Locale.ROOT).replace('_', '-');
      return "int4, " + layout + (groupSize == 0 ? ", one group per output" : ", groups of " + groupSize) + (symmetric ? ", symmetric"
          : "");
    }
  }

  /**
   * Eight bits per weight: E4M3 value · scale, a scale per block of the matrix. A block of one row and all columns is an output channel.
   *
   * @param scaleName suffix of the tensor of scales
   * @param blockRows rows of a block, {@code Integer.MAX_VALUE}: all
   * @param blockColumns columns of a block, likewise
   */
  record ScaledFp8(String scaleName, int blockRows, int blockColumns) implements WeightFormat {
    @Override
    public List<Part> parts(long out, long in) {
      return List.of(new Part("weight", Set.of(TensorType.F8_E4M3), new long[] {out, in}, true),
          new Part(scaleName, SCALES, new long[] {ceilDiv(out, blockRows), ceilDiv(in, blockColumns)}, true));
    }

    @Override
    public long[] shape(StoredMatrix stored) {
      return stored.matrixShape("weight");
    }

    @Override
    public QuantizedMatrix matrix(StoredMatrix stored) {
      return new Fp8Matrix(stored.file(), stored.tensor("weight"), stored.scales(scaleName), blockRows, blockColumns,
          (int) ceilDiv(stored.in(), blockColumns));
    }

    @Override
    public String label() {
      return "FP8";
    }

    @Override
    public String describe() {
      return "fp8 (E4M3), " + (blockColumns != Integer.MAX_VALUE ? "blocks of " + blockRows + " x " + blockColumns
          : blockRows == 1 ? "a scale per output" : "one scale");
    }
  }

  private static long ceilDiv(long n, long unit) {
    return (n + unit - 1) / unit;
  }
}
