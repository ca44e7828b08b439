// SPDX-License-Identifier: Apache-2.0
/** {@code dvl serve}: answers by HTTP, in the form of OpenAI's chat completions, and a page that shows how they are denoised. */
package dev.diffusionvl.server;
