// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.Decoding;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationOptions.Remasking;
import dev.diffusionvl.model.Request;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ThreadLocalRandom;

/** Reads the body of a request for a chat completion, field by field; docs/serving.md lists them. Safe for use by several threads. */
final class ChatRequestReader {
  private static final int MAX_STEPS = 1024;
  private static final int MAX_STOPS = 4;
  private static final int MAX_STOP_CHARS = 256;
  private static final List<String> RULES =
      Arrays.stream(Remasking.values()).map(rule -> rule.name().toLowerCase(Locale.ROOT)).toList();

  private final ModelConfig config;
  private final Tokenizer tokenizer;
  private final int kvTokens;
  private final ServerOptions options;
  private final MessagesReader messages;
  private final ObjectMapper mapper;

  /** @param kvTokens most rows that prompt and answer may take */
  ChatRequestReader(ModelConfig config, Tokenizer tokenizer, int kvTokens, ServerOptions options, ImageReader images) {
    this.config = config;
    this.tokenizer = tokenizer;
    this.kvTokens = kvTokens;
    this.options = options;
    messages = new MessagesReader(tokenizer, PromptForm.of(config), options.limits(), images);
    StreamReadConstraints bounds = StreamReadConstraints.builder().maxNestingDepth(32).maxNumberLength(64).maxNameLength(256)
        .maxTokenCount(100_000).maxStringLength(options.limits().bodyBytes()).build();
    mapper = new ObjectMapper(JsonFactory.builder().streamReadConstraints(bounds).build())
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
  }

  /**
   * @param lease is charged for what the request holds on to
   * @throws ApiError naming the field that is wrong
   */
  ChatRequest read(byte[] body, Budget.Lease lease) {
    Fields fields = new Fields("", parse(body));
    String model = fields.text("model");
    if (model != null && !model.equals(options.modelName())) {
      throw ApiError.noSuchModel(model);
    }
    // Cheap fields first: images may have to be fetched and decoded.
    Fields diffusion = fields.object("diffusion");
    GenerationOptions decoding = decoding(fields, diffusion);
    boolean drafts = false;
    if (diffusion != null) {
      drafts = diffusion.flag("stream_drafts");
      diffusion.refuseTheRest();
    }
    boolean stream = fields.flag("stream");
    if (drafts && !stream) {
      throw ApiError.invalid("diffusion.stream_drafts", "diffusion.stream_drafts: needs stream: true");
    }
    boolean usage = usage(fields, stream);
    boolean logprobs = logprobs(fields);
    Long choices = fields.integer("n", 1, options.limits().choices());
    List<String> stops = stops(fields);
    Long length = length(fields);
    AnswerForm form = AnswerForm.read(fields);
    refuseWhatIsNotThere(fields);
    fields.ignore("user", "safety_identifier", "metadata", "store", "service_tier", "prompt_cache_key", "parallel_tool_calls");
    JsonNode conversation = fields.array("messages");
    fields.refuseTheRest();
    Request request = messages.read(conversation, form.instructions(), lease);
    int prompt = request.promptTokens(config, tokenizer);
    decoding = decoding.withGenLength(fit(prompt, length, decoding.decoding().blockSize(config))).withConstraint(form.constraint());
    return new ChatRequest(request, decoding, prompt, choices == null ? 1 : choices.intValue(), stops, stream, usage, logprobs, drafts,
        !form.tools().isEmpty());
  }

  private JsonNode parse(byte[] body) {
    try {
      return mapper.readTree(body);
    } catch (JsonProcessingException e) {
      String where = e.getLocation() == null ? "" : " (line " + e.getLocation().getLineNr() + ", column " + e.getLocation().getColumnNr()
          + ")";
      throw ApiError.invalid(null, "the body is not JSON that this server reads: " + oneLine(e.getOriginalMessage()) + where);
    } catch (IOException e) {
      throw ApiError.invalid(null, "the body is not JSON: " + oneLine(e.getMessage()));
    }
  }

  private static String oneLine(String message) {
    return message == null ? "" : message.replaceAll("[\\p{Cntrl}\\s]+", " ");
  }

  private GenerationOptions decoding(Fields fields, Fields diffusion) {
    try {
      GenerationOptions sampling = sampling(fields);
      return diffusion == null ? sampling : diffusion(diffusion, sampling);
    } catch (IllegalArgumentException e) { // it names the option as the command line does
      throw ApiError.invalid(e.getMessage().split(" ")[0].replace('-', '_'), e.getMessage());
    }
  }

  private GenerationOptions sampling(Fields fields) {
    Double temperature = fields.number("temperature", 0, 2);
    Double topP = fields.number("top_p", Float.MIN_NORMAL, 1);
    Long topK = fields.integer("top_k", -1, Integer.MAX_VALUE);
    Long seed = fields.integer("seed", Long.MIN_VALUE, Long.MAX_VALUE);
    return GenerationOptions.of(config)
        .withSampling(temperature == null ? 0 : temperature.floatValue(), topK == null ? 0 : (int) Math.max(0, topK),
            topP == null ? 1 : topP.floatValue())
        .withSeed(seed != null ? seed : ThreadLocalRandom.current().nextLong());
  }

