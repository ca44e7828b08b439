// SPDX-License-Identifier: Apache-2.0
/**
 * The model: vision towers, language model, KV cache, and block-diffusion decoding. A program loads a
 * {@link dev.diffusionvl.model.DiffusionVl}, opens a {@link dev.diffusionvl.model.Session} per thread and gives it
 * {@link dev.diffusionvl.model.Request requests}, or makes an {@link dev.diffusionvl.model.Engine}, which answers many at once.
 *
 * <p>Threads: a DiffusionVl is shared, a Session belongs to one thread at a time, a listener is called on the thread that generates
 * or, by an engine, on a thread of its own; all else that is public is immutable. A generation never needs more than the device memory that
 * {@link dev.diffusionvl.model.MemoryNeed} states, activations aside, and leaves none behind when its session is closed.
 */
package dev.diffusionvl.model;
