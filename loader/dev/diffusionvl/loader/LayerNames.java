// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** The layers that a list in a quantization configuration names: by name, by a part of the name, or by a pattern. Immutable. */
final class LayerNames {
  private static final String PATTERN = "re:";
  private static final int MAX_STEPS = 100_000; // of matching one name: a stranger's pattern must not run for ever

  private final Set<String> names = new LinkedHashSet<>();
  private final List<Predicate<String>> rules = new ArrayList<>();

  private LayerNames() {}

  /**
   * Whole names of layers or of modules that hold them, and patterns ("re:…") that a name must begin with, as compressed-tensors has it.
   */
  static LayerNames of(JsonObject json, String field) {
    LayerNames read = new LayerNames();
    for (String entry : strings(json, field)) {
      if (entry.startsWith(PATTERN)) {
        Pattern pattern = compile(json, field, entry.substring(PATTERN.length()));
        read.rules.add(name -> pattern.matcher(new Bounded(name, new int[1])).lookingAt());
      } else {
        read.names.add(entry);
        read.rules.add(name -> name.equals(entry) || name.startsWith(entry + "."));
      }
    }
    return read;
  }

  /** Parts that a name may hold anywhere, as transformers has it. */
  static LayerNames partsOf(JsonObject json, String field) {
    LayerNames read = new LayerNames();
    for (String entry : strings(json, field)) {
      read.rules.add(name -> name.contains(entry));
    }
    return read;
  }

  private static List<String> strings(JsonObject json, String field) {
    List<String> entries = new ArrayList<>();
    for (Object entry : json.list(field) == null ? List.of() : json.list(field)) {
      if (!(entry instanceof String text) || text.isEmpty()) {
        throw json.error(field, "expected names, found " + entry);
      }
      entries.add(text);
    }
    return entries;
  }

  private static Pattern compile(JsonObject json, String field, String text) {
    try {
      return Pattern.compile(text);
    } catch (PatternSyntaxException e) {
      throw json.error(field, "'" + text + "' is no pattern: " + e.getDescription());
    }
  }

  /** Whether an entry is spelt exactly so. */
  boolean lists(String name) {
    return names.contains(name);
  }

  boolean contains(String layer) {
    try {
      return rules.stream().anyMatch(rule -> rule.test(layer));
    } catch (TooLong | StackOverflowError e) {
      throw new BadInputException("quantization_config: a pattern for names of layers takes too long to match '" + layer + "'", e);
    }
  }

  private static final class TooLong extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** A text that may be looked at so many times. */
  private record Bounded(CharSequence text, int[] looks) implements CharSequence {
    @Override
    public char charAt(int index) {
      if (++looks[0] > MAX_STEPS) {
        throw new TooLong();
      }
      return text.charAt(index);
    }

    @Override
    public int length() {
      return text.length();
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return new Bounded(text.subSequence(start, end), looks);
    }

    @Override
    public String toString() {
      return text.toString();
    }
  }
}
