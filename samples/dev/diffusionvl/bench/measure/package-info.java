// SPDX-License-Identifier: Apache-2.0
/** How a row of {@code dvl bench} is measured: device time by events, operands that no cache holds, quantiles, one row of the report. */
package dev.diffusionvl.bench.measure;
