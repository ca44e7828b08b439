// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** out = T(act(T(acc + bias))): the end of a linear layer. */
public final class BiasActivation extends Op {
  /** Bias only. */
  public static final int NONE = 0;
  /** x/2 · (1 + erf(x/√2)). */
  public static final int GELU_ERF = 1;
  /** The tanh approximation of GELU. */
  public static final int GELU_TANH = 2;

  private static final int THREADS = 256;
  private static final int EACH = 4;
  private static final int COLUMNS = EACH * THREADS;

  public BiasActivation(Device device) {
    super(device, "bias_activation");
  }

  /**
   * @param acc F32 accumulators [rows, width]
   * @param bias dtype of out [width], or null
   * @param out BF16, F16 or F32 [rows, width]
   * @param activation one of the constants of this class
   */
  public void launch(Stream stream, DeviceBuffer acc, DeviceBuffer bias, DeviceBuffer out, int rows, int width, int activation) {
    require(rows >= 0, "rows", rows);
    require(width > 0, "width", width);
    require(activation >= NONE && activation <= GELU_TANH, "activation", activation);
    checkFloat("out", out);
    check("acc", acc, DType.F32, (long) rows * width);
    checkOptional("bias", bias, out.dtype(), width);
    check("out", out, out.dtype(), (long) rows * width);
    checkPieces("acc", acc, width, EACH);
    checkPieces("bias", bias, width, EACH);
    checkPieces("out", out, width, EACH);
    stream.launch(instance(out.dtype()), rows, blocks(width, COLUMNS), 1,
            THREADS, 0)
        .ptr(acc).ptrOrNull(bias).ptr(out).i32(rows).i32(width).i32(activation).go();
  }
}
