// SPDX-License-Identifier: Apache-2.0
/** Making a checkpoint with weights of 8 or 4 bits. It begins at {@link dev.diffusionvl.quantize.Quantizer}. */
package dev.diffusionvl.quantize;
