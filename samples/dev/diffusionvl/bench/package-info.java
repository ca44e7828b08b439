// SPDX-License-Identifier: Apache-2.0
/**
 * {@code dvl bench}: ceilings and kernels by the protocol of bench/README.md, forward passes and generations at real shapes. A row per
 * kernel lives in the package {@code op}, under the kernel's own name.
 */
package dev.diffusionvl.bench;
