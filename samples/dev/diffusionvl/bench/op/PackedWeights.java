// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.op;

import dev.diffusionvl.bench.measure.Operand;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightMatrix;

/** The operands of a packed matrix without zero points. */
record PackedWeights(PackedLayout layout, Operand codes, Operand scales) {
  WeightMatrix.Packed at(int copy) {
    return new WeightMatrix.Packed(layout, codes.at(copy), scales.at(copy), null);
  }
}
