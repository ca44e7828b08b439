// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** Turns ids into text one by one; characters whose bytes are split across ids come out whole. For one thread. */
public final class StreamDecoder {
  private final Tokenizer tokenizer;
  private final Utf8Decoder utf8;

  StreamDecoder(Tokenizer tokenizer, Utf8Decoder utf8) {
    this.tokenizer = tokenizer;
    this.utf8 = utf8;
  }

  /** A decoder that continues from here on its own. */
  public StreamDecoder copy() {
    return new StreamDecoder(tokenizer, utf8.copy());
  }

  /** The characters that this id completes; "" for special tokens, ids without text and unfinished characters. */
  public String accept(int id) {
    byte[] bytes = tokenizer.textBytes(id);
    if (bytes == null) {
      return "";
    }
    utf8.accept(bytes);
    return utf8.take();
  }

  /** What is left at the end; an unfinished character becomes U+FFFD. The decoder can be used again afterwards. */
  public String finish() {
    return utf8.finish();
  }
}
