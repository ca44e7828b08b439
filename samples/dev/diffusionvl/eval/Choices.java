// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;

/** Choices of a question, as lines "A. text". */
final class Choices {
  private Choices() {}

  static String letter(int choice) {
    return String.valueOf((char) ('A' + choice));
  }

  static String lines(List<String> options) {
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < options.size(); i++) {
      lines.append(i == 0 ? "" : "\n").append(letter(i)).append(". ").append(options.get(i));
    }
    return lines.toString();
  }
}
