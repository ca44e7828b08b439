// SPDX-License-Identifier: Apache-2.0
/** A decoder of WebP images. VP8 key frames (RFC 6386) and the lossless format, without animation and alpha. */
package dev.diffusionvl.loader.webp;
