// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

/**
 * A question and what a model answered.
 *
 * @param text decoded up to the end-of-text token
 * @param score 1 for a right answer, 0 for a wrong one
 * @param forwards passes through the language model
 * @param millis of wall time
 */
public record Asked(Question question, String text, double score, int forwards, double millis) {}
