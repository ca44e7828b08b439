// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import org.junit.jupiter.api.condition.DisabledIf;

/** {@link SkinnyPackedTest} with activations in f16, into which the codes are decoded too. */
@DisabledIf("withoutF16")
class SkinnyPackedF16Test extends SkinnyPackedTest {
  SkinnyPackedF16Test() {
    half = DType.F16;
    if (!F16_WHOLE) {
      rowCounts = new int[] {3, 16, 27, 70}; // every instance once
      shapes = new int[][] {{17, 72, 5}, {136, 776, 30}};
    }
  }
}
