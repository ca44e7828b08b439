// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import java.util.List;

/**
 * A request for a chat completion, checked.
 *
 * @param request the conversation
 * @param options how to decode, the length of the answer included
 * @param promptTokens embeddings of the prompt
 * @param choices answers that were asked for; the seed of each is one more than that of the one before
 * @param stops texts that end an answer
 * @param stream whether the answer is sent while it is being written
 * @param usage whether a stream ends with what it took
 * @param logprobs whether to tell the probability of each token
 * @param drafts whether a stream tells of each denoising step as well
 * @param calls whether an answer may be a call of a function
 */
record ChatRequest(Request request, GenerationOptions options, int promptTokens, int choices, List<String> stops, boolean stream,
    boolean usage, boolean logprobs, boolean drafts, boolean calls) {}
