// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Locale;

/** Recognises what stands in place of a file when a download or a checkout went wrong, by its first bytes. */
public final class ForeignContent {
  /** First bytes that are enough to tell. */
  public static final int HEAD_BYTES = 256;

  private ForeignContent() {}

  /** @throws BadInputException if these are the first bytes of a Git LFS pointer, a web page, an archive or a GGUF file */
  public static void refuse(Path file, byte[] head) {
    String found = of(head);
    if (found != null) {
      throw BadInputException.of(file, "is " + found);
    }
  }

  /** What the bytes are, in words, or null if nothing that is known here. */
  static String of(byte[] head) {
    String start = new String(head, 0, Math.min(HEAD_BYTES, head.length), StandardCharsets.ISO_8859_1);
    if (start.startsWith("version https://git-lfs.github.com/spec/")) {
      return "a Git LFS pointer, not the file itself; fetch it with: git lfs pull";
    }
    if (start.startsWith("PK\3\4")) {
      return "a zip archive; unpack it, or convert PyTorch weights to safetensors";
    }
    if (start.startsWith("\u001f\u008b")) {
      return "a gzip archive; unpack it";
    }
    if (start.startsWith("GGUF")) {
      return "a GGUF file, a format that is not supported";
    }
    if (start.startsWith("%PDF-")) {
      return "a PDF document, a format that is not supported";
    }
    if (start.startsWith("ftyp", 4)) {
      return "an image or film of the HEIF, AVIF or MP4 kind, which is not supported; save the image as JPEG or PNG";
    }
    String text = start.replaceFirst("^(?:\u00ef\u00bb\u00bf)?\\s*", "").toLowerCase(Locale.ROOT);
    if (text.startsWith("<svg") || text.startsWith("<?xml") && text.contains("<svg")) {
      return "an SVG drawing, a format that is not supported; save it as PNG";
    }
    if (text.startsWith("<!doctype html") || text.startsWith("<html") || text.startsWith("<head") || text.startsWith("<?xml")) {
      return "a web page, such as a server's error or login page, not the file itself; download it again";
    }
    boolean answer = text.startsWith("entry not found") || text.startsWith("invalid username or password")
        || text.startsWith("access to model ") || text.startsWith("404: not found");
    return answer ? "a server's answer to a failed download, not the file itself; download it again" : null;
  }
}
