// SPDX-License-Identifier: Apache-2.0
/** One class per kernel for {@code dvl bench kernels}, named as the kernel. Operands come in the order of the launch. */
package dev.diffusionvl.bench.op;
