// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

/** How the moments of AdamW are kept. */
public enum Optimizer {
  /** In F32: 8 bytes per trained weight. */
  ADAMW,
  /** In 8 bits with a scale for each 256 weights: 2 bytes per trained weight. */
  ADAMW_8BIT
}
