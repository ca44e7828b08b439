// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import dk.brics.automaton.Automaton;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Whether no value satisfies two schemas. What one alternative of oneOf can write has to be invalid under all others. Automata do not say
 * so, since they leave out valid texts: other orders of properties, and properties that are not named.
 */
final class Disjoint {
  private static final int DEPTH = 8;

  private final SchemaCompiler compiler;

  Disjoint(SchemaCompiler compiler) {
    this.compiler = compiler;
  }

  /** @throws dev.diffusionvl.loader.BadInputException naming two alternatives that are not known to be disjoint */
  void require(Schema rest, List<Schema> alternatives) {
    for (int i = 0; i < alternatives.size(); i++) {
      for (int j = 0; j < i; j++) {
        if (!proved(with(rest, alternatives.get(j)), with(rest, alternatives.get(i)), DEPTH)) {
          throw rest.error("the keyword oneOf is not supported with alternatives that may both be valid: %d and %d".formatted(j, i));
        }
      }
    }
  }

  private static Schema with(Schema rest, Schema part) {
    Schema both = rest.with(part);
    return both == null ? part : both;
  }

  private boolean proved(Schema first, Schema second, int depth) {
    if (depth == 0) {
      return false;
    }
    Schema a = resolved(first);
    Schema b = resolved(second);
    List<?> valuesA = a.values();
    List<?> valuesB = b.values();
    if (valuesA != null && valuesB != null && Stream.of(valuesA, valuesB).flatMap(List::stream).allMatch(Disjoint::isScalar)) {
      return valuesA.stream().noneMatch(v -> valuesB.stream().anyMatch(w -> JsonText.of(v).equals(JsonText.of(w))));
    }
    Set<String> common = types(a);
    Set<String> others = types(b);
    if (others.contains("number")) {
      others.add("integer");
    }
    if (common.contains("number")) {
      common.add("integer");
    }
    common.retainAll(others);
    return common.stream().allMatch(type -> provedFor(type, a, b, depth));
  }

  private static boolean isScalar(Object value) {
    return !(value instanceof Map || value instanceof List);
  }

  private Schema resolved(Schema schema) {
    Schema at = schema;
    for (int i = 0; i < DEPTH && at.has("$ref") && at.keywords().size() == 1; i++) {
      at = compiler.target(at);
    }
    return at;
  }

  private static Set<String> types(Schema schema) {
    Set<String> types = new HashSet<>(schema.types());
    if (schema.values() != null) {
      Set<String> ofValues = new HashSet<>();
      schema.values().forEach(v -> ofValues.add(Schema.typeOf(v)));
      if (types.contains("number")) {
        types.add("integer");
      }
      types.retainAll(ofValues);
    }
    return types;
  }

  private boolean provedFor(String type, Schema a, Schema b, int depth) {
    return switch (type) {
      case "object" -> objects(a, b, depth) || objects(b, a, depth);
      case "integer", "number" -> disjointTexts(type, a, b);
      case "string" -> complete(a) && complete(b) && disjointTexts(type, a, b);
      default -> false;
    };
  }

  /** Whether a property that the first requires makes its objects invalid under the second. */
  private boolean objects(Schema a, Schema b, int depth) {
    Map<String, Schema> ofA = a.properties();
    Map<String, Schema> ofB = b.properties();
    for (String name : a.required()) {
      if (ofB.containsKey(name) ? ofA.containsKey(name) && proved(ofA.get(name), ofB.get(name), depth - 1) : b.others() == null) {
        return true;
      }
    }
    return false;
  }

  private static boolean complete(Schema schema) {
    return !schema.has("format") || Formats.isComplete(schema.text("format"));
  }

  private boolean disjointTexts(String type, Schema a, Schema b) {
    return Reduced.intersection(texts(type, a), texts(type, b)).isEmpty();
  }

  private Automaton texts(String type, Schema schema) {
    return schema.values() != null ? compiler.of(schema.without("allOf", "anyOf", "oneOf"), 0) : compiler.of(schema, type, 0);
  }
}
