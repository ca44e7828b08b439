// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Finds the records of a JSON list or of JSON lines in one pass over the bytes, without parsing them: it follows strings and brackets
 * only, eight bytes at a time within strings. What a record holds is checked when it is read; a list whose brackets do not match has no
 * records that could be told apart, so it is refused as a whole.
 */
final class RecordScan {
  private static final int CHUNK = 1 << 20;
  /** Bytes before the present one that stay in reach when the next chunk is taken. */
  private static final int KEPT = 16;
  private static final int MAX_DEPTH = 64;
  private static final int END = -1;
  private static final byte[] IMAGE = "image".getBytes(StandardCharsets.US_ASCII);

  private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final long ONES = 0x0101010101010101L;
  private static final long HIGH_BITS = 0x8080808080808080L;

  /** Bytes that mean something outside strings; all others are skipped. */
  private static final boolean[] MEANS = new boolean[256];

  static {
    for (char c : "{}[]\",:\nn".toCharArray()) {
      MEANS[c] = true;
    }
  }

  /** How far the scan is with the name "image" in a record. */
  private enum ImageField { NOT_SEEN, NAME, COLON, HAS_VALUE }

  private final Path file;
  private final MemorySegment data;
  private final byte[] buffer = new byte[KEPT + CHUNK];
  private final RecordIndex index = new RecordIndex();
  private long base; // place of buffer[0] in the file
  private int at;
  private int limit;
  private boolean lines;
  private ImageField image;

  private RecordScan(Path file, MemorySegment data) {
    this.file = file;
    this.data = data;
  }

  /**
   * @param file only named in errors
   * @param data all of its bytes
   * @throws BadInputException if it is a list that does not end, whose brackets do not match, or that is followed by something
   */
  static RecordIndex scan(Path file, MemorySegment data) {
    RecordScan scan = new RecordScan(file, data);
    scan.skipByteOrderMark();
    scan.lines = scan.peek() != '[';
    if (scan.lines) {
      scan.lines();
    } else {
      scan.list();
    }
    return scan.index;
  }

  private void skipByteOrderMark() {
    fill();
    if (limit >= 3 && buffer[0] == (byte) 0xef && buffer[1] == (byte) 0xbb && buffer[2] == (byte) 0xbf) {
      at = 3;
    }
  }

  private void lines() {
    while (peek() != END) {
      long start = position();
      image = ImageField.NOT_SEEN;
      nested();
      index.add(start, position() - start, image == ImageField.HAS_VALUE);
    }
  }

  private void list() {
    at++;
    boolean empty = peek() == ']';
    while (!empty) {
      peek();
      long start = position();
      image = ImageField.NOT_SEEN;
      value();
      index.add(start, position() - start, image == ImageField.HAS_VALUE);
      int next = peek();
      if (next == ']') {
        break;
      }
      if (next != ',') {
        throw malformed(next == END ? "the list does not end" : "expected ',' or ']' after record " + index.size());
      }
      at++;
    }
    at++;
    if (peek() != END) {
      throw malformed("something follows the list");
    }
  }

  /** One record of a list. */
  private void value() {
    int first = peek();
    if (first == '{' || first == '[') {
      nested();
    } else if (first == '"') {
      at++;
      string();
    } else {
      long start = position();
      while (available() && ",]} \t\r\n".indexOf(buffer[at]) < 0) {
        at++;
      }
      if (position() == start) {
        throw malformed("record " + (index.size() + 1) + " is missing");
      }
    }
  }

