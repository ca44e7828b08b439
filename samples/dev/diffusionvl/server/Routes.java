// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.model.Engine;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Callback;

/** Which path means what, who may ask, and how errors are told. */
final class Routes extends Handler.Abstract {
  private static final System.Logger LOG = System.getLogger("dev.diffusionvl.server");
  private static final String COMPLETIONS = "/v1/chat/completions";
  private static final String MODELS = "/v1/models";
  private static final Pattern LOOPBACK = Pattern.compile("127(\\.\\d{1,3}){3}");
  private static final Duration LAST_WRITE = Duration.ofSeconds(60); // for an answer's last bytes, once its time is over

  private final Engine engine;
  private final ServerOptions options;
  private final boolean neighboursOnly;
  private final ChatHandler chat;
  private final Metrics metrics;
  private final Connections connections;
  private final Budget budget;
  private final Duration patience;
  private final long created = System.currentTimeMillis() / 1000;
  private final AtomicInteger inWork = new AtomicInteger();
  private volatile boolean draining;

  /** @param address that is listened on */
  Routes(Engine engine, ServerOptions options, InetAddress address, ChatHandler chat, Metrics metrics, Connections connections,
      Budget budget) {
    this.engine = engine;
    this.options = options;
    this.chat = chat;
    this.metrics = metrics;
    this.connections = connections;
    this.budget = budget;
    neighboursOnly = address.isLoopbackAddress() && options.keys().open();
    patience = options.limits().body().plus(options.limits().request()).plus(LAST_WRITE);
  }

  /** Requests for answers are refused from now on. */
  void drain() {
    draining = true;
  }

  /** Waits until no request is being answered, or the time is over. */
  void awaitIdle(Duration time) throws InterruptedException {
    for (long end = System.nanoTime() + time.toNanos(); inWork.get() > 0 && System.nanoTime() - end < 0; ) {
      Thread.sleep(10);
    }
  }

  @Override
  public boolean handle(Request request, Response response, Callback callback) {
    Exchange exchange = new Exchange(request, response);
    connections.answers(exchange.connection(), patience);
    Throwable failure = null;
    try {
      answerOrRefuse(exchange);
      metrics.responded(response.getStatus());
    } catch (IOException e) {
      metrics.abandoned();
      failure = e;
    }
    connections.waits(exchange.connection());
    if (failure == null) {
      callback.succeeded();
    } else {
      callback.failed(failure);
    }
    exchange.finish();
    return true;
  }

  private void answerOrRefuse(Exchange exchange) throws IOException {
    ApiError error;
    try {
      answer(exchange);
      return;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      error = ApiError.unavailable("the server is shutting down");
    } catch (RuntimeException e) {
      error = ApiError.of(e);
      if (error.status() == 500) {
        LOG.log(System.Logger.Level.ERROR, exchange.method() + " " + exchange.path(), e);
      }
    }
    exchange.error(error);
  }

  private void answer(Exchange exchange) throws IOException, InterruptedException {
    String path = exchange.path();
    requireNeighbour(exchange);
    if (path.startsWith("/v1/") && !options.keys().admit(exchange.header(HttpHeader.AUTHORIZATION))) {
      throw ApiError.refused(401, "invalid_api_key", "Incorrect API key provided.");
    }
    if (path.equals(COMPLETIONS)) {
      requireMethod(exchange, "POST");
      complete(exchange);
    } else if (path.equals(MODELS)) {
      requireMethod(exchange, "GET", "HEAD");
      ObjectNode list = JsonNodeFactory.instance.objectNode().put("object", "list");
      list.putArray("data").add(model());
      exchange.json(200, list);
    } else if (path.startsWith(MODELS + "/")) {
      requireMethod(exchange, "GET", "HEAD");
      String name = path.substring(MODELS.length() + 1);
      if (!name.equals(options.modelName())) {
        throw ApiError.noSuchModel(name);
      }
      exchange.json(200, model());
    } else if (path.equals("/health")) {
      requireMethod(exchange, "GET", "HEAD");
      String status = engine.failure() != null ? "failed" : draining ? "draining" : "ok";
      exchange.json(status.equals("ok") ? 200 : 503, JsonNodeFactory.instance.objectNode().put("status", status));
    } else if (path.equals("/metrics")) {
      requireMethod(exchange, "GET", "HEAD");
      exchange.send(200, metrics.contentType(), metrics.text());
    } else if (Page.has(path)) {
      requireMethod(exchange, "GET", "HEAD");
      Page.send(exchange);
    } else {
      throw ApiError.refused(404, "unknown_url", "Unknown request URL: " + exchange.method() + " " + path);
    }
  }

  private void complete(Exchange exchange) throws IOException, InterruptedException {
    if (draining) {
      throw ApiError.unavailable("the server is shutting down");
    }
    if (!exchange.bodyIsJson()) {
      throw ApiError.refused(415, "unsupported_media_type", "the body must be JSON, and Content-Type say application/json");
    }
    inWork.incrementAndGet();
    try (Budget.Lease lease = budget.lease()) {
      chat.handle(exchange, lease);
    } finally {
      inWork.decrementAndGet();
    }
  }

  private ObjectNode model() {
    return JsonNodeFactory.instance.objectNode().put("id", options.modelName()).put("object", "model").put("created", created)
        .put("owned_by", "diffusionvl");
  }

  private static void requireMethod(Exchange exchange, String... allowed) {
    if (!List.of(allowed).contains(exchange.method())) {
      exchange.put("Allow", String.join(", ", allowed));
      throw ApiError.refused(405, "method_not_allowed", "Not allowed to " + exchange.method() + " on " + exchange.path());
    }
  }

  /**
   * A server for this machine alone answers only who calls it by a name of this machine: a page in a browser could have its own name
   * resolve to this machine and so read what it is not meant to.
   */
  private void requireNeighbour(Exchange exchange) {
    String host = exchange.host().toLowerCase(Locale.ROOT);
    if (neighboursOnly && !host.equals("localhost") && !LOOPBACK.matcher(host).matches() && !host.equals("[::1]") && !host.equals("::1")
        && !host.equalsIgnoreCase(options.host())) {
      throw ApiError.refused(421, "unknown_host", "this server is for its own machine, and is not called " + host);
    }
  }

  /** What the server itself refuses: broken HTTP, heads that are too large, what fails before or beside an exchange. */
  static byte[] refusal(int status, String message) {
    return ApiError.refused(status, null, message == null ? "refused" : message).json().toString().getBytes(StandardCharsets.UTF_8);
  }
}
