// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What the tokenizer files of a model directory say: tokenizer.json, or else vocab.json with merges.txt and the added
 * tokens of tokenizer_config.json or added_tokens.json. Anything that would need another algorithm than spec 3.1 is
 * refused by name.
 */
final class TokenizerFiles {
  /** Spec 3.1, step 3. */
  static final String PRE_TOKENIZER = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
      + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  /** Tokens index arrays, so a broken id must not ask for gigabytes; real vocabularies end near 150,000. */
  private static final int MAX_ID = 1 << 22;

  record Merge(String left, String right) {}

  /** @param normalized matched after NFC rather than in the raw text */
  record AddedToken(String content, boolean special, boolean normalized) {}

  final Map<String, Integer> vocabulary = new HashMap<>();
  final List<Merge> merges = new ArrayList<>();
  final Map<Integer, AddedToken> addedTokens = new LinkedHashMap<>();
  /** The files that gave the vocabulary and the merges, for messages. */
  final Path vocabularyFile;
  final Path mergesFile;

  private TokenizerFiles(Path vocabularyFile, Path mergesFile) {
    this.vocabularyFile = vocabularyFile;
    this.mergesFile = mergesFile;
  }

  static TokenizerFiles read(Path modelDir) {
    Path whole = modelDir.resolve("tokenizer.json");
    Path vocab = modelDir.resolve("vocab.json");
    Path merges = modelDir.resolve("merges.txt");
    if (Files.exists(whole)) {
      TokenizerFiles files = new TokenizerFiles(whole, whole);
      JsonFile.readObject(whole, json -> name -> files.readWhole(json, name));
      files.requireFilled("model.vocab", "model.merges");
      return files;
    }
    if (!Files.exists(vocab) || !Files.exists(merges)) {
      throw new BadInputException(
          modelDir + ": tokenizer.json: missing, and no vocab.json with merges.txt instead of it");
    }
    TokenizerFiles files = new TokenizerFiles(vocab, merges);
    JsonFile.readObject(vocab, json -> name -> files.addToVocabulary(json, name));
    files.readMergesText();
    files.requireFilled("vocabulary", "merges");
    files.readAddedTokens(modelDir);
    return files;
  }

  private void readWhole(JsonFile json, String name) throws IOException {
    switch (name) {
      case "model" -> json.object("model", field -> readModel(json, field));
      case "added_tokens" -> json.array(name, index -> readAddedToken(json, "added_tokens[" + index + "]", null));
      case "pre_tokenizer" -> checkPreTokenizer(json, name);
      default -> json.skip();
    }
  }

  private void readModel(JsonFile json, String name) throws IOException {
    String path = "model." + name;
    switch (name) {
      case "type" -> require(json.string(path).equals("BPE"), json, path, "only BPE is supported");
      case "vocab" -> json.object(path, token -> addToVocabulary(json, token));
      case "merges" -> json.array(path, index -> merges.add(readMerge(json, path + "[" + index + "]")));
      case "byte_fallback", "ignore_merges" ->
          require(json.atNull() || !json.bool(path), json, path, "true is not supported");
      case "continuing_subword_prefix", "end_of_word_suffix" ->
          require(json.atNull() || json.string(path).isEmpty(), json, path, "is not supported");
      default -> json.skip();
    }
  }

  private void addToVocabulary(JsonFile json, String token) throws IOException {
    String path = "vocabulary entry \"" + token + "\"";
    int id = json.integer(path);
    require(id >= 0 && id < MAX_ID, json, path, "id " + id + " is outside 0.." + (MAX_ID - 1));
    require(vocabulary.put(token, id) == null, json, path, "appears twice");
  }

  /** "left right" in older files, ["left", "right"] in newer ones. */
  private static Merge readMerge(JsonFile json, String path) throws IOException {
    if (!json.atArray()) {
      Merge merge = splitMerge(json.string(path));
      require(merge != null, json, path, "must be two tokens with a space between");
      return merge;
    }
    List<String> parts = new ArrayList<>();
    json.array(path, index -> parts.add(json.string(path)));
    require(parts.size() == 2, json, path, "must be two tokens, is " + parts.size());
    return new Merge(parts.get(0), parts.get(1));
  }

  private static Merge splitMerge(String line) {
    int space = line.indexOf(' ');
    boolean two = space > 0 && space < line.length() - 1 && line.indexOf(' ', space + 1) < 0;
    return two ? new Merge(line.substring(0, space), line.substring(space + 1)) : null;
  }

