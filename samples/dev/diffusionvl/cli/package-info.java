// SPDX-License-Identifier: Apache-2.0
/** The command {@code dvl}. */
package dev.diffusionvl.cli;
