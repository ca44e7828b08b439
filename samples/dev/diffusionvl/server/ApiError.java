// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.model.EngineException;
import dev.diffusionvl.model.NumericalException;
import dev.diffusionvl.model.PromptLimitException;

/** A request is refused, or its answer failed: what the client is told. */
final class ApiError extends RuntimeException {
  private static final int MAX_MESSAGE = 1000;

  private final int status;
  private final String type;
  private final String param;
  private final String code;

  private ApiError(int status, String type, String param, String code, String message) {
    super(message.length() > MAX_MESSAGE ? message.substring(0, MAX_MESSAGE) : message, null, false, false);
    this.status = status;
    this.type = type;
    this.param = param;
    this.code = code;
  }

  /** The request's own fault, answered with 400. @param param the field, or null */
  static ApiError invalid(String param, String message) {
    return invalid(param, null, message);
  }

  static ApiError invalid(String param, String code, String message) {
    return new ApiError(400, "invalid_request_error", param, code, message);
  }

  /** The request's own fault, answered with a status that says more than 400. */
  static ApiError refused(int status, String code, String message) {
    return new ApiError(status, "invalid_request_error", null, code, message);
  }

  static ApiError noSuchModel(String name) {
    return new ApiError(404, "invalid_request_error", "model", "model_not_found", "The model `" + name + "` does not exist.");
  }

  /** Too much at once; the same request may be taken later. */
  static ApiError busy(String message) {
    return new ApiError(429, "rate_limit_error", null, "server_busy", message);
  }

  static ApiError unavailable(String message) {
    return new ApiError(503, "server_error", null, "unavailable", message);
  }

  /** What an engine threw, or a generation ended with. */
  static ApiError of(Throwable failure) {
    return switch (failure) {
      case ApiError e -> e;
      case EngineException.QueueFull e -> busy(e.getMessage());
      case EngineException.DeadlineExceeded e -> new ApiError(504, "server_error", null, "timeout", e.getMessage());
      case EngineException.Closed e -> unavailable(e.getCause() == null ? "the server is shutting down" : "the device failed");
      case PromptLimitException e -> invalid("messages", "context_length_exceeded", e.getMessage());
      case BadInputException e -> invalid("messages", e.getMessage());
      case NumericalException e -> new ApiError(500, "server_error", null, "numerical_error", e.getMessage());
      default -> new ApiError(500, "server_error", null, "internal_error", "internal error: " + failure.getClass().getSimpleName());
    };
  }

  int status() {
    return status;
  }

  /** Seconds after which it is worth to try again, or 0. */
  int retryAfter() {
    return switch (status) {
      case 429 -> 1;
      case 503 -> 5;
      default -> 0;
    };
  }

  ObjectNode json() {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.putObject("error").put("message", getMessage()).put("type", type).put("param", param).put("code", code);
    return json;
  }
}
