// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dk.brics.automaton.Automaton;
import dk.brics.automaton.BasicAutomata;
import java.math.BigDecimal;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * From a JSON schema (draft 2020-12) to an automaton over the bytes of JSON texts. Every text that it accepts is valid; it does not accept
 * every valid text: an object has its named properties alone, in the order of the schema, and a text has no white space. What the schema
 * says and this cannot say is refused by the keyword's name.
 */
final class SchemaCompiler {
  /** How often a schema may be inside itself. */
  static final int REFERENCES = 3;
  /** How deep arrays and objects are nested of which the schema says nothing. */
  static final int FREE_NESTING = 3;

  /** Values of which nothing is said, by their nesting. Guarded by {@link Constraint}, which makes one automaton at a time. */
  private static final Map<Integer, Automaton> FREE = new HashMap<>();

  private final Object root;
  private final Map<String, Integer> inside = new TreeMap<>(); // references that are being followed
  private final Map<String, Automaton> followed = new HashMap<>(); // by what was being followed

  private SchemaCompiler(Object root) {
    this.root = root;
  }

  /** @throws dev.diffusionvl.loader.BadInputException naming the keyword that is not supported, or wrong */
  static Automaton compile(Object schema) {
    SchemaCompiler compiler = new SchemaCompiler(schema);
    Automaton all = compiler.of(Schema.of("", schema), FREE_NESTING);
    if (all.isEmpty()) {
      throw Schema.error("", "there is no value that it allows and that can be written here");
    }
    return all;
  }

  /** @param nesting that is left for values of which nothing is said */
  Automaton of(Schema schema, int nesting) {
    for (String combined : List.of("allOf", "anyOf", "oneOf")) {
      if (schema.has(combined)) {
        return Reduced.of(combined(schema.without(combined), schema.children(combined), combined, nesting));
      }
    }
    if (schema.has("$ref")) {
      Automaton target = reference(schema, nesting);
      Schema rest = schema.without("$ref");
      return rest.keywords().isEmpty() ? target : Reduced.of(Reduced.intersection(target, of(rest, nesting)));
    }
    List<?> values = schema.values();
    if (values != null) {
      return values(schema, values, nesting);
    }
    if (schema.keywords().isEmpty()) {
      Automaton known = FREE.get(nesting);
      if (known == null) {
        known = typed(schema, nesting);
        FREE.put(nesting, known);
      }
      return known.clone();
    }
    return typed(schema, nesting);
  }

  private Automaton combined(Schema rest, List<Schema> parts, String keyword, int nesting) {
    if (parts.isEmpty()) {
      throw rest.error(keyword + ": expected schemas");
    }
    if (keyword.equals("allOf")) {
      Schema all = rest;
      for (Schema part : parts) {
        all = all == null ? null : all.with(part);
      }
      if (all != null) {
        return of(all, nesting);
      }
      Automaton common = of(parts.getFirst(), nesting);
      for (Schema part : parts.subList(1, parts.size())) {
        common = Reduced.intersection(common, of(part, nesting));
      }
      return rest.keywords().isEmpty() ? common : Reduced.intersection(common, of(rest, nesting));
    }
    if (keyword.equals("oneOf")) {
      new Disjoint(this).require(rest, parts);
    }
    List<Automaton> all = new ArrayList<>();
    for (Schema part : parts) {
      Schema both = rest.with(part);
      all.add(both != null ? of(both, nesting) : Reduced.intersection(of(part, nesting), of(rest, nesting)));
    }
    return Automaton.union(all);
  }

  /** What a reference points to; nothing where it has been inside itself often enough. */
  private Automaton reference(Schema schema, int nesting) {
    String pointer = schema.text("$ref");
    if (inside.getOrDefault(pointer, 0) > REFERENCES) {
      return BasicAutomata.makeEmpty();
    }
    inside.merge(pointer, 1, Integer::sum);
    String key = pointer + " " + nesting + " " + inside;
    Automaton known = followed.get(key);
    if (known == null) {
      known = of(target(schema), nesting);
      followed.put(key, known);
    }
    inside.merge(pointer, -1, Integer::sum);
    return known.clone();
  }

  Schema target(Schema schema) {
    String pointer = schema.text("$ref");
    if (!pointer.startsWith("#") || pointer.length() > 1 && pointer.charAt(1) != '/') {
      throw schema.error("$ref: " + pointer + " is not supported, references are # or #/…");
    }
    Object at = root;
    for (String step : pointer.length() < 2 ? List.<String>of() : List.of(pointer.substring(2).split("/", -1))) {
      String name = URLDecoder.decode(step.replace("+", "%2B"), StandardCharsets.UTF_8).replace("~1", "/")
          .replace("~0", "~");
      at = switch (at) {
        case Map<?, ?> map when map.containsKey(name) -> map.get(name);
        case List<?> list when name.matches("[0-9]{1,6}") && Integer.parseInt(name) < list.size() -> list.get(Integer.parseInt(name));
        case null, default -> throw schema.error("$ref: " + pointer + " points to nothing");
      };
    }
    return Schema.of(pointer, at);
  }

  private Automaton values(Schema schema, List<?> values, int nesting) {
    List<Automaton> all = new ArrayList<>();
    for (Object value : values) {
      String type = Schema.typeOf(value);
      if (schema.types().contains(type) || type.equals("integer") && schema.types().contains("number")) {
        all.add(BasicAutomata.makeString(JsonText.of(value)));
      }
    }
    Schema rest = schema.without("enum", "const", "type");
    Automaton union = all.isEmpty() ? BasicAutomata.makeEmpty() : Automaton.union(all);
    return Reduced.of(rest.keywords().isEmpty() ? union : Reduced.intersection(union, of(rest, nesting)));
  }

