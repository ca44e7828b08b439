// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import com.networknt.schema.InputFormat;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The schemas of src/test/resources/json-schema, and a validator that is not ours. */
public final class SchemaSuite {
  private static final Path FOLDER = Path.of("src/test/resources/json-schema");
  private static final SchemaRegistry REGISTRY = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12);

  private static List<Case> all;

  private SchemaSuite() {}

  /** What the suite says of a value. */
  public record Example(Object data, boolean valid) {}

  /**
   * A schema.
   *
   * @param constraint null where it is refused
   * @param refusal null where it is not
   */
  public record Case(String name, String schema, List<Example> examples, Constraint constraint, String refusal) {
    /** What the validator says against a text; empty if it is valid. */
    public String problems(String json) {
      return REGISTRY.getSchema(schema, InputFormat.JSON)
          .validate(json, InputFormat.JSON, context -> context.executionConfig(config -> config.formatAssertionsEnabled(true)))
          .stream().map(Object::toString).reduce("", (a, b) -> a + b + "; ");
    }
  }

  /** Read once: to make so many automata takes a while. */
  public static synchronized List<Case> all() {
    if (all == null) {
      all = read();
    }
    return all;
  }

  private static List<Case> read() {
    List<Case> all = new ArrayList<>();
    try (Stream<Path> files = Files.list(FOLDER)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".json")).sorted().toList()) {
        for (Object group : (List<?>) Json.tree(Files.readString(file))) {
          all.add(read(file.getFileName() + ": ", (Map<?, ?>) group));
        }
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    return all;
  }

  private static Case read(String file, Map<?, ?> group) {
    String schema = JsonText.of(group.get("schema"));
    List<Example> examples = ((List<?>) group.get("tests")).stream().map(t -> (Map<?, ?>) t)
        .map(t -> new Example(t.get("data"), (Boolean) t.get("valid"))).toList();
    String text = new String(schema.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
    try {
      return new Case(file + group.get("description"), text, examples, Constraint.jsonSchema(text), null);
    } catch (BadInputException e) {
      return new Case(file + group.get("description"), text, examples, null, e.getMessage());
    }
  }
}
