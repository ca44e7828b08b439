// SPDX-License-Identifier: Apache-2.0
/**
 * Translation of an autoregressive checkpoint into a DiffusionVL checkpoint: data, objectives, backward passes, optimiser. The data are a
 * {@link dev.diffusionvl.train.ConversationData}, whose {@link dev.diffusionvl.train.TrainingRow rows} a
 * {@link dev.diffusionvl.train.RowStream} makes ahead.
 *
 * <p>A {@link dev.diffusionvl.train.Trainer} takes optimiser steps on such rows; a {@link dev.diffusionvl.train.TrainingRun} is a whole run
 * in a folder, with log, snapshots and the checkpoint that comes out.
 *
 * <p>Threads: a ConversationData and a RowEncoder are shared, a RowStream belongs to one thread at a time.
 */
package dev.diffusionvl.train;
