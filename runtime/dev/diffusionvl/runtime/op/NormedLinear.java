// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;

/**
 * The weights of an RMSNorm and of the linear layer behind it, which one kernel computes: y = weight · rms_norm(x) + bias.
 *
 * @param norm BF16 or F32 [in]: the norm's weight, 16-byte aligned
 * @param eps of the norm
 * @param weight dtype of norm [out, in], 16-byte aligned
 * @param bias dtype of norm [out], 16-byte aligned; null: none
 * @param out rows of weight
 * @param in columns of weight, a multiple of 8
 */
public record NormedLinear(DeviceBuffer norm, float eps, DeviceBuffer weight, DeviceBuffer bias, int out, int in) {}
