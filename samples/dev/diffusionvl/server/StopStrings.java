// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import java.util.List;

/**
 * Cuts a text that arrives in pieces in front of the first of some strings: the one that is complete first, and of those the longest. What
 * could be the beginning of one is held back. How the text is cut into pieces makes no difference.
 */
final class StopStrings {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private boolean found;

  StopStrings(List<String> stops) {
    this.stops = stops;
  }

  /** The text that is certain to stand before a stop string, with {@code more} behind what came before. */
  String accept(String more) {
    if (found) {
      return "";
    }
    held.append(more);
    int cut = -1;
    int end = Integer.MAX_VALUE;
    for (String stop : stops) {
      int at = held.indexOf(stop);
      int behind = at + stop.length();
      if (at >= 0 && (behind < end || behind == end && at < cut)) {
        cut = at;
        end = behind;
      }
    }
    found = cut >= 0;
    return take(found ? cut : held.length() - heldBack());
  }

  /** Characters at the end that a stop string begins with. */
  private int heldBack() {
    int longest = 0;
    for (String stop : stops) {
      for (int n = Math.min(stop.length() - 1, held.length()); n > longest; n--) {
        if (stop.startsWith(held.substring(held.length() - n))) {
          longest = n;
        }
      }
    }
    return longest;
  }

  private String take(int length) {
    String text = held.substring(0, length);
    held.delete(0, length);
    return text;
  }

  boolean found() {
    return found;
  }

  /** What was held back, at the end of a text without a stop string. */
  String finish() {
    return found ? "" : take(held.length());
  }
}