  private GenerationOptions diffusion(Fields diffusion, GenerationOptions decoding) {
    Long steps = diffusion.integer("steps", 1, MAX_STEPS);
    Long blockSize = diffusion.integer("block_size", 1, config.text().maxPositionEmbeddings());
    String rule = diffusion.word("remasking", RULES);
    Double threshold = diffusion.number("confidence_threshold", 0, 1);
    GenerationOptions chosen = decoding;
    if (steps != null) {
      chosen = chosen.withSteps(steps.intValue());
    }
    if (blockSize != null) {
      chosen = chosen.withBlockSize(blockSize.intValue());
    }
    if (rule == null && threshold == null) {
      return chosen;
    }
    Remasking remasking = rule != null ? Remasking.values()[RULES.indexOf(rule)] : Remasking.LOW_CONFIDENCE_DYNAMIC;
    return chosen.withRemasking(remasking, threshold != null ? threshold.floatValue() : Decoding.Block.DEFAULTS.confidenceThreshold());
  }

  private static boolean usage(Fields fields, boolean stream) {
    Fields streaming = fields.object("stream_options");
    if (streaming == null) {
      return false;
    }
    if (!stream) {
      throw fields.invalid("stream_options", "needs stream: true");
    }
    boolean usage = streaming.flag("include_usage");
    streaming.ignore("include_obfuscation");
    streaming.refuseTheRest();
    return usage;
  }

  private static boolean logprobs(Fields fields) {
    boolean logprobs = fields.flag("logprobs");
    Long others = fields.integer("top_logprobs", 0, 20);
    if (others != null && !logprobs) {
      throw fields.invalid("top_logprobs", "needs logprobs: true");
    }
    if (others != null && others > 0) {
      throw fields.invalid("top_logprobs", "only 0 can be given: a denoising step tells the probability of the token that it chose, and of "
          + "no other");
    }
    return logprobs;
  }

  private static List<String> stops(Fields fields) {
    JsonNode stop = fields.get("stop");
    List<String> stops = new ArrayList<>();
    if (stop != null && stop.isArray()) {
      stop.forEach(s -> stops.add(s.textValue()));
    } else if (stop != null) {
      stops.add(stop.textValue());
    }
    if (stops.size() > MAX_STOPS || stops.stream().anyMatch(s -> s == null || s.isEmpty() || s.length() > MAX_STOP_CHARS)) {
      throw fields.invalid("stop", "must be a string or up to " + MAX_STOPS + " of them, of 1 to " + MAX_STOP_CHARS + " characters each");
    }
    return stops;
  }

  private static Long length(Fields fields) {
    Long older = fields.integer("max_tokens", 1, 1 << 20);
    Long newer = fields.integer("max_completion_tokens", 1, 1 << 20);
    if (older != null && newer != null && !older.equals(newer)) {
      throw fields.invalid("max_completion_tokens", "differs from max_tokens");
    }
    return newer != null ? newer : older;
  }

  /** Fields of the API that would change the answer, and that this server cannot honour: only values that ask for nothing pass. */
  private static void refuseWhatIsNotThere(Fields fields) {
    for (String name : List.of("presence_penalty", "frequency_penalty")) {
      Double value = fields.number(name, -2, 2);
      if (value != null && value != 0) {
        throw fields.invalid(name, "only 0 is supported");
      }
    }
    JsonNode modalities = fields.array("modalities");
    if (modalities != null && !(modalities.size() == 1 && "text".equals(modalities.get(0).textValue()))) {
      throw fields.invalid("modalities", "only [\"text\"] is supported");
    }
    fields.refuseUnlessEmpty("functions", "logit_bias");
    JsonNode call = fields.get("function_call");
    if (call != null && !"none".equals(call.textValue()) && !"auto".equals(call.textValue())) {
      throw fields.invalid("function_call", "is not supported; that is tool_choice");
    }
    for (String name : List.of("audio", "prediction", "web_search_options", "reasoning_effort", "verbosity")) {
      if (fields.get(name) != null) {
        throw fields.invalid(name, "is not supported");
      }
    }
  }

  /** The length of the answer: what was asked for, else the default or what is left for it. */
  private int fit(int prompt, Long asked, int blockSize) {
    int limit = Math.min(config.text().maxPositionEmbeddings(), kvTokens - kvTokens % blockSize);
    int most = Math.min(config.tokenizerModelMaxLength(), limit - 1);
    if (prompt > most || asked != null && prompt + asked > limit) {
      throw ApiError.invalid("messages", "context_length_exceeded", "This model's maximum context length is " + limit + " tokens"
          + (most < limit - 1 ? ", " + most + " of them in the messages" : "") + ". The messages have " + prompt
          + (asked == null ? "." : ", and " + asked + " were asked for as an answer."));
    }
    return (int) (asked != null ? asked : Math.min(options.limits().defaultTokens(), limit - prompt));
  }
}
