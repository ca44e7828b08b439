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

  /** @param system whether it is the system's, else it is the user's or the assistant's */
  private record Message(String path, boolean system, boolean user, List<Part> parts) {
    boolean empty() {
      return parts.stream().allMatch(part -> part.imageUrl() == null && part.text().isEmpty());
    }
  }

  Request read(JsonNode array, Budget.Lease lease) {
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
    return request(messages, lease);
  }

  private Message message(Fields message) {
    String role = message.text("role");
    switch (role) {
      case null -> throw message.invalid("role", "is missing");
      case "system", "developer", "user", "assistant" -> { }
      default -> throw message.invalid("role", "must be one of system, developer, user, assistant");
    }
    JsonNode content = message.get("content");
    List<Part> parts = new ArrayList<>();
    if (content != null && content.isTextual()) {
      parts.add(new Part(plain(content.textValue()), null, null));
    } else if (content != null && content.isArray()) {
      for (int i = 0; i < content.size(); i++) {
        parts.add(part(new Fields(message.path("content") + "[" + i + "]", content.get(i)), role.equals("user")));
      }
    } else {
      throw message.invalid("content", "must be a string or an array of parts");
    }
    message.refuseUnlessEmpty("tool_calls", "function_call", "audio");
    message.ignore("name", "refusal", "annotations");
    message.refuseTheRest();
    return new Message(message.path("content"), role.equals("system") || role.equals("developer"), role.equals("user"), parts);
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
  private Request request(List<Message> messages, Budget.Lease lease) {
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
