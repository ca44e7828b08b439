// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/**
 * Turns token ids into text as they come: each call gives the characters that are complete by then. All pieces together
 * equal {@link Tokenizer#decode}. Belongs to one thread.
 */
public final class StreamDecoder {
  private final Tokenizer tokenizer;
  private final Utf8Decoder characters = new Utf8Decoder();

  StreamDecoder(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** Complete characters only; special tokens and ids without text give "". */
  public String accept(int id) {
    StringBuilder out = new StringBuilder();
    characters.accept(tokenizer.bytesOf(id), out);
    return out.toString();
  }

  /** The end of the text: U+FFFD if a character was left unfinished, else "". The decoder may then be used again. */
  public String finish() {
    StringBuilder out = new StringBuilder();
    characters.finish(out);
    return out.toString();
  }
}
