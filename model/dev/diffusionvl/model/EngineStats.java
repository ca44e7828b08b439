// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/**
 * What an {@link Engine} does now, and what it has done since it was made.
 *
 * @param slots sequences that can be decoded at the same time
 * @param running sequences that are
 * @param waiting requests in the queue
 * @param kvTokens rows of the memory for keys and values
 * @param kvTokensUsed those that belong to running sequences
 * @param finished requests answered, to the end or to the length that was asked for
 * @param cancelled requests cancelled
 * @param failed requests that ended with an exception
 * @param promptTokens embeddings of the prompts of all requests that got a slot, images included
 * @param generatedTokens tokens of all answers, as of {@link GenerationResult#generatedTokens}
 * @param forwards passes through the language model, whatever they carried
 * @param prefixTokens of {@code promptTokens}, those that came from the prefix cache
 */
public record EngineStats(int slots, int running, int waiting, int kvTokens, int kvTokensUsed, long finished, long cancelled, long failed,
    long promptTokens, long generatedTokens, long forwards, long prefixTokens) {

  EngineStats plus(int newFinished, int newCancelled, int newFailed, int newTokens) {
    return new EngineStats(slots, running, waiting, kvTokens, kvTokensUsed, finished + newFinished, cancelled + newCancelled,
        failed + newFailed, promptTokens, generatedTokens + newTokens, forwards, prefixTokens);
  }

  EngineStats admitted(int newPromptTokens, int newPrefixTokens) {
    return new EngineStats(slots, running, waiting, kvTokens, kvTokensUsed, finished, cancelled, failed, promptTokens + newPromptTokens,
        generatedTokens, forwards, prefixTokens + newPrefixTokens);
  }

  EngineStats now(int nowRunning, int nowUsed, long nowForwards) {
    return new EngineStats(slots, nowRunning, waiting, kvTokens, nowUsed, finished, cancelled, failed, promptTokens, generatedTokens,
        nowForwards, prefixTokens);
  }

  EngineStats waiting(int nowWaiting) {
    return new EngineStats(slots, running, nowWaiting, kvTokens, kvTokensUsed, finished, cancelled, failed, promptTokens, generatedTokens,
        forwards, prefixTokens);
  }
}
