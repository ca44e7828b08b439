// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.TimeoutException;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.io.EndPoint;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;

/** A request and its response, for the thread that answers it; reading and writing block. */
final class Exchange {
  static final int BODY_COST = 4; // bytes of memory per byte of a body: received, copied, parsed, decoded
  private static final int LINGER = 4; // a body that is too large is read up to so many times the limit, so that its client reads why

  private final Request request;
  private final Response response;
  private final EndPoint connection;
  private final long begun = System.nanoTime();
  private boolean streaming;
  private boolean pipelined;

  Exchange(Request request, Response response) {
    this.request = request;
    this.response = response;
    connection = request.getConnectionMetaData().getConnection().getEndPoint();
    request.addIdleTimeoutListener(timeout -> false); // an answer may take longer than a connection may be idle
  }

  String method() {
    return request.getMethod();
  }

  /** The path that is asked for; "" where the request names none. */
  String path() {
    String path = request.getHttpURI().getDecodedPath();
    return path == null ? "" : path;
  }

  String header(HttpHeader name) {
    return request.getHeaders().get(name);
  }

  /** When the request's head was read, by System.nanoTime. */
  long begun() {
    return begun;
  }

  /** How the client calls this server. */
  String host() {
    return Request.getServerName(request);
  }

  EndPoint connection() {
    return connection;
  }

  /**
   * The whole body.
   *
   * @param lease is charged for it
   */
  byte[] body(ServerOptions.Limits limits, Budget.Lease lease) throws IOException {
    ByteArrayOutputStream body = new ByteArrayOutputStream();
    byte[] piece = new byte[64 << 10];
    long end = System.nanoTime() + limits.body().toNanos();
    long size = 0;
    try (InputStream in = Content.Source.asInputStream(request)) {
      for (int n = in.read(piece); n >= 0; n = in.read(piece)) {
        size += n;
        if (System.nanoTime() - end > 0) {
          throw late(limits.body());
        }
        if (size <= limits.bodyBytes()) {
          lease.take((long) BODY_COST * n);
          body.write(piece, 0, n);
        } else if (size > (long) LINGER * limits.bodyBytes()) {
          break;
        }
      }
    } catch (IOException e) {
      if (e.getCause() instanceof TimeoutException) {
        throw late(limits.idle());
      }
      throw e;
    }
    if (size > limits.bodyBytes()) {
      throw ApiError.refused(413, "request_too_large", "the body is larger than " + limits.bodyBytes() + " bytes");
    }
    return body.toByteArray();
  }

  private static ApiError late(Duration time) {
    return ApiError.refused(408, "request_timeout", "the body did not arrive within " + time.toSeconds() + " s");
  }

  void json(int status, JsonNode json) throws IOException {
    send(status, "application/json", json.toString().getBytes(StandardCharsets.UTF_8));
  }

  void error(ApiError error) throws IOException {
    if (streaming) {
      event(error.json().toString());
      event("[DONE]");
      return;
    }
    if (error.retryAfter() > 0) {
      put("Retry-After", Integer.toString(error.retryAfter()));
    }
    if (error.status() == 401) {
      put("WWW-Authenticate", "Bearer");
    }
    json(error.status(), error.json());
  }

  void put(String header, String value) {
    response.getHeaders().put(header, value);
  }

  void send(int status, String type, byte[] content) throws IOException {
    response.setStatus(status);
    put("Content-Type", type);
    put("Content-Length", Integer.toString(content.length));
    put("X-Content-Type-Options", "nosniff");
    if (pipelined) {
      put("Connection", "close");
    }
    Content.Sink.write(response, true, method().equals("HEAD") ? ByteBuffer.allocate(0) : ByteBuffer.wrap(content));
  }

  /** Begins a stream of server-sent events. */
  void stream() throws IOException {
    put("Content-Type", "text/event-stream; charset=utf-8");
    put("Cache-Control", "no-cache");
    put("X-Accel-Buffering", "no"); // nginx would collect the events
    put("X-Content-Type-Options", "nosniff");
    streaming = true;
  }

  void event(String data) throws IOException {
    write("data: " + data + "\n\n");
  }

  /** Something that clients skip, so that the connection is seen to be alive. */
  void comment() throws IOException {
    write(":\n\n");
  }

  private void write(String text) throws IOException {
    Content.Sink.write(response, false, ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
  }

  void endStream() throws IOException {
    Content.Sink.write(response, true, ByteBuffer.allocate(0));
  }

  /**
   * Whether the client has closed its connection, or its side of it. To be asked after the body was read: the server itself reads again
   * only when the response is complete, and would not notice before.
   */
  boolean abandoned() {
    if (pipelined) {
      return false;
    }
    try {
      int read = connection.fill(ByteBuffer.allocate(1).limit(0)); // Jetty's buffers are in reading order: this one is empty
      // A client that sends its next request already: what it sent is lost, so the connection ends with this response.
      pipelined = read > 0;
      return read < 0;
    } catch (IOException e) {
      return true;
    }
  }

  /** Ends the connection if it cannot serve another request. */
  void finish() {
    if (pipelined) {
      connection.close();
    }
  }

  boolean streaming() {
    return streaming;
  }

  /** Whether the header names JSON; without one, not. */
  boolean bodyIsJson() {
    String type = header(HttpHeader.CONTENT_TYPE);
    return type != null && type.split(";")[0].strip().toLowerCase(Locale.ROOT).equals("application/json");
  }
}
