// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

/**
 * The heads of an attention layer.
 *
 * @param query query heads, a multiple of keyValue
 * @param keyValue heads of keys and values: query head h reads head h / (query / keyValue)
 * @param dim dimensions of a head
 */
public record Heads(int query, int keyValue, int dim) {}
