// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.Json;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * {@code skipped.jsonl}: one line for each record that nothing can be learnt from, {@code {"record", "id", "reason"}}, the record's number
 * counted from 1. A record has one line, however often a run passes over the data.
 */
final class SkippedRecords implements BadRecord.Listener {
  private static final JsonFactory FACTORY = new JsonFactory();

  private final LineLog lines;
  private final BadRecord.Listener listener;
  private final Set<Long> numbers = new HashSet<>();

  /** @param listener hears of each record when it is skipped for the first time */
  SkippedRecords(LineLog lines, BadRecord.Listener listener) {
    this.lines = lines;
    this.listener = listener;
    for (String line : lines.kept()) {
      if (!(Json.tree(line) instanceof Map<?, ?> fields && fields.get("record") instanceof Long number)) {
        throw new BadInputException("skipped.jsonl: '" + line + "' is not what a run writes there");
      }
      numbers.add(number);
    }
  }

  LineLog lines() {
    return lines;
  }

  /** How many there are. */
  int count() {
    return numbers.size();
  }

  @Override
  public void skipped(BadRecord record) {
    if (numbers.add((long) record.number())) {
      lines.add(line(record));
      listener.skipped(record);
    }
  }

  private static String line(BadRecord record) {
    StringWriter text = new StringWriter();
    try (JsonGenerator json = FACTORY.createGenerator(text)) {
      json.writeStartObject();
      json.writeNumberField("record", record.number());
      json.writeStringField("id", record.id());
      json.writeStringField("reason", record.reason());
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e); // the text is in memory
    }
    return text.toString();
  }
}
