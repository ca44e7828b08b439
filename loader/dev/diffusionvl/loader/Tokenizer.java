// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalInt;

/**
 * The byte-level BPE of Qwen2.5 (docs/model.md, "Tokenizer"). Added tokens are looked for in the text as given, the rest is brought into
 * NFC, split and merged: the order of the reference's fast tokenizer. Nothing is added in front or behind. Immutable
 * and safe for use by several threads.
 */
public final class Tokenizer {
  /** Text at or above this character may not be in NFC. */
  private static final char FIRST_COMBINING = '\u0300';

  private final AddedTokens added;
  private final BytePairMerges merges;
  private final int[] byteIds;
  private final byte[][] textBytes;

  /**
   * @param byteIds the id of each byte on its own
   * @param textBytes per id what it decodes to; null for special tokens and ids without text
   */
  Tokenizer(AddedTokens added, BytePairMerges merges, int[] byteIds, byte[][] textBytes) {
    this.added = added;
    this.merges = merges;
    this.byteIds = byteIds;
    this.textBytes = textBytes;
  }

  /**
   * Reads tokenizer.json, else vocab.json and merges.txt, with the added tokens of added_tokens.json and
   * tokenizer_config.json. Memory: a small multiple of the files' sizes, which may be 64 MB each.
   *
   * @throws BadInputException naming the file and what is wrong; also if it describes another kind of tokenizer
   */
  public static Tokenizer load(Path modelDir) {
    return TokenizerFiles.load(modelDir);
  }

  /**
   * Ids of a text; the texts of added tokens in it become their ids, whoever wrote them. Unpaired surrogates count as
   * U+FFFD.
   *
   * @throws BadInputException if more than 128 combining marks follow each other, which no writing does
   */
  public int[] encode(String text) {
    IdBuffer ids = new IdBuffer();
    int plain = 0;
    int i = 0;
    while (i < text.length()) {
      AddedTokens.Token token = added.at(text, i);
      if (token == null) {
        i++;
        continue;
      }
      encodePlain(text.substring(plain, i), ids);
      ids.add(token.id());
      i += token.text().length();
      plain = i;
    }
    encodePlain(text.substring(plain), ids);
    return ids.toArray();
  }

  private void encodePlain(String raw, IdBuffer ids) {
    String text = normalize(raw);
    PreTokenizer pieces = new PreTokenizer(text);
    int end;
    for (int start = 0; start < text.length(); start = end) {
      end = pieces.pieceEnd(start);
      byte[] bytes = text.substring(start, end).getBytes(StandardCharsets.UTF_8);
      int[] piece = new int[bytes.length];
      for (int i = 0; i < bytes.length; i++) {
        piece[i] = byteIds[bytes[i] & 0xff];
      }
      int length = merges.merge(piece, piece.length);
      for (int i = 0; i < length; i++) {
        ids.add(piece[i]);
      }
    }
  }

  private static String normalize(String text) {
    int i = 0;
    while (i < text.length() && text.charAt(i) < FIRST_COMBINING) {
      i++;
    }
    if (i == text.length()) {
      return text;
    }
    // code points cannot be unpaired surrogates in UTF-8
    StringBuilder whole = new StringBuilder(text.length());
    text.codePoints().forEach(c -> whole.appendCodePoint(c >= 0xd800 && c <= 0xdfff ? 0xfffd : c));
    return Composition.nfc(whole);
  }

  /**
   * The text with a space behind the first character of whatever in it would become an added token, so that it stays text. For what
   * strangers wrote.
   */
  public String withoutAddedTokens(String text) {
    StringBuilder plain = null;
    for (int i = 0; i < text.length(); i++) {
      boolean token = added.at(text, i) != null;
      if (token && plain == null) {
        plain = new StringBuilder(text.substring(0, i));
      }
      if (plain != null) {
        plain.append(text.charAt(i)).append(token ? " " : "");
      }
    }
    return plain == null ? text : plain.toString();
  }

  /** Text of ids; special tokens and ids without text are left out, ill-formed bytes become U+FFFD. */
  public String decode(int[] ids) {
    return decode(ids, 0, ids.length);
  }

  /** Text of the ids from {@code from} up to, not including, {@code to}. */
  public String decode(int[] ids, int from, int to) {
    StreamDecoder decoder = newStreamDecoder();
    StringBuilder text = new StringBuilder();
    for (int i = from; i < to; i++) {
      text.append(decoder.accept(ids[i]));
    }
    return text.append(decoder.finish()).toString();
  }

  /** A decoder for ids that arrive one by one. */
  public StreamDecoder newStreamDecoder() {
    return new StreamDecoder(this, new Utf8Decoder());
  }

  /** The id of an added token such as {@code <|im_end|>}, if there is one of that text. */
  public OptionalInt addedTokenId(String text) {
    AddedTokens.Token token = added.of(text);
    return token == null ? OptionalInt.empty() : OptionalInt.of(token.id());
  }

  /** The bytes that an id decodes to, which need not be whole characters; none for special tokens and ids without text. */
  public byte[] bytes(int id) {
    byte[] bytes = textBytes(id);
    return bytes == null ? new byte[0] : bytes.clone();
  }

  /** What an id decodes to, or null if to nothing; negative ids and ids beyond the vocabulary have no text. */
  byte[] textBytes(int id) {
    return id >= 0 && id < textBytes.length ? textBytes[id] : null;
  }

  /** A growing int array. */
  private static final class IdBuffer {
    private int[] ids = new int[64];
    private int size;

    void add(int id) {
      if (size == ids.length) {
        ids = Arrays.copyOf(ids, 2 * size);
      }
      ids[size++] = id;
    }

    int[] toArray() {
      return Arrays.copyOf(ids, size);
    }
  }
}
