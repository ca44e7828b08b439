// SPDX-License-Identifier: Apache-2.0
/**
 * Evaluation tasks with their metrics, in the conventions of lmms-eval, which the paper's figures were made with (docs/evaluation.md). A
 * task is a row of {@link dev.diffusionvl.eval.EvalTask} and a {@link dev.diffusionvl.eval.Metric}.
 */
package dev.diffusionvl.eval;
