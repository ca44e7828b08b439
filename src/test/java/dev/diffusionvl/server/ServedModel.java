// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Engine;
import dev.diffusionvl.model.EngineOptions;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** The demo model behind a server on a free port of this machine, and a client of it. */
final class ServedModel implements AutoCloseable {
  static final String NAME = "demo";
  static final Path IMAGE = Path.of("samples/images/square-and-cross.png");
  static final ObjectMapper JSON = new ObjectMapper();
  static final EngineOptions SMALL = EngineOptions.DEFAULTS.withSlots(4).withQueue(8).withKvTokens(8192);

  final Device device;
  final DiffusionVl model;
  final Engine engine;
  final ChatServer server;
  private volatile HttpClient client = HttpClient.newHttpClient();

  ServedModel() {
    this(SMALL, options());
  }

  ServedModel(EngineOptions engineOptions, ServerOptions options) {
    this(engineOptions, options, PublicAddress::is);
  }

  ServedModel(EngineOptions engineOptions, ServerOptions options, Predicate<InetAddress> reachable) {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    model = DiffusionVl.load(device, Path.of("samples/models/diffusionvl-tiny"), DType.F32);
    engine = model.newEngine(engineOptions);
    try {
      server = new ChatServer(model, engine, options, new RemoteImages(options.imageHosts(), options.limits().bodyBytes(), reachable));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static ServerOptions options() {
    return options(ServerOptions.Limits.DEFAULTS);
  }

  static ServerOptions options(ServerOptions.Limits limits) {
    return new ServerOptions("127.0.0.1", 0, NAME, ApiKeys.NONE, Set.of(), limits);
  }

  /** Closes the connections that are kept for further requests. */
  void hangUp() {
    client.close();
    client = HttpClient.newHttpClient();
  }

  URI uri(String path) {
    return URI.create("http://127.0.0.1:" + server.port() + path);
  }

  HttpResponse<String> send(HttpRequest.Builder request) throws IOException, InterruptedException {
    return client.send(request.timeout(Duration.ofMinutes(2)).build(), BodyHandlers.ofString());
  }

  HttpResponse<String> get(String path) throws IOException, InterruptedException {
    return send(HttpRequest.newBuilder(uri(path)));
  }

  HttpRequest.Builder completion(byte[] body) {
    return HttpRequest.newBuilder(uri("/v1/chat/completions")).header("Content-Type", "application/json")
        .POST(BodyPublishers.ofByteArray(body));
  }

  /** The lines of a response, as they come. */
  Stream<String> lines(byte[] body) throws IOException, InterruptedException {
    return client.send(completion(body).build(), BodyHandlers.ofLines()).body();
  }

  HttpResponse<String> post(String body) throws IOException, InterruptedException {
    return send(completion(body.getBytes(java.nio.charset.StandardCharsets.UTF_8)));
  }

  HttpResponse<String> post(JsonNode body) throws IOException, InterruptedException {
    return post(body.toString());
  }

  /** A response that must be good, parsed. */
  JsonNode answer(JsonNode body) throws IOException, InterruptedException {
    HttpResponse<String> response = post(body);
    if (response.statusCode() != 200) {
      throw new AssertionError(response.statusCode() + " " + response.body());
    }
    return JSON.readTree(response.body());
  }

  /** The data of a stream's events; the last must be {@code [DONE]}, which is left out. */
  List<JsonNode> stream(ObjectNode body) throws IOException, InterruptedException {
    HttpResponse<String> response = post(body.put("stream", true));
    if (response.statusCode() != 200 || !response.headers().firstValue("Content-Type").orElse("").startsWith("text/event-stream")) {
      throw new AssertionError(response.statusCode() + " " + response.headers() + response.body());
    }
    List<JsonNode> events = new ArrayList<>();
    String[] blocks = response.body().split("\n\n");
    for (int i = 0; i < blocks.length - 1; i++) {
      if (!blocks[i].startsWith("data: ")) {
        throw new AssertionError(blocks[i]);
      }
      events.add(JSON.readTree(blocks[i].substring(6)));
    }
    if (!blocks[blocks.length - 1].equals("data: [DONE]")) {
      throw new AssertionError("the last event is " + blocks[blocks.length - 1]);
    }
    return events;
  }

  /** A request with one message. */
  static ObjectNode ask(String question, int tokens) {
    ObjectNode body = JSON.createObjectNode().put("model", NAME).put("max_tokens", tokens);
    body.putArray("messages").addObject().put("role", "user").put("content", question);
    return body;
  }

  /** A request about the sample picture. */
  static ObjectNode askImage(String question, int tokens) {
    ObjectNode body = ask("", tokens);
    ArrayNode parts = ((ObjectNode) body.get("messages").get(0)).putArray("content");
    parts.addObject().put("type", "image_url").putObject("image_url").put("url", dataUri(IMAGE));
    parts.addObject().put("type", "text").put("text", question);
    return body;
  }

  static String dataUri(Path image) {
    try {
      return "data:image/png;base64," + Base64.getEncoder().encodeToString(Files.readAllBytes(image));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static RgbImage image() {
    return ImageFiles.read(IMAGE);
  }

  /** What the engine answers, without a server. */
  GenerationResult direct(Request request, GenerationOptions options) {
    return engine.submit(request, options, GenerationListener.NONE).await();
  }

  static String text(JsonNode completion) {
    return completion.at("/choices/0/message/content").asText();
  }

  /** Waits until nothing is in work. */
  void awaitIdle() throws InterruptedException {
    for (int i = 0; engine.stats().running() + engine.stats().waiting() > 0; i++) {
      if (i > 1000) {
        throw new AssertionError("still in work: " + engine.stats());
      }
      Thread.sleep(20);
    }
  }

  @Override
  public void close() {
    client.close();
    server.close();
    engine.close();
    model.close();
    device.close();
  }
}
