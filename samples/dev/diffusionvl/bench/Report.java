// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.loader.OutputFile;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;

/**
 * Rows as they come: JSON lines or a table on stdout, and JSON lines appended to a file. What was measured before a crash is there.
 */
final class Report {
  /** A column of the table: heading, field, width (negative: left-aligned). */
  record Column(String heading, String field, int width) {}

  private final Facts facts;
  private final PrintStream out;
  private final boolean json;
  private final Path file;
  private List<Column> columns;

  /** @param file JSON lines are appended to it; or null */
  Report(Facts facts, PrintStream out, boolean json, Path file) {
    this.facts = facts;
    this.out = out;
    this.json = json;
    this.file = file;
    if (file != null) {
      OutputFile.requireWritable(file); // before hours of measuring
    }
    if (!json) {
      out.println(facts.line());
    }
  }

  void row(Row row, List<Column> layout) {
    facts.addTo(row.json());
    String line = row.json().toString();
    if (json) {
      out.println(line);
    } else {
      if (!layout.equals(columns)) {
        columns = layout;
        StringBuilder heading = new StringBuilder();
        layout.forEach(c -> heading.append(pad(c.heading(), c.width())));
        out.println(heading.toString().stripTrailing());
      }
      StringBuilder text = new StringBuilder();
      layout.forEach(c -> text.append(pad(row.text(c.field()), c.width())));
      out.println(text.toString().stripTrailing());
    }
    out.flush();
    if (file != null) {
      OutputFile.append(file, line);
    }
  }

  private static String pad(String text, int width) {
    return ("%" + width + "s").formatted(text) + "  ";
  }
}
