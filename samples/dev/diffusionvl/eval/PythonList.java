// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.ArrayList;
import java.util.List;

/** A list of texts and numbers as Python prints it: MMMU has its choices so. */
final class PythonList {
  private static final String ESCAPES = "ntr\\'\"";
  private static final String ESCAPED = "\n\t\r\\'\"";

  private final String text;
  private int at;

  private PythonList(String text) {
    this.text = text;
  }

  /** @throws IllegalArgumentException saying what is wrong */
  static List<String> parse(String text) {
    PythonList list = new PythonList(text.strip());
    List<String> items = new ArrayList<>();
    list.take('[');
    while (!list.at(']')) {
      items.add(list.at('\'') || list.at('"') ? list.string() : list.bare());
      if (!list.at(']')) {
        list.take(',');
      }
    }
    list.take(']');
    if (list.at < list.text.length()) {
      throw new IllegalArgumentException("text behind ']'");
    }
    return items;
  }

  private boolean at(char wanted) {
    while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
      at++;
    }
    return at < text.length() && text.charAt(at) == wanted;
  }

  private void take(char wanted) {
    if (!at(wanted)) {
      throw new IllegalArgumentException(at < text.length() ? "'" + wanted + "' expected at character " + (at + 1) : "it is cut short");
    }
    at++;
  }

  private String string() {
    char quote = text.charAt(at++);
    StringBuilder string = new StringBuilder();
    while (at < text.length() && text.charAt(at) != quote) {
      char c = text.charAt(at++);
      string.append(c == '\\' ? escape() : String.valueOf(c));
    }
    take(quote);
    return string.toString();
  }

  private String escape() {
    char c = at < text.length() ? text.charAt(at++) : 'n';
    int known = ESCAPES.indexOf(c);
    if (known >= 0) {
      return ESCAPED.substring(known, known + 1);
    }
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
    if (digits == 0 || at + digits > text.length()) {
      return "\\" + c; // as Python has it
    }
    at += digits;
    return String.valueOf((char) Integer.parseInt(text.substring(at - digits, at), 16));
  }

  /** A number, or another word without quotes. */
  private String bare() {
    int start = at;
    while (at < text.length() && ",]".indexOf(text.charAt(at)) < 0) {
      at++;
    }
    return text.substring(start, at).strip();
  }
}
