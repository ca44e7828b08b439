// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.TensorMap;

/** The matrix of a linear layer [out, in] in one of the forms that our own products take. */
public sealed interface WeightMatrix {
  /** Rows. */
  int out();

  /** Columns, a multiple of 8. */
  int in();

  /** Which of the records it is, and with which codes. */
  WeightForm form();

  /**
   * This matrix with what products need that copy in bulk ({@link SkinnyWorkspace}), where the device can. To be made once per matrix.
   *
   * @param paired for products that use the halves of out in pairs of rows (gate and up)
   */
  WeightMatrix mapped(boolean paired);

  /**
   * Numbers of the activations' type.
   *
   * @param weight BF16, F16 or F32 [out, in], 16-byte aligned
   * @param boxes of {@link #mapped}, or null
   */
  record Dense(DeviceBuffer weight, int out, int in, Boxes boxes) implements WeightMatrix {
    /** Without boxes. */
    public Dense(DeviceBuffer weight, int out, int in) {
      this(weight, out, in, null);
    }

    @Override
    public WeightForm form() {
      return WeightForm.DENSE;
    }

    @Override
    public Dense mapped(boolean paired) {
      return weight.dtype() == DType.F32 || !weight.device().copiesInBulk() ? this : new Dense(weight, out, in, Boxes.of(this, paired));
    }
  }

  /**
   * The units of a dense matrix as boxes of a tensor map: 128 rows, or 64 of each half, by 64 columns.
   *
   * @param map of [1, out, in], or of [2, out / 2, in]
   */
  record Boxes(TensorMap map, boolean paired) {
    private static Boxes of(Dense w, boolean paired) {
      int halves = paired ? 2 : 1;
      return new Boxes(TensorMap.of(w.weight, new long[] {halves, w.out / halves, w.in},
          new int[] {halves, SkinnySplit.TILE / halves, SkinnySplit.CHUNK}), paired);
    }
  }

  /**
   * Weights of fewer bits, for activations in BF16 or F16: weight = (code − zero) · scale.
   *
   * @param layout of codes, scales and zeros
   * @param codes U8 [{@link PackedLayout#codeBytes}]
   * @param scales F32 [{@link PackedLayout#scales}]
   * @param zeros U8 [{@link PackedLayout#scales}], 0 to 16; null: all are 8 (FP8: there are none)
   */
  record Packed(PackedLayout layout, DeviceBuffer codes, DeviceBuffer scales, DeviceBuffer zeros) implements WeightMatrix {
    @Override
    public int out() {
      return layout.out();
    }

    @Override
    public int in() {
      return layout.in();
    }

    @Override
    public WeightForm form() {
      return layout.form();
    }

    @Override
    public Packed mapped(boolean paired) {
      return this; // its units lie one after the other
    }
  }
}
