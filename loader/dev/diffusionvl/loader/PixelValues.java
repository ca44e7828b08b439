// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * What the vision tower reads of one image (spec 4.1).
 *
 * @param values [gridHeight * gridWidth, channels * temporal * patch * patch], row-major; the four patches of a
 *     merge unit follow each other, units in raster order
 * @param gridHeight patches from top to bottom
 * @param gridWidth patches from left to right
 */
public record PixelValues(float[] values, int gridHeight, int gridWidth) {}
