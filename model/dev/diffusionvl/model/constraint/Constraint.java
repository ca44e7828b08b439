// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Json;
import dk.brics.automaton.Automaton;
import dk.brics.automaton.BasicAutomata;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Which texts an answer may be. Whatever the model predicts, a finished answer is one of them (docs/structured-answers.md). Immutable and
 * safe for use by several threads; two that were made from the same wish are equal.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=constraint}
 */
public final class Constraint {
  private static final long SECONDS = 20;
  private static final int KEPT = 32;
  private static final int MAX_CHOICES = 256;

  /** Those made last. Guarded by itself, and nothing is made beside it: the automata library numbers its states without a lock. */
  private static final Map<List<Object>, Constraint> MADE = new LinkedHashMap<>(16, 0.75f, true) {
    private static final long serialVersionUID = 1L;

    @Override
    protected boolean removeEldestEntry(Map.Entry<List<Object>, Constraint> eldest) {
      return size() > KEPT;
    }
  };

  private final String kind;
  private final String wish;
  private final List<String> choices;
  private final ByteAutomaton bytes;

  private Constraint(String kind, String wish, List<String> choices, ByteAutomaton bytes) {
    this.kind = kind;
    this.wish = wish;
    this.choices = choices;
    this.bytes = bytes;
  }

  private static Constraint of(String kind, String wish, List<String> choices, Supplier<Automaton> texts) {
    synchronized (MADE) {
      Constraint made = MADE.get(List.of(kind, wish, choices));
      if (made == null) {
        made = new Constraint(kind, wish, choices, ScopedValue.where(Reduced.DEADLINE, System.nanoTime() + SECONDS * 1_000_000_000L)
            .call(() -> ByteAutomaton.of(Reduced.of(texts.get()))));
        MADE.put(List.of(kind, wish, choices), made);
      }
      return made;
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
    return of("JSON schema", schema, List.of(), () -> SchemaCompiler.compile(tree));
  }

  /**
   * What {@link #jsonSchema} allows, and any text that does not begin with a brace: a program is called, or something is said.
   *
   * @param schema of objects
   */
  public static Constraint jsonSchemaOrText(String schema) {
    Object tree = Json.tree(schema);
    return of("JSON schema or text", schema, List.of(),
        () -> SchemaCompiler.compile(tree).union(Regex.whole("([^{][^]*)?", Characters.UTF8)));
  }

  /** Any JSON object, with up to three levels of arrays and objects inside it. */
  public static Constraint jsonObject() {
    return jsonSchema("{\"type\":\"object\"}");
  }

  /**
   * The JSON of a record, from which {@link dev.diffusionvl.model.GenerationResult#as} makes one. Components are strings, numbers,
   * booleans, enums, records, lists and arrays of such, and Optionals, which may be missing.
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
    return of("regular expression", pattern, List.of(), () -> Regex.whole(pattern, Characters.UTF8));
  }

  /** One of these texts. @throws BadInputException if there is none, one is empty, or two are equal */
  public static Constraint choices(String... texts) {
    return choices(List.of(texts));
  }

  /** One of these texts. @throws BadInputException if there is none, one is empty, or two are equal */
  public static Constraint choices(List<String> texts) {
    List<String> all = List.copyOf(texts);
    if (all.isEmpty() || all.size() > MAX_CHOICES || all.stream().anyMatch(String::isEmpty)
        || all.stream().distinct().count() < all.size()) {
      throw new BadInputException("choices: expected 1 to %d texts, none of them empty and none twice".formatted(MAX_CHOICES));
    }
    return of("choices", String.join("\n", all), all, () -> BasicAutomata.makeStringUnion(
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
