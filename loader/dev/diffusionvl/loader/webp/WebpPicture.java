// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader.webp;

/**
 * A decoded image of a WebP file.
 *
 * @param rgb rows from top to bottom, three bytes per pixel
 */
record WebpPicture(int width, int height, byte[] rgb) {}
