// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Json;
import dk.brics.automaton.Automaton;
import dk.brics.automaton.BasicAutomata;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;

/**
 * Which texts an answer may be. Whatever the model predicts, a finished answer is one of them (docs/structured-answers.md). Immutable and
 * safe for use by several threads; two that were made from the same wish are equal.
 */
public final class Constraint {
  private static final long SECONDS = 20;
  private static final Object LIBRARY = new Object(); // the automata library numbers its states without a lock

  private final String kind;
  private final String wish;
  private final List<String> choices;
  private final ByteAutomaton bytes;

  private Constraint(String kind, String wish, List<String> choices, Supplier<Automaton> texts) {
    this.kind = kind;
    this.wish = wish;
    this.choices = choices;
    synchronized (LIBRARY) {
      bytes = ScopedValue.where(Reduced.DEADLINE, System.nanoTime() + SECONDS * 1_000_000_000L)
          .call(() -> ByteAutomaton.of(Reduced.of(texts.get())));
    }
  }

  /**
   * Values that a JSON schema (draft 2020-12) allows, written without white space, the properties of objects in the order of the schema and
   * no others.
   *
   * @param schema its text
   * @throws BadInputException if it is no schema, naming the place; if it uses a keyword that is not supported, naming it; if its automaton
   *     is too large
   */
  public static Constraint jsonSchema(String schema) {
    Object tree = Json.tree(schema);
    return new Constraint("JSON schema", schema, List.of(), () -> SchemaCompiler.compile(tree));
  }

  /** Any JSON object, with up to three levels of arrays and objects inside it. */
  public static Constraint jsonObject() {
    return jsonSchema("{\"type\":\"object\"}");
  }

  /**
   * The JSON of a record, from which {@link RecordShape#read} makes one again. Components are strings, numbers, booleans, enums, records,
   * lists and arrays of such, and Optionals, which may be missing.
   *
   * @throws IllegalArgumentException naming a component of another type
   */
  public static Constraint of(Class<? extends Record> type) {
    return jsonSchema(JsonText.of(RecordShape.schema(type)));
  }

  /**
   * Texts that a regular expression matches from end to end. It is written as in JavaScript, without look-around, references back and word
   * boundaries.
   *
   * @throws BadInputException if it is wrong, not supported, matches nothing, or its automaton is too large
   */
  public static Constraint regex(String pattern) {
    return new Constraint("regular expression", pattern, List.of(), () -> Regex.whole(pattern, Characters.UTF8));
  }

  /** One of these texts. @throws BadInputException if there is none, one is empty, or two are equal */
  public static Constraint choices(String... texts) {
    return choices(List.of(texts));
  }

  /** One of these texts. @throws BadInputException if there is none, one is empty, or two are equal */
  public static Constraint choices(List<String> texts) {
    List<String> all = List.copyOf(texts);
    if (all.isEmpty() || all.stream().anyMatch(String::isEmpty) || all.stream().distinct().count() < all.size()) {
      throw new BadInputException("choices: expected one or more texts, none of them empty and none twice");
    }
    return new Constraint("choices", String.join("\n", all), all, () -> BasicAutomata.makeStringUnion(
        all.stream().map(Characters::bytes).sorted().toArray(String[]::new)));
  }

  /** The texts, if it was made from choices; else none. */
  public List<String> choices() {
    return choices;
  }

  /** Whether a text is one of those that it allows. */
  public boolean allows(String text) {
    int state = walk(text);
    return state >= 0 && bytes.accepts(state);
  }

  /** Whether a text is the beginning of one that it allows. */
  public boolean allowsPrefix(String text) {
    return walk(text) >= 0;
  }

  private int walk(String text) {
    int state = bytes.initial();
    for (char c : Characters.bytes(text).toCharArray()) {
      state = state < 0 ? state : bytes.next(state, c);
    }
    return state;
  }

  ByteAutomaton bytes() {
    return bytes;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Constraint c && kind.equals(c.kind) && wish.equals(c.wish) && choices.equals(c.choices);
  }

  @Override
  public int hashCode() {
    return Arrays.asList(kind, wish).hashCode();
  }

  /** For people: what it was made from. */
  @Override
  public String toString() {
    return kind + " " + wish;
  }
}
