// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/**
 * A checkpoint's own chat template, wherever its library has put it. Prompts are written in ChatML and not by the template, so all that
 * counts here is whether the model was made for something else.
 */
final class ChatTemplate {
  private static final String CHAT_ML = "<|im_start|>";
  private static final String FIELD = "chat_template";
  private static final List<String> OBJECTS = List.of("chat_template.json", "processor_config.json", "tokenizer_config.json");

  private ChatTemplate() {}

  /**
   * What a user should know of the template, or of its absence; usually nothing.
   *
   * @throws BadInputException if a file that should have it cannot be read
   */
  static List<String> remarks(Path modelDir) {
    Path plain = modelDir.resolve("chat_template.jinja");
    if (InputFiles.present(plain)) {
      return judged(plain, new String(InputFiles.read(plain, TokenizerFiles.MAX_FILE_BYTES), StandardCharsets.UTF_8));
    }
    for (String name : OBJECTS) {
      Path file = modelDir.resolve(name);
      JsonObject object = InputFiles.present(file) ? Json.readObject(file, TokenizerFiles.MAX_FILE_BYTES) : null;
      Object template = object == null ? null : object.fields().get(FIELD);
      if (template instanceof String || template instanceof List) { // a list is of named ones; anything else is no template
        return judged(file, template.toString());
      }
    }
    return List.of(modelDir + ": " + FIELD + ": stands in none of the usual files; prompts are written in ChatML (" + CHAT_ML + ")");
  }

  private static List<String> judged(Path file, String template) {
    return template.contains(CHAT_ML) ? List.of()
        : List.of(file + ": " + FIELD + ": is not ChatML (" + CHAT_ML + "), in which prompts are written all the same");
  }
}
