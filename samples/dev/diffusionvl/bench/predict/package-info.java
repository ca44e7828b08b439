// SPDX-License-Identifier: Apache-2.0
/** What a forward pass is expected to take on a GPU that nobody has measured yet, by arithmetic alone. */
package dev.diffusionvl.bench.predict;
