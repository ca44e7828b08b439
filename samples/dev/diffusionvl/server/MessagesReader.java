// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.databind.JsonNode;
import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.Request;
import java.util.ArrayList;
import java.util.List;

/** Reads the messages of a conversation. What strangers wrote stays text: it makes no special tokens and no places of images. */
final class MessagesReader {
  private static final int MAX_MESSAGES = 1024;

  private final Tokenizer tokenizer;
  private final PromptForm form;
  private final ServerOptions.Limits limits;
  private final ImageReader images;

  MessagesReader(Tokenizer tokenizer, PromptForm form, ServerOptions.Limits limits, ImageReader images) {
    this.tokenizer = tokenizer;
    this.form = form;
    this.limits = limits;
    this.images = images;
  }

  /** A part of a message: a text, or the place and address of an image. */
  private record Part(String text, String imagePath, String imageUrl) {}

  /**
   * @param system whether it is the system's, else it is the user's or the assistant's
   * @param result whether it is what a function gave back, which counts as the user's
   */
  private record Message(String path, boolean system, boolean user, boolean result, List<Part> parts) {
    boolean empty() {
      return parts.stream().allMatch(part -> part.imageUrl() == null && part.text().isEmpty());
    }
  }

  /** @param instructions for the model behind the system's messages; null: none */
  Request read(JsonNode array, String instructions, Budget.Lease lease) {
    if (array == null || array.isEmpty()) {
      throw ApiError.invalid("messages", "messages: must be an array of at least one message");
    }
    if (array.size() > MAX_MESSAGES) {
      throw ApiError.invalid("messages", "messages: at most " + MAX_MESSAGES + " are taken");
    }
    List<Message> messages = new ArrayList<>();
    for (int i = 0; i < array.size(); i++) {
      messages.add(message(new Fields("messages[" + i + "]", array.get(i))));
    }
    requireBounds(messages);
    requireOrder(messages);
    return request(messages, instructions, lease);
  }

  private Message message(Fields message) {
    String role = message.text("role");
    switch (role) {
      case null -> throw message.invalid("role", "is missing");
      case "system", "developer", "user", "assistant", "tool" -> { }
      default -> throw message.invalid("role", "must be one of system, developer, user, assistant, tool");
    }
    String called = role.equals("assistant") ? calls(message) : null;
    boolean result = role.equals("tool");
    if (result && message.text("tool_call_id") == null) {
      throw message.invalid("tool_call_id", "is missing");
    }
    JsonNode content = message.get("content");
    List<Part> parts = new ArrayList<>();
    if (content != null && content.isTextual()) {
      parts.add(new Part(plain(content.textValue()), null, null));
    } else if (content != null && content.isArray()) {
      for (int i = 0; i < content.size(); i++) {
        parts.add(part(new Fields(message.path("content") + "[" + i + "]", content.get(i)), role.equals("user")));
      }
    } else if (called == null || content != null) {
      throw message.invalid("content", "must be a string or an array of parts");
    }
    if (called != null) {
      parts.add(new Part(plain(called), null, null));
    }
    message.refuseUnlessEmpty("function_call", "audio");
    if (!role.equals("assistant")) {
      message.refuseUnlessEmpty("tool_calls");
    }
    message.ignore("name", "refusal", "annotations");
    message.refuseTheRest();
    return new Message(message.path("content"), role.equals("system") || role.equals("developer"), role.equals("user") || result, result,
        parts);
  }

