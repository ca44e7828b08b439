// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** Turns ids into text one by one; characters whose bytes are split across ids come out whole. For one thread. */
public final class StreamDecoder {
  private final Tokenizer tokenizer;
  private final Utf8Decoder utf8 = new Utf8Decoder();

  StreamDecoder(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
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
