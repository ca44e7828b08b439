// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;

/** The matrix of a linear layer [out, in] in one of the forms that our own products take. */
public sealed interface WeightMatrix {
  /** Rows. */
  int out();

  /** Columns, a multiple of 8. */
  int in();

  /** Which of the records it is, and with which codes. */
  WeightForm form();

  /** @param weight BF16, F16 or F32 [out, in], 16-byte aligned */
  record Dense(DeviceBuffer weight, int out, int in) implements WeightMatrix {
    @Override
    public WeightForm form() {
      return WeightForm.DENSE;
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
  }
}
