// SPDX-License-Identifier: Apache-2.0
/** The model: vision tower, language model, KV cache, and block-diffusion decoding. */
package dev.diffusionvl.model;