  private Automaton typed(Schema schema, int nesting) {
    List<Automaton> all = new ArrayList<>();
    for (String type : schema.types()) {
      all.add(of(schema, type, nesting));
    }
    return all.size() == 1 ? all.getFirst() : Reduced.of(Automaton.union(all));
  }

  /** The values of one type. */
  Automaton of(Schema schema, String type, int nesting) {
    return switch (type) {
      case "null" -> BasicAutomata.makeString("null");
      case "boolean" -> BasicAutomata.makeString("true").union(BasicAutomata.makeString("false"));
      case "integer", "number" -> number(schema, type.equals("integer"));
      case "string" -> string(schema);
      case "array" -> array(schema, nesting);
      default -> object(schema, nesting);
    };
  }

  private static Automaton number(Schema schema, boolean integers) {
    BigDecimal low = schema.number("minimum");
    BigDecimal above = schema.number("exclusiveMinimum");
    BigDecimal high = schema.number("maximum");
    BigDecimal below = schema.number("exclusiveMaximum");
    boolean strictlyLow = above != null && (low == null || above.compareTo(low) >= 0);
    boolean strictlyHigh = below != null && (high == null || below.compareTo(high) <= 0);
    return Decimals.between(strictlyLow ? above : low, strictlyLow, strictlyHigh ? below : high, strictlyHigh, integers);
  }

  private static Automaton string(Schema schema) {
    Automaton any = Characters.JSON.in(CharacterSet.all());
    int min = schema.count("minLength", 0);
    int max = schema.count("maxLength", -1);
    Reduced.requireFew((long) any.getNumberOfStates() * Math.max(min, max));
    Automaton text = max < 0 ? any.repeat(min) : any.repeat(min, max);
    if (schema.has("pattern")) {
      text = Reduced.intersection(text, Regex.search(schema.text("pattern"), Characters.JSON));
    }
    if (schema.has("format")) {
      String format = Formats.pattern(schema.text("format"));
      if (format == null) {
        throw schema.error("the keyword format is not supported with " + schema.text("format"));
      }
      text = Reduced.intersection(text, Regex.whole(format, Characters.JSON));
    }
    return Reduced.of(JsonText.string(text));
  }

  private Automaton array(Schema schema, int nesting) {
    if (schema.get("items") instanceof List) {
      throw schema.error("the keyword items is not supported with a list of schemas; that is prefixItems");
    }
    List<Schema> first = schema.children("prefixItems");
    int min = schema.count("minItems", 0);
    int max = schema.count("maxItems", -1);
    boolean named = schema.has("items") || !first.isEmpty();
    Automaton all = BasicAutomata.makeEmptyString();
    if (nesting > 0 || named) {
      Automaton item = JsonText.behindComma(schema.has("items") ? of(schema.child("items"), nesting) : free(nesting - 1));
      int more = Math.max(0, min - first.size());
      int most = max < 0 ? -1 : Math.max(0, max - first.size());
      Reduced.requireFew((long) item.getNumberOfStates() * Math.max(more, most));
      all = item.isEmpty() ? more > 0 ? item : all : most < 0 ? item.repeat(more) : item.repeat(more, most);
    }
    for (int i = first.size() - 1; i >= 0; i--) {
      Automaton here = max >= 0 && i >= max ? BasicAutomata.makeEmpty() : JsonText.behindComma(of(first.get(i), nesting));
      all = here.concatenate(all);
      all = i < min ? all : Reduced.of(all.optional());
    }
    return Reduced.of(JsonText.between('[', JsonText.withoutFirstComma(Reduced.of(all)), ']'));
  }

  private Automaton free(int nesting) {
    return nesting < 0 ? BasicAutomata.makeEmpty() : of(new Schema("", Map.of()), nesting);
  }

  private Automaton object(Schema schema, int nesting) {
    Map<String, Schema> properties = schema.properties();
    Schema others = schema.others();
    for (String name : schema.required()) {
      if (!properties.containsKey(name)) {
        properties.put(name, others == null ? Schema.of(schema.at(name), false) : others);
      }
    }
    Automaton all = BasicAutomata.makeEmptyString();
    if (properties.isEmpty() && others != null) {
      Automaton value = others.keywords().isEmpty() ? free(nesting - 1) : of(others, nesting);
      Automaton name = JsonText.string(Characters.JSON.in(CharacterSet.all()).repeat());
      all = value.isEmpty() ? all : JsonText.behindComma(name.concatenate(BasicAutomata.makeChar(':')).concatenate(value)).repeat();
    }
    List<String> names = List.copyOf(properties.keySet()).reversed();
    for (String name : names) {
      Schema property = properties.get(name);
      Automaton value = property.keywords().isEmpty() ? free(Math.max(0, nesting - 1)) : of(property, nesting);
      Automaton member = JsonText.behindComma(BasicAutomata.makeString(JsonText.of(name) + ":").concatenate(value));
      all = (schema.required().contains(name) ? member : member.optional()).concatenate(all);
      Reduced.requireFew(all.getNumberOfStates());
    }
    return Reduced.of(JsonText.between('{', JsonText.withoutFirstComma(Reduced.of(all)), '}'));
  }
}
