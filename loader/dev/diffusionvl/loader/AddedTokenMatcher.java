// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Finds added tokens such as {@code <|im_end|>} in text: from left to right, the longest at each position. */
final class AddedTokenMatcher {
  private record Entry(String content, int id) {}

  /** What stands between two added tokens, and the tokens themselves, in order. */
  interface Sink {
    void text(String text);

    void token(int id);
  }

  private final Map<Character, List<Entry>> byFirst = new HashMap<>();

  void add(String content, int id) {
    List<Entry> entries = byFirst.computeIfAbsent(content.charAt(0), first -> new ArrayList<>());
    entries.add(new Entry(content, id));
    entries.sort(Comparator.comparingInt((Entry e) -> e.content.length()).reversed());
  }

  void split(String text, Sink sink) {
    int start = 0;
    for (int i = 0; i < text.length();) {
      Entry entry = at(text, i);
      if (entry == null) {
        i++;
        continue;
      }
      if (i > start) {
        sink.text(text.substring(start, i));
      }
      sink.token(entry.id);
      i += entry.content.length();
      start = i;
    }
    if (start < text.length()) {
      sink.text(text.substring(start));
    }
  }

  private Entry at(String text, int position) {
    for (Entry entry : byFirst.getOrDefault(text.charAt(position), List.of())) {
      if (text.startsWith(entry.content, position)) {
        return entry;
      }
    }
    return null;
  }
}
