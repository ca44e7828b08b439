// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.IntConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * The Qwen2.5 tokenizer (spec 3.1): NFC, added tokens, the split pattern, byte-level BPE. Adds no begin or end token.
 * Immutable, safe for several threads.
 */
public final class Tokenizer {
  private static final Pattern PIECES = Pattern.compile(TokenizerFiles.PRE_TOKENIZER, Pattern.UNICODE_CHARACTER_CLASS);
  private static final byte[] NO_TEXT = {};

  private final BytePairEncoding encoding;
  private final AddedTokenMatcher rawTokens = new AddedTokenMatcher();
  private final AddedTokenMatcher normalizedTokens = new AddedTokenMatcher();
  private final Map<String, Integer> addedIds = new HashMap<>();
  /** The bytes of each id; null for special tokens and for ids without text. */
  private final byte[][] text;

  private Tokenizer(TokenizerFiles files) {
    int ids = 1 + Math.max(files.vocabulary.values().stream().mapToInt(id -> id).max().orElse(0),
        files.addedTokens.keySet().stream().mapToInt(id -> id).max().orElse(0));
    text = new byte[ids][];
    files.vocabulary.forEach((token, id) -> setText(files, token, id));
    files.addedTokens.forEach(this::addToken);
    encoding = new BytePairEncoding(byteTokens(files), pairs(files));
  }

  /**
   * Reads tokenizer.json of a model directory, or vocab.json with merges.txt where there is none.
   *
   * @throws BadInputException if they are missing, broken or of another kind of tokenizer
   */
  public static Tokenizer load(Path modelDir) {
    return new Tokenizer(TokenizerFiles.read(modelDir));
  }

  /**
   * The token ids of a text. An added token's text becomes that token, wherever it stands; unpaired surrogates become
   * U+FFFD.
   */
  public int[] encode(String text) {
    IntStream.Builder ids = IntStream.builder();
    // Added tokens are found before NFC: "<|im_end|>" ends in a character that NFC would join with a following accent.
    rawTokens.split(withoutLoneSurrogates(text), new AddedTokenMatcher.Sink() {
      @Override
      public void text(String part) {
        encodeNormalized(nfc(part), ids);
      }

      @Override
      public void token(int id) {
        ids.accept(id);
      }
    });
    return ids.build().toArray();
  }

  /** The text of tokens: special tokens and ids without text are left out, bytes that are no UTF-8 become U+FFFD. */
  public String decode(int[] ids) {
    StringBuilder out = new StringBuilder();
    Utf8Decoder characters = new Utf8Decoder();
    for (int id : ids) {
      characters.accept(bytesOf(id), out);
    }
    characters.finish(out);
    return out.toString();
  }

  /** For text that appears while it is generated. */
  public StreamDecoder newStreamDecoder() {
    return new StreamDecoder(this);
  }

  /** The id of an added token such as {@code <|image_pad|>}, by its exact text. */
  public OptionalInt addedTokenId(String content) {
    Integer id = addedIds.get(content);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /**
   * The bytes an id adds to the text; none for special tokens and ids without text. Not to be changed by the caller.
   */
  byte[] bytesOf(int id) {
    return id >= 0 && id < text.length && text[id] != null ? text[id] : NO_TEXT;
  }

  private void encodeNormalized(String part, IntConsumer ids) {
    normalizedTokens.split(part, new AddedTokenMatcher.Sink() {
      @Override
      public void text(String plain) {
        Matcher pieces = PIECES.matcher(plain);
        while (pieces.find()) {
          encoding.encode(pieces.group().getBytes(StandardCharsets.UTF_8), ids);
        }
      }

      @Override
      public void token(int id) {
        ids.accept(id);
      }
    });
  }

  /** Nothing below U+0300 changes in NFC; asking first spares short prompts the loading of the Unicode tables. */
  private static String nfc(String text) {
    boolean plain = text.chars().allMatch(c -> c < 0x300);
    return plain ? text : Normalizer.normalize(text, Normalizer.Form.NFC);
  }

  private static String withoutLoneSurrogates(String text) {
    if (text.chars().noneMatch(c -> Character.isSurrogate((char) c))) {
      return text;
    }
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints().map(c -> Character.getType(c) == Character.SURROGATE ? 0xFFFD : c).forEach(out::appendCodePoint);
    return out.toString();
  }

  private void setText(TokenizerFiles files, String token, int id) {
    if (text[id] != null) {
      throw BadInputException.of(
          files.vocabularyFile, "vocabulary entry \"" + token + "\"", "id " + id + " has another token too");
    }
    byte[] bytes = ByteAlphabet.bytes(token);
    text[id] = bytes != null ? bytes : token.getBytes(StandardCharsets.UTF_8);
  }

  private void addToken(int id, TokenizerFiles.AddedToken token) {
    addedIds.put(token.content(), id);
    text[id] = token.special() ? null : token.content().getBytes(StandardCharsets.UTF_8);
    (token.normalized() ? normalizedTokens : rawTokens).add(token.content(), id);
  }

  private static int[] byteTokens(TokenizerFiles files) {
    int[] tokens = new int[256];
    for (int b = 0; b < 256; b++) {
      Integer id = files.vocabulary.get(String.valueOf(ByteAlphabet.symbol(b)));
      if (id == null) {
        throw BadInputException.of(
            files.vocabularyFile, "vocabulary", "no token for byte " + b + ": not a byte-level vocabulary");
      }
      tokens[b] = id;
    }
    return tokens;
  }

  private static BytePairEncoding.PairTable pairs(TokenizerFiles files) {
    BytePairEncoding.PairTable pairs = new BytePairEncoding.PairTable(files.merges.size());
    for (int rank = 0; rank < files.merges.size(); rank++) {
      TokenizerFiles.Merge merge = files.merges.get(rank);
      pairs.put(tokenOfMerge(files, rank, merge.left()), tokenOfMerge(files, rank, merge.right()), rank,
          tokenOfMerge(files, rank, merge.left() + merge.right()));
    }
    return pairs;
  }

  private static int tokenOfMerge(TokenizerFiles files, int rank, String token) {
    Integer id = files.vocabulary.get(token);
    if (id == null) {
      throw BadInputException.of(files.mergesFile, "merge " + rank, "\"" + token + "\" is not in the vocabulary");
    }
    return id;
  }
}