  private void readMergesText() {
    List<String> lines;
    try {
      lines = Files.readAllLines(mergesFile, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new BadInputException(mergesFile + ": cannot be read as UTF-8 text: " + e.getMessage());
    }
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i);
      // only the version line is a comment: "# #" is a merge
      if (line.isEmpty() || line.startsWith("#version")) {
        continue;
      }
      Merge merge = splitMerge(line);
      if (merge == null) {
        throw BadInputException.of(mergesFile, "line " + (i + 1), "must be two tokens with a space between");
      }
      merges.add(merge);
    }
  }

  /**
   * Unlike the vocabulary these also match inside text. tokenizer_config.json knows more of them than
   * added_tokens.json does.
   */
  private void readAddedTokens(Path modelDir) {
    Path specials = modelDir.resolve("special_tokens_map.json");
    Set<String> special = new HashSet<>();
    if (Files.exists(specials)) {
      JsonFile.readObject(specials, json -> name -> readSpecial(json, name, special));
    }
    Path added = modelDir.resolve("added_tokens.json");
    if (Files.exists(added)) {
      JsonFile.readObject(added, json -> content ->
          addToken(json, content, json.integer(content), new AddedToken(content, special.contains(content), false)));
    }
    Path config = modelDir.resolve("tokenizer_config.json");
    if (Files.exists(config)) {
      JsonFile.readObject(config, json -> name -> {
        if (name.equals("added_tokens_decoder")) {
          json.object(name, id -> readAddedToken(json, name + "." + id, id));
        } else {
          json.skip();
        }
      });
    }
  }

  /** A token's text, or an object with it as `content`, or a list of such. */
  private static void readSpecial(JsonFile json, String path, Set<String> special) throws IOException {
    if (json.atArray()) {
      json.array(path, index -> readSpecial(json, path, special));
    } else if (json.atObject()) {
      json.object(path, field -> {
        if (field.equals("content")) {
          special.add(json.string(path + ".content"));
        } else {
          json.skip();
        }
      });
    } else if (!json.atNull()) {
      special.add(json.string(path));
    }
  }

  /** @param key the id where the file keeps it outside the object, else null */
  private void readAddedToken(JsonFile json, String path, String key) throws IOException {
    var token = new Object() {
      Integer id = key == null ? null : parseId(json, path, key);
      String content;
      boolean special;
      boolean normalized;
    };
    json.object(path, name -> {
      String field = path + "." + name;
      switch (name) {
        case "id" -> token.id = json.integer(field);
        case "content" -> token.content = json.string(field);
        case "special" -> token.special = json.bool(field);
        case "normalized" -> token.normalized = json.bool(field);
        case "lstrip", "rstrip", "single_word" -> require(!json.bool(field), json, field, "true is not supported");
        default -> json.skip();
      }
    });
    require(token.id != null, json, path + ".id", "missing");
    require(token.content != null && !token.content.isEmpty(), json, path + ".content", "missing or empty");
    addToken(json, path, token.id, new AddedToken(token.content, token.special, token.normalized));
  }

  private void addToken(JsonFile json, String path, int id, AddedToken token) {
    require(id >= 0 && id < MAX_ID, json, path, "id " + id + " is outside 0.." + (MAX_ID - 1));
    require(!token.content.isEmpty(), json, path, "an added token without text");
    addedTokens.put(id, token);
  }

  private static int parseId(JsonFile json, String path, String key) {
    try {
      return Integer.parseInt(key);
    } catch (NumberFormatException e) {
      throw json.bad(path, "must be named by its id");
    }
  }

  /** A split pattern that is not Qwen2.5's would give other tokens without any error. */
  private static void checkPreTokenizer(JsonFile json, String path) throws IOException {
    if (json.atArray()) {
      json.array(path, index -> checkPreTokenizer(json, path + "[" + index + "]"));
    } else if (json.atObject()) {
      json.object(path, name -> checkPreTokenizer(json, path + "." + name));
    } else if (path.endsWith(".Regex")) {
      require(json.string(path).equals(PRE_TOKENIZER), json, path, "is not the split pattern of Qwen2.5");
    }
  }

  private void requireFilled(String vocabularyField, String mergesField) {
    if (vocabulary.isEmpty()) {
      throw BadInputException.of(vocabularyFile, vocabularyField, "missing or empty");
    }
    if (merges.isEmpty()) {
      throw BadInputException.of(mergesFile, mergesField, "missing or empty");
    }
  }

  private static void require(boolean condition, JsonFile json, String path, String problem) {
    if (!condition) {
      throw json.bad(path, problem);
    }
  }
}
