// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import dev.diffusionvl.model.Engine;
import dev.diffusionvl.model.EngineStats;
import io.prometheus.metrics.core.metrics.Counter;
import io.prometheus.metrics.core.metrics.CounterWithCallback;
import io.prometheus.metrics.core.metrics.GaugeWithCallback;
import io.prometheus.metrics.core.metrics.Histogram;
import io.prometheus.metrics.expositionformats.PrometheusTextFormatWriter;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import io.prometheus.metrics.model.snapshots.Labels;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.function.IntSupplier;
import java.util.function.ToDoubleFunction;

/**
 * What the server counts, for Prometheus. Where a metric means what it means for vLLM it has vLLM's name, so that its dashboards show it;
 * the others begin with {@code dvl:}. docs/serving.md lists them.
 */
final class Metrics {
  private static final double[] SECONDS = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600};
  private static final double[] SECONDS_PER_TOKEN = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5};
  private static final double[] TOKENS = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000};
  private static final double[] COUNTS = {1, 2, 4, 8, 16};

  private final PrometheusRegistry registry = new PrometheusRegistry();
  private final PrometheusTextFormatWriter writer = PrometheusTextFormatWriter.builder().setIncludeCreatedTimestamps(false).build();
  private final Labels labels;
  private final Histogram firstToken;
  private final Histogram whole;
  private final Histogram perToken;
  private final Histogram promptTokens;
  private final Histogram answerTokens;
  private final Histogram askedTokens;
  private final Histogram choices;
  private final Histogram tokensPerForward;
  private final Counter success;
  private final Counter responses;
  private final Counter abandoned;

  Metrics(Engine engine, String model, IntSupplier connections) {
    labels = Labels.of("model_name", model);
    gauge("vllm:num_requests_running", "answers that are being denoised", () -> engine.stats().running());
    gauge("vllm:num_requests_waiting", "answers that wait for a slot", () -> engine.stats().waiting());
    GaugeWithCallback.builder().name("vllm:kv_cache_usage_perc").help("share of the memory for keys and values in use, 0 to 1")
        .constLabels(labels).callback(c -> c.call(share(engine.stats()))).register(registry);
    counter("vllm:prompt_tokens", "embeddings of prompts", engine, EngineStats::promptTokens);
    counter("vllm:generation_tokens", "tokens of answers", engine, EngineStats::generatedTokens);
    counter("vllm:prefix_cache_queries", "embeddings of prompts that were looked for in the prefix cache", engine,
        EngineStats::promptTokens);
    counter("vllm:prefix_cache_hits", "embeddings of prompts that came from the prefix cache", engine, EngineStats::prefixTokens);
    counter("dvl:forwards", "passes through the language model", engine, EngineStats::forwards);
    counter("dvl:answers_cancelled", "answers that were given up: clients gone, stop strings found", engine, EngineStats::cancelled);
    counter("dvl:answers_failed", "answers that ended with an error", engine, EngineStats::failed);
    gauge("dvl:slots", "answers that can be denoised at the same time", () -> engine.stats().slots());
    gauge("dvl:connections", "open connections", connections);
    firstToken = histogram("vllm:time_to_first_token_seconds", "from a request's arrival to its first block", SECONDS);
    whole = histogram("vllm:e2e_request_latency_seconds", "from a request's arrival to its answer's end", SECONDS);
    perToken = histogram("vllm:request_time_per_output_token_seconds", "time of a token behind the first block", SECONDS_PER_TOKEN);
    promptTokens = histogram("vllm:request_prompt_tokens", "embeddings of a prompt", TOKENS);
    answerTokens = histogram("vllm:request_generation_tokens", "tokens of an answer", TOKENS);
    askedTokens = histogram("vllm:request_params_max_tokens", "tokens that an answer may have", TOKENS);
    choices = histogram("vllm:request_params_n", "answers asked for by a request", COUNTS);
    tokensPerForward = histogram("dvl:tokens_per_forward", "positions filled by a denoising pass, mean of an answer",
        new double[] {1, 1.25, 1.5, 2, 3, 4, 6, 8});
    success = Counter.builder().name("vllm:request_success").help("answers finished").labelNames("finished_reason").constLabels(labels)
        .register(registry);
    responses = Counter.builder().name("dvl:http_responses").help("responses by status").labelNames("status").register(registry);
    abandoned = Counter.builder().name("dvl:http_abandoned").help("requests whose client went away").register(registry);
  }

  private static double share(EngineStats stats) {
    return stats.kvTokens() == 0 ? 0 : (double) stats.kvTokensUsed() / stats.kvTokens();
  }

  private void gauge(String name, String help, IntSupplier value) {
    GaugeWithCallback.builder().name(name).help(help).constLabels(labels).callback(c -> c.call(value.getAsInt())).register(registry);
  }

  private void counter(String name, String help, Engine engine, ToDoubleFunction<EngineStats> value) {
    CounterWithCallback.builder().name(name).help(help).constLabels(labels).callback(c -> c.call(value.applyAsDouble(engine.stats())))
        .register(registry);
  }

  private Histogram histogram(String name, String help, double[] bounds) {
    return Histogram.builder().name(name).help(help).constLabels(labels).classicOnly().classicUpperBounds(bounds).register(registry);
  }

  void responded(int status) {
    responses.labelValues(Integer.toString(status)).inc();
  }

  void abandoned() {
    abandoned.inc();
  }

  /** Everything, as text. */
  byte[] text() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    writer.write(out, registry.scrape());
    return out.toByteArray();
  }

  String contentType() {
    return writer.getContentType();
  }

  /** @param begun when the request arrived, by System.nanoTime */
  Watch watch(ChatRequest chat, long begun) {
    promptTokens.observe(chat.promptTokens());
    askedTokens.observe(chat.options().genLength());
    choices.observe(chat.choices());
    return new Watch(begun);
  }

  /** The times of one request. For one thread. */
  final class Watch {
    private final long begun;
    private long first;

    Watch(long begun) {
      this.begun = begun;
    }

    void text() {
      if (first == 0) {
        first = System.nanoTime();
        firstToken.observe((first - begun) / 1e9);
      }
    }

    void finished(Answer.End end) {
      long now = System.nanoTime();
      int tokens = end.answer().tokens();
      whole.observe((now - begun) / 1e9);
      answerTokens.observe(tokens);
      success.labelValues(end.answer().finishReason(end.result())).inc();
      if (first != 0 && tokens > 1) {
        perToken.observe((now - first) / 1e9 / tokens);
      }
      if (end.result().counts().denoise() > 0) {
        tokensPerForward.observe(end.result().counts().commitsPerForward());
      }
    }
  }
}
