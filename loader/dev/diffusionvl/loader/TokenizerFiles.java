// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonParser.NumberType;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads the files of a Qwen2.5 tokenizer, in either form. What would make a different tokenizer (another split
 * expression, other options of the merging) is refused instead of ignored.
 */
final class TokenizerFiles {
  static final int MAX_FILE_BYTES = 64 << 20;
  /** Ids index arrays; a file of a few bytes must not claim gigabytes by a single large id. */
  private static final int MAX_ID = 1 << 22;
  private static final String NO_ID = " is no token id (0.." + (MAX_ID - 1) + ")";

  private final Map<String, Integer> vocabulary = new HashMap<>();
  private final List<String> merges = new ArrayList<>();
  private final Map<Integer, AddedTokens.Token> added = new LinkedHashMap<>();
  /** The files in which the vocabulary and, later, the merges were found, for errors. */
  private Path vocabularyFile;
  private Path file;

  private TokenizerFiles() {}

  static Tokenizer load(Path modelDir) {
    TokenizerFiles files = new TokenizerFiles();
    Path single = modelDir.resolve("tokenizer.json");
    if (InputFiles.present(single)) {
      files.readTokenizerJson(single);
    } else if (InputFiles.present(modelDir.resolve("vocab.json"))) {
      files.readVocabulary(modelDir.resolve("vocab.json"));
      files.readMerges(modelDir.resolve("merges.txt"));
    } else {
      throw BadInputException.of(modelDir, "tokenizer.json", "no such file, nor vocab.json");
    }
    files.readTokenizerConfig(modelDir.resolve("tokenizer_config.json"));
    files.readAddedTokens(modelDir.resolve("added_tokens.json"));
    return files.build();
  }

