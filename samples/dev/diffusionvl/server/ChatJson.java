// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.model.GenerationResult;
import java.util.List;
import java.util.UUID;

/** What is sent for one request: a chat completion, or its chunks. */
final class ChatJson {
  private static final double LEAST_LOGPROB = -9999; // what OpenAI's API says for tokens that are as good as impossible

  private final String id = "chatcmpl-" + UUID.randomUUID().toString().replace("-", "");
  private final long created = System.currentTimeMillis() / 1000;
  private final String model;
  private final ChatRequest chat;

  ChatJson(String model, ChatRequest chat) {
    this.model = model;
    this.chat = chat;
  }

  private ObjectNode head(String object) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("id", id).put("object", object).put("created", created).put("model", model);
    return json;
  }

  /** A chunk, with {@code usage: null} where a chunk with usage is to follow. */
  private ObjectNode chunk(int index, ObjectNode delta, String finishReason) {
    ObjectNode json = head("chat.completion.chunk");
    ObjectNode choice = json.putArray("choices").addObject();
    choice.put("index", index).set("delta", delta);
    choice.putNull("logprobs").put("finish_reason", finishReason);
    if (chat.usage()) {
      json.putNull("usage");
    }
    return json;
  }

  private static ObjectNode choice(ObjectNode chunk) {
    return (ObjectNode) chunk.get("choices").get(0);
  }

  private static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  String roleChunk(int index) {
    return chunk(index, object().put("role", "assistant").put("content", ""), null).toString();
  }

  String textChunk(Answer.Text text) {
    ObjectNode json = chunk(text.answer().index(), object().put("content", text.text()), null);
    if (chat.logprobs()) {
      choice(json).set("logprobs", logprobs(text.tokens()));
    }
    return json.toString();
  }

  /** The block as it stands, beside an empty delta, so that clients that do not know it see nothing new. */
  String draftChunk(Answer.Draft draft) {
    ObjectNode json = chunk(draft.answer().index(), object(), null);
    ObjectNode diffusion = choice(json).putObject("diffusion");
    diffusion.put("block", draft.block()).put("step", draft.step()).put("position", draft.position());
    ArrayNode cells = diffusion.putArray("tokens");
    for (Answer.Token token : draft.cells()) {
      if (token == null) {
        cells.addNull();
      } else {
        cells.addObject().put("id", token.id()).put("text", token.text()).put("confidence", rounded(token.confidence()));
      }
    }
    return json.toString();
  }

  /** The call that a finished answer is, or null. */
  private ToolCall call(Answer answer, String text, GenerationResult result) {
    return chat.calls() && result.finishReason().equals("eos") && !answer.stopped() ? ToolCall.of(text) : null;
  }

  /** @param held text that was not sent, since it may be a call */
  String finishChunk(Answer.End end, String held) {
    ToolCall call = call(end.answer(), held, end.result());
    ObjectNode delta = object();
    if (call != null) {
      call.addTo(delta.putArray("tool_calls"), true);
    } else if (!held.isEmpty()) {
      delta.put("content", held);
    }
    ObjectNode json = chunk(end.answer().index(), delta, call == null ? end.answer().finishReason(end.result()) : "tool_calls");
    if (!end.result().choices().isEmpty()) {
      choice(json).set("guided_choice", compared(end.result()));
    }
    choice(json).set("diffusion", counts(end.result()));
    return json.toString();
  }

  String usageChunk(List<Answer> answers) {
    ObjectNode json = head("chat.completion.chunk");
    json.putArray("choices");
    json.set("usage", usage(answers));
    return json.toString();
  }

  /** @param texts by index, like the others */
  ObjectNode completion(List<Answer> answers, List<String> texts, List<List<Answer.Token>> tokens, List<GenerationResult> results) {
    ObjectNode json = head("chat.completion");
    ArrayNode choices = json.putArray("choices");
    for (int i = 0; i < answers.size(); i++) {
      ObjectNode choice = choices.addObject().put("index", i);
      ToolCall call = call(answers.get(i), texts.get(i), results.get(i));
      ObjectNode message = choice.putObject("message").put("role", "assistant").put("content", call == null ? texts.get(i) : null)
          .putNull("refusal");
      if (call != null) {
        call.addTo(message.putArray("tool_calls"), false);
      }
      choice.set("logprobs", chat.logprobs() ? logprobs(tokens.get(i)) : JsonNodeFactory.instance.nullNode());
      choice.put("finish_reason", call == null ? answers.get(i).finishReason(results.get(i)) : "tool_calls");
      if (!results.get(i).choices().isEmpty()) {
        choice.set("guided_choice", compared(results.get(i)));
      }
      choice.set("diffusion", counts(results.get(i)));
    }
    json.set("usage", usage(answers));
    return json;
  }

  private ObjectNode usage(List<Answer> answers) {
    int tokens = answers.stream().mapToInt(Answer::tokens).sum();
    return object().put("prompt_tokens", chat.promptTokens()).put("completion_tokens", tokens)
        .put("total_tokens", chat.promptTokens() + tokens);
  }

  /** How likely each of the choices is: an extension. */
  private static ArrayNode compared(GenerationResult result) {
    ArrayNode all = JsonNodeFactory.instance.arrayNode();
    for (GenerationResult.Choice choice : result.choices()) {
      all.addObject().put("text", choice.text()).put("logprob", choice.logProbability()).put("probability", choice.probability());
    }
    return all;
  }

  /** What the answer took: an extension. */
  private static ObjectNode counts(GenerationResult result) {
    return object().put("blocks", result.counts().blocks()).put("forwards", result.counts().forwards())
        .put("steps", result.counts().steps()).put("commits_per_forward", rounded(result.counts().commitsPerForward()));
  }

  private static ObjectNode logprobs(List<Answer.Token> tokens) {
    ObjectNode json = object();
    ArrayNode content = json.putArray("content");
    for (Answer.Token token : tokens) {
      ObjectNode entry = content.addObject();
      entry.put("token", token.text()).put("logprob", Math.max(LEAST_LOGPROB, Math.log(Math.min(1, token.confidence()))));
      ArrayNode bytes = entry.putArray("bytes");
      for (byte b : token.bytes()) {
        bytes.add(b & 0xff);
      }
      entry.putArray("top_logprobs");
    }
    json.putNull("refusal");
    return json;
  }

  private static double rounded(double value) {
    return Math.rint(value * 10000) / 10000;
  }
}
