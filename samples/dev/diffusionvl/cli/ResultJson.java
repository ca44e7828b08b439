// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.model.Decoding;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import java.util.Arrays;

/** The object that {@code dvl generate --json} prints. */
final class ResultJson {
  private static final float LEAST = -9999; // JSON has no infinity

  private ResultJson() {}

  static String of(GenerationResult result, Decoding decoding, Device device, DType dtype) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("text", result.text());
    Arrays.stream(result.tokenIds()).forEach(json.putArray("token_ids")::add);
    ArrayNode logs = json.putArray("log_probabilities");
    for (float log : result.logProbabilities()) {
      if (Float.isNaN(log)) {
        logs.addNull();
      } else {
        logs.add(Math.max(LEAST, log));
      }
    }
    if (!result.choices().isEmpty()) {
      ArrayNode choices = json.putArray("choices");
      for (GenerationResult.Choice choice : result.choices()) {
        choices.addObject().put("text", choice.text()).put("log_probability", choice.logProbability())
            .put("probability", choice.probability());
      }
    }
    json.put("decoding", decoding.label());
    json.put("finish_reason", result.finishReason());
    json.put("prompt_tokens", result.promptTokens());
    json.put("image_tokens", result.imageTokens());
    json.put("generated_tokens", result.generatedTokens());
    json.put("blocks", result.counts().blocks());
    json.put("prefill_forwards", result.counts().prefill());
    json.put("denoise_forwards", result.counts().denoise());
    json.put("store_forwards", result.counts().store());
    json.put("forwards", result.counts().forwards());
    json.put("row_forwards", result.counts().rows());
    json.put("denoise_steps", result.counts().steps());
    json.put("commits_per_forward", round(result.counts().commitsPerForward()));
    json.put("device", device.spec());
    json.put("dtype", dtype.suffix());
    ObjectNode timings = json.putObject("timings_ms");
    timings.put("load", round(result.timings().load()));
    timings.put("vision", round(result.timings().vision()));
    timings.put("prefill", round(result.timings().prefill()));
    timings.put("decode", round(result.timings().decode()));
    json.put("tokens_per_second", round(result.tokensPerSecond()));
    return json.toString();
  }

  private static double round(double value) {
    return Math.rint(value * 1000) / 1000;
  }
}