  /** To the end of the value that opens here, or, in lines, to the end of the line. */
  private void nested() {
    int depth = 0;
    long braces = 0; // a bit for each open bracket, the innermost lowest: 1 for a brace
    while (available()) {
      int b = buffer[at] & 0xff;
      if (!MEANS[b]) {
        at++;
        continue;
      }
      if (b == '\n' && lines) {
        return;
      }
      at++;
      switch (b) {
        case '"' -> {
          image = image == ImageField.COLON ? ImageField.HAS_VALUE : image;
          if (string() && depth == 1 && image == ImageField.NOT_SEEN && saysImage()) {
            image = ImageField.NAME;
          }
        }
        case '{', '[' -> {
          image = image == ImageField.COLON && b == '[' ? ImageField.HAS_VALUE : image;
          depth++;
          braces = braces << 1 | (b == '{' ? 1 : 0);
          requireShallow(depth);
        }
        case '}', ']' -> {
          boolean matches = (braces & 1) == (b == '}' ? 1 : 0);
          if (!lines && !matches) {
            throw malformed("a bracket of record " + (index.size() + 1) + " is closed by '" + (char) b + "'");
          }
          braces >>>= 1;
          depth--;
          if (!lines && depth == 0) {
            return;
          }
        }
        case ':' -> image = image == ImageField.NAME ? ImageField.COLON : image;
        case ',', 'n' -> image = image == ImageField.HAS_VALUE ? image : ImageField.NOT_SEEN; // n: null
        default -> { }
      }
    }
    if (!lines) {
      throw malformed("record " + (index.size() + 1) + " does not end");
    }
  }

  private void requireShallow(int depth) {
    if (!lines && depth > MAX_DEPTH) {
      throw malformed("record " + (index.size() + 1) + " is nested more than " + MAX_DEPTH + " deep");
    }
  }

  /** To behind the quote that closes the string. False if the line, or the file, ends before. */
  private boolean string() {
    while (available()) {
      at += plainBytes();
      if (!available()) {
        break;
      }
      byte b = buffer[at];
      if (b == '\n' && lines) {
        return false;
      }
      at++;
      if (b == '"') {
        return true;
      }
      if (b == '\\' && available() && buffer[at] != '\n') {
        at++;
      }
    }
    if (!lines) {
      throw malformed("a string of record " + (index.size() + 1) + " does not end");
    }
    return false;
  }

  /** Bytes from here on, eight at a time, that are neither quote nor backslash nor the end of a line. */
  private int plainBytes() {
    int from = at;
    for (; from + Long.BYTES <= limit; from += Long.BYTES) {
      long word = (long) LONGS.get(buffer, from);
      long hits = zeroBytes(word ^ '"' * ONES) | zeroBytes(word ^ '\\' * ONES) | zeroBytes(word ^ '\n' * ONES);
      if (hits != 0) {
        return from - at + Long.numberOfTrailingZeros(hits) / Byte.SIZE;
      }
    }
    return from - at;
  }

  /** The high bit of every byte that is 0, exact up to the lowest such byte. */
  private static long zeroBytes(long word) {
    return (word - ONES) & ~word & HIGH_BITS;
  }

  /** Whether the string that ends here is "image". */
  private boolean saysImage() {
    int end = at - 1;
    int start = end - IMAGE.length;
    return start > 0 && buffer[start - 1] == '"' && Arrays.equals(buffer, start, end, IMAGE, 0, IMAGE.length);
  }

  /** The next byte that is no white space, not taken; END behind the last. */
  private int peek() {
    while (available()) {
      byte b = buffer[at];
      if (b != ' ' && b != '\n' && b != '\r' && b != '\t') {
        return b & 0xff;
      }
      at++;
    }
    return END;
  }

  private boolean available() {
    return at < limit || fill();
  }

  private boolean fill() {
    int kept = Math.min(KEPT, limit);
    long next = base + limit;
    int more = (int) Math.min(CHUNK, data.byteSize() - next);
    if (more == 0) {
      return false;
    }
    System.arraycopy(buffer, limit - kept, buffer, 0, kept);
    MemorySegment.copy(data, ValueLayout.JAVA_BYTE, next, buffer, kept, more);
    base = next - kept;
    at = kept;
    limit = kept + more;
    return true;
  }

  private long position() {
    return base + at;
  }

  private BadInputException malformed(String problem) {
    return BadInputException.of(file, "not a list of records: " + problem + " (byte " + position() + ")");
  }
}
