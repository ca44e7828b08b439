// SPDX-License-Identifier: Apache-2.0
/** The command line and sample programs. */
package dev.diffusionvl.samples;
