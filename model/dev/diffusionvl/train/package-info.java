// SPDX-License-Identifier: Apache-2.0
/** Translation of an autoregressive checkpoint into a DiffusionVL checkpoint: data, objectives, backward passes, optimiser. */
package dev.diffusionvl.train;