  private void readTokenizerJson(Path path) {
    file = path;
    vocabularyFile = path;
    Json.parse(path, InputFiles.read(path, MAX_FILE_BYTES), parser -> {
      Json.requireObject(path, "", parser);
      boolean model = false;
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        String field = parser.currentName();
        parser.nextToken();
        switch (field) {
          case "model" -> {
            readModel(parser);
            model = true;
          }
          case "added_tokens" -> readAddedList(parser);
          case "normalizer" -> requireNfc(Json.value(parser));
          case "pre_tokenizer" -> requireKnownSplit(Json.value(parser));
          default -> parser.skipChildren();
        }
      }
      if (!model) {
        throw BadInputException.of(path, "model", "missing");
      }
      return null;
    });
  }

  private void requireNfc(Object normalizer) {
    if (!(normalizer instanceof Map<?, ?> map && "NFC".equals(map.get("type")))) {
      throw BadInputException.of(file, "normalizer", "not NFC, as Qwen2.5 has it");
    }
  }

  private void requireKnownSplit(Object preTokenizer) {
    boolean known = preTokenizer instanceof Map<?, ?> sequence
        && sequence.get("pretokenizers") instanceof List<?> list && !list.isEmpty()
        && list.getFirst() instanceof Map<?, ?> split
        && split.get("pattern") instanceof Map<?, ?> pattern && PreTokenizer.PATTERN.equals(pattern.get("Regex"));
    if (!known) {
      throw BadInputException.of(file, "pre_tokenizer", "does not split as Qwen2.5 does");
    }
  }

  private void readModel(JsonParser parser) throws IOException {
    Json.requireObject(file, "model", parser);
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String field = parser.currentName();
      parser.nextToken();
      switch (field) {
        case "type" -> requireOption(field, "BPE".equals(Json.value(parser)));
        case "byte_fallback", "ignore_merges", "fuse_unk" ->
            requireOption(field, !Boolean.TRUE.equals(Json.value(parser)));
        case "continuing_subword_prefix", "end_of_word_suffix" -> {
          Object value = Json.value(parser);
          requireOption(field, value == null || value.equals(""));
        }
        case "vocab" -> readVocabulary(parser, "model.vocab");
        case "merges" -> readMergeList(parser);
        default -> parser.skipChildren();
      }
    }
  }

  private void requireOption(String field, boolean asQwen) {
    if (!asQwen) {
      throw BadInputException.of(file, "model." + field, "not as in Qwen2.5's byte-level BPE");
    }
  }

  private void readVocabulary(Path path) {
    file = path;
    vocabularyFile = path;
    Json.parse(path, InputFiles.read(path, MAX_FILE_BYTES), parser -> {
      readVocabulary(parser, "vocabulary");
      return null;
    });
  }

  private void readVocabulary(JsonParser parser, String where) throws IOException {
    Json.requireObject(file, where, parser);
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String entry = parser.currentName();
      parser.nextToken();
      // no text is built for the 150,000 entries that are right: this loop is most of the loading
      boolean whole = parser.currentToken() == JsonToken.VALUE_NUMBER_INT && parser.getNumberType() == NumberType.INT;
      int id = whole ? parser.getIntValue() : -1;
      if (id < 0 || id >= MAX_ID) {
        throw BadInputException.of(file, where + "." + entry, parser.getText() + NO_ID);
      }
      vocabulary.put(entry, id);
    }
  }

  private static int requireId(Object value, Path file, String where) {
    if (value instanceof Long id && id >= 0 && id < MAX_ID) {
      return id.intValue();
    }
    throw BadInputException.of(file, where, value + NO_ID);
  }

  private void readMergeList(JsonParser parser) throws IOException {
    Json.requireToken(file, "model.merges", parser, JsonToken.START_ARRAY, "an array");
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      // newer files store pairs, older ones a line with a space between
      Object merge = Json.value(parser);
      if (merge instanceof String line) {
        merges.add(line);
      } else if (merge instanceof List<?> pair && pair.size() == 2) {
        merges.add(pair.get(0) + " " + pair.get(1));
      } else {
        throw BadInputException.of(file, "model.merges[" + merges.size() + "]", "expected a pair");
      }
    }
  }

  private void readMerges(Path path) {
    file = path;
    byte[] bytes = InputFiles.read(path, MAX_FILE_BYTES);
    ForeignContent.refuse(path, bytes);
    String text = new String(bytes, StandardCharsets.UTF_8);
    text.lines().filter(line -> !line.isBlank() && !line.startsWith("#version")).forEach(merges::add);
    if (merges.isEmpty()) {
      throw BadInputException.of(path, "no merges, though " + vocabularyFile.getFileName() + " is there");
    }
  }

  private void readAddedList(JsonParser parser) throws IOException {
    if (!(Json.value(parser) instanceof List<?> list)) {
      throw BadInputException.of(file, "added_tokens", "expected an array");
    }
    for (Object token : list) {
      String where = "added_tokens[" + added.size() + "]";
      if (!(token instanceof Map<?, ?> fields)) {
        throw BadInputException.of(file, where, "expected an object");
      }
      addToken(file, where, requireId(fields.get("id"), file, where + ".id"), fields);
    }
  }

  /** added_tokens_decoder of tokenizer_config.json: id as a string to the same fields. */
  private void readTokenizerConfig(Path path) {
    if (!InputFiles.present(path)) {
      return;
    }
    JsonObject decoder = Json.readObject(path, MAX_FILE_BYTES).object("added_tokens_decoder");
    if (decoder == null) {
      return;
    }
    for (Map.Entry<String, Object> entry : decoder.fields().entrySet()) {
      String where = "added_tokens_decoder." + entry.getKey();
      if (!(entry.getValue() instanceof Map<?, ?> fields)) {
        throw BadInputException.of(path, where, "expected an object");
      }
      addToken(path, where, requireId(parseId(entry.getKey()), path, where), fields);
    }
  }

  private static Object parseId(String key) {
    try {
      return Long.valueOf(key);
    } catch (NumberFormatException e) {
      return key;
    }
  }

  private void addToken(Path path, String where, int id, Map<?, ?> fields) {
    for (String flag : List.of("lstrip", "rstrip", "single_word")) {
      if (Boolean.TRUE.equals(fields.get(flag))) {
        throw BadInputException.of(path, where, flag + " is not supported");
      }
    }
    if (!(fields.get("content") instanceof String text) || text.isEmpty()) {
      throw BadInputException.of(path, where, "content is missing or empty");
    }
    added.putIfAbsent(id, new AddedTokens.Token(id, text, Boolean.TRUE.equals(fields.get("special"))));
  }

  /** added_tokens.json: text to id; it does not say which are special, so {@code <|…|>} is taken for that. */
  private void readAddedTokens(Path path) {
    if (!InputFiles.present(path)) {
      return;
    }
    JsonObject tokens = Json.readObject(path, MAX_FILE_BYTES);
    for (Map.Entry<String, Object> entry : tokens.fields().entrySet()) {
      int id = requireId(entry.getValue(), path, entry.getKey());
      if (entry.getKey().isEmpty()) {
        throw BadInputException.of(path, "id " + id, "content is empty");
      }
      boolean special = entry.getKey().startsWith("<|") && entry.getKey().endsWith("|>");
      added.putIfAbsent(id, new AddedTokens.Token(id, entry.getKey(), special));
    }
  }

  private Tokenizer build() {
    int[] byteIds = new int[256];
    for (int b = 0; b < 256; b++) {
      Integer id = vocabulary.get(String.valueOf(ByteAlphabet.symbol(b)));
      if (id == null) {
        throw BadInputException.of(vocabularyFile, "vocabulary", "no token for byte " + b + ": not a byte-level one");
      }
      byteIds[b] = id;
    }
    int maxId = 0;
    for (int id : vocabulary.values()) {
      maxId = Math.max(maxId, id);
    }
    for (int id : added.keySet()) {
      maxId = Math.max(maxId, id);
    }
    byte[][] textBytes = new byte[maxId + 1][];
    for (Map.Entry<String, Integer> entry : vocabulary.entrySet()) {
      int id = entry.getValue();
      if (textBytes[id] != null) {
        throw BadInputException.of(
            vocabularyFile, "vocabulary." + entry.getKey(), "id " + id + " is another entry's too");
      }
      textBytes[id] = ByteAlphabet.bytes(entry.getKey());
    }
    for (AddedTokens.Token token : added.values()) {
      textBytes[token.id()] = token.special() ? null : token.text().getBytes(StandardCharsets.UTF_8);
    }
    return new Tokenizer(new AddedTokens(added.values()), mergeTable(), byteIds, textBytes);
  }

  private BytePairMerges mergeTable() {
    BytePairMerges table = new BytePairMerges(merges.size());
    for (int rank = 0; rank < merges.size(); rank++) {
      String line = merges.get(rank);
      int space = line.indexOf(' ');
      if (space <= 0 || space == line.length() - 1 || line.indexOf(' ', space + 1) >= 0) {
        throw BadInputException.of(file, "merges[" + rank + "]", "'" + line + "' is no pair of tokens");
      }
      String left = line.substring(0, space);
      String right = line.substring(space + 1);
      table.put(idOfMerged(left, rank), idOfMerged(right, rank), rank, idOfMerged(left + right, rank));
    }
    return table;
  }

  private int idOfMerged(String entry, int rank) {
    Integer id = vocabulary.get(entry);
    if (id == null) {
      throw BadInputException.of(file, "merges[" + rank + "]", "'" + entry + "' is not in the vocabulary");
    }
    return id;
  }
}
