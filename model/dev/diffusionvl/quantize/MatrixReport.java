// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

/**
 * What one matrix lost.
 *
 * @param layer as the files name it
 * @param out output features
 * @param in input features
 * @param exponent of the inputs' magnitudes that its inputs were scaled by: 0: not at all
 * @param weightError ‖decoded − W‖ / ‖W‖, scaling undone
 * @param outputError the same of the products with the rows that the layer was seen to take; NaN where none were seen
 */
public record MatrixReport(String layer, int out, int in, double exponent, double weightError, double outputError) {}
