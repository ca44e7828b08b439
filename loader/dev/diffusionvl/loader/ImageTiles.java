// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * An image as the SigLIP tower takes it, and how the tower's features become the image's embeddings.
 *
 * @param pixels [tiles, imageSize, imageSize, 3], normalised
 * @param tiles number of tiles
 * @param rows which features make up each embedding; row tiles * positions of the table is the newline vector
 */
public record ImageTiles(float[] pixels, int tiles, RowBlend rows) {}
