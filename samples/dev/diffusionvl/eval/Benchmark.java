// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

/** How a row of a benchmark's data becomes a question, and how right an answer is. Stateless, safe for several threads. */
interface Benchmark extends Metric {
  /** @throws dev.diffusionvl.loader.BadInputException naming the field that is unusable */
  Question question(DataRow row);
}
