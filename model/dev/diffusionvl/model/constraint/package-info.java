// SPDX-License-Identifier: Apache-2.0
/**
 * Which texts an answer may be: a {@link dev.diffusionvl.model.constraint.Constraint} is made from a JSON schema, a Java record, a regular
 * expression or a list of choices. Behind it stands an automaton over bytes, and with a tokenizer's vocabulary one over tokens, which says
 * for each row of a block what may stand there (docs/structured-answers.md). Uses no device.
 */
package dev.diffusionvl.model.constraint;
