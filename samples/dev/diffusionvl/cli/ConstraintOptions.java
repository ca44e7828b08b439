// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.constraint.Constraint;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** Which texts an answer may be (docs/structured-answers.md). */
final class ConstraintOptions {
  private static final int MAX_BYTES = 1 << 20;

  @Option(names = "--json-schema", paramLabel = "FILE", description = "the answer is JSON that this schema allows")
  private Path schema;

  @Option(names = "--regex", paramLabel = "PATTERN", description = "the answer is matched by this regular expression from end to end")
  private String regex;

  @Option(names = "--choices", paramLabel = "A,B,…", description = "the answer is one of these texts; says how likely each is")
  private String choices;

  /** Null where any text may be the answer. @throws Dvl.UsageException naming the option */
  Constraint constraint() {
    if (Stream.of(schema, regex, choices).filter(Objects::nonNull).count() > 1) {
      throw new Dvl.UsageException("--json-schema, --regex and --choices exclude each other");
    }
    if (schema != null) {
      return ofSchema();
    }
    try {
      return regex != null ? Constraint.regex(regex) : choices != null ? Constraint.choices(List.of(choices.split(",", -1))) : null;
    } catch (BadInputException e) {
      throw new Dvl.UsageException((regex != null ? "--regex: " : "--choices: ") + e.getMessage());
    }
  }

  private Constraint ofSchema() {
    try {
      byte[] bytes = InputFiles.read(schema, MAX_BYTES);
      return Constraint.jsonSchema(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString());
    } catch (CharacterCodingException e) {
      throw new BadInputException(schema + ": not UTF-8", e);
    } catch (IOException e) {
      throw new BadInputException(schema + ": cannot be read: " + e.getClass().getSimpleName(), e);
    } catch (BadInputException e) {
      throw e.getMessage().startsWith(schema + ": ") ? e : new BadInputException(schema + ": " + e.getMessage(), e);
    }
  }

  /** What is to be said of an answer beside itself. */
  static void remarks(GenerationResult result, Constraint constraint) {
    for (GenerationResult.Choice choice : result.choices()) {
      System.err.printf(Locale.ROOT, "dvl: %s: probability %.4f, log-probability %.4f%n", choice.text(), choice.probability(),
          choice.logProbability());
    }
    if (constraint != null && result.finishReason().equals("length")) {
      System.err.println("dvl: the answer is cut: none that is allowed fits into --gen-length");
    }
  }
}
