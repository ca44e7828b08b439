// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DeviceBuffer;

/**
 * Rotary angles by position.
 *
 * @param cos F32 [positions, head dim / 2]
 * @param sin F32 [positions, head dim / 2]
 */
public record Rope(DeviceBuffer cos, DeviceBuffer sin) {}