  /** The calls of an assistant's message as the model writes them, a line each; null: it calls nothing. */
  private static String calls(Fields message) {
    JsonNode calls = message.array("tool_calls");
    if (calls == null || calls.isEmpty()) {
      return null;
    }
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < calls.size(); i++) {
      Fields function = new Fields(message.path("tool_calls") + "[" + i + "]", calls.get(i)).object("function");
      String name = function == null ? null : function.text("name");
      String arguments = function == null ? null : function.text("arguments");
      if (name == null || arguments == null) {
        throw message.invalid("tool_calls", "each needs a function with a name and arguments");
      }
      lines.add("{\"name\":\"" + name + "\",\"arguments\":" + arguments + "}");
    }
    return String.join("\n", lines);
  }

  private Part part(Fields part, boolean user) {
    String type = part.text("type");
    Part read = switch (type) {
      case null -> throw part.invalid("type", "is missing");
      case "text" -> {
        String text = part.text("text");
        if (text == null) {
          throw part.invalid("text", "is missing");
        }
        yield new Part(plain(text), null, null);
      }
      case "image_url" -> {
        if (!user) {
          throw part.invalid("type", "images stand in messages of the user alone");
        }
        Fields image = part.object("image_url");
        String url = image == null ? null : image.text("url");
        if (url == null) {
          throw part.invalid("image_url", "must be an object with a url");
        }
        image.word("detail", List.of("auto", "low", "high"));
        image.refuseTheRest();
        yield new Part(null, image.path("url"), url);
      }
      default -> throw part.invalid("type", "must be text or image_url");
    };
    part.refuseTheRest();
    return read;
  }

  private String plain(String text) {
    return tokenizer.withoutAddedTokens(text.replace(ChatPrompt.PLACEHOLDER, "< " + ChatPrompt.PLACEHOLDER.substring(1)));
  }

  private void requireBounds(List<Message> messages) {
    long chars = 0;
    int pictures = 0;
    for (Message message : messages) {
      for (Part part : message.parts()) {
        pictures += part.imageUrl() != null ? 1 : 0;
        chars += part.text() != null ? part.text().length() : 0;
      }
    }
    if (chars > limits.textChars()) {
      throw ApiError.invalid("messages", "context_length_exceeded", "messages: " + chars + " characters, at most " + limits.textChars()
          + " are read");
    }
    if (pictures > limits.images()) {
      throw ApiError.invalid("messages", "messages: " + pictures + " images, at most " + limits.images() + " are taken");
    }
  }

  private static void requireOrder(List<Message> messages) {
    boolean begun = false;
    Message before = null;
    for (Message message : messages) {
      if (message.system() && begun) {
        throw ApiError.invalid(message.path(), message.path() + ": system messages stand before all others");
      }
      if (!message.system() && !message.user() && (before == null || !before.user())) {
        throw ApiError.invalid(message.path(), message.path() + ": a message of the assistant follows one of the user");
      }
      if (message.result() && (before == null || before.user() && !before.result() || before.system())) {
        throw ApiError.invalid(message.path(), message.path() + ": a function's result follows a message of the assistant");
      }
      if (message.empty() && message.user()) {
        throw ApiError.invalid(message.path(), message.path() + ": is empty");
      }
      if (message.user() && message.parts().stream().allMatch(part -> part.text() == null || part.text().isEmpty())) {
        throw ApiError.invalid(message.path(), message.path() + ": a message needs a text beside its images");
      }
      begun |= !message.system();
      before = message;
    }
    if (!before.user()) {
      throw ApiError.invalid(before.path(), before.path() + ": the last message must be the user's");
    }
  }

  /** Messages of one kind that follow each other become one, a line each. */
  private Request request(List<Message> messages, String instructions, Budget.Lease lease) {
    Request.Builder request = Request.builder(form);
    StringBuilder system = null;
    boolean user = false;
    for (Message message : messages) {
      if (message.system()) {
        system = system == null ? new StringBuilder() : system.append('\n');
        system.append(texts(message));
      } else if (message.user()) {
        if (user) {
          request.text("\n");
        }
        addParts(request, message, lease);
      } else {
        request.assistant(texts(message));
      }
      user = message.user();
    }
    if (instructions != null) {
      system = system == null ? new StringBuilder() : system.append("\n\n");
      system.append(plain(instructions));
    }
    return (system == null ? request : request.system(system.toString())).build();
  }

  private static String texts(Message message) {
    StringBuilder text = new StringBuilder();
    message.parts().forEach(part -> text.append(part.text()));
    return text.toString();
  }

  private void addParts(Request.Builder request, Message message, Budget.Lease lease) {
    for (Part part : message.parts()) {
      if (part.imageUrl() != null) {
        RgbImage image = images.read(part.imagePath(), part.imageUrl(), lease);
        request.image(image);
      } else {
        request.text(part.text());
      }
    }
  }
}
