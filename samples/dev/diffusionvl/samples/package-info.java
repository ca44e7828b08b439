// SPDX-License-Identifier: Apache-2.0
/** Sample programs. */
package dev.diffusionvl.samples;
