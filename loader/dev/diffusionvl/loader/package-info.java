// SPDX-License-Identifier: Apache-2.0
/**
 * What a user brings: checkpoints of any naming scheme, tokenizers, images, prompts. Nothing in a file is believed before it is checked,
 * and every refusal is a {@link dev.diffusionvl.loader.BadInputException} of one line that names the file and the field.
 *
 * <p>Threads: classes are immutable or have static methods only, and may be used by several threads at the same time, but for
 * {@link dev.diffusionvl.loader.StreamDecoder}, which belongs to one. Arrays in records are not copied: whoever changes them changes them
 * for all.
 *
 * <p>Memory: weights are mapped and not read; everything else takes a small multiple of the file's size, which is limited by kind, plus
 * what an image's pixels take.
 */
package dev.diffusionvl.loader;
