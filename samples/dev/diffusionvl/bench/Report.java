// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.loader.OutputFile;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Rows as they come: on stdout in a format, and as JSON lines appended to a file. What was measured before a crash is there. The picture is
 * drawn when all are.
 */
final class Report {
  /** A column of the table: heading, field, width (negative: left-aligned). */
  record Column(String heading, String field, int width) {}

  /** How rows stand on stdout. */
  enum Format { TABLE, JSON, CSV, MARKDOWN }

  private static final List<Column> COMPARED =
      List.of(new Column("x earlier", "earlier_ratio", 9), new Column("noise %", "earlier_noise_pct", 7));

  private final Facts facts;
  private final PrintStream out;
  private final Format format;
  private final Path file;
  private final EarlierRows earlier;
  private final BarPicture picture = new BarPicture();
  private final Set<String> names = new HashSet<>();
  private List<Column> columns;

  /**
   * @param file JSON lines are appended to it; or null
   * @param earlier what the rows are compared with; or null
   */
  Report(Facts facts, PrintStream out, Format format, Path file, EarlierRows earlier) {
    this.facts = facts;
    this.out = out;
    this.format = format;
    this.file = file;
    this.earlier = earlier;
    if (file != null) {
      OutputFile.requireWritable(file); // before hours of measuring
    }
    if (format == Format.TABLE || format == Format.MARKDOWN) {
      out.println(facts.line());
    }
  }

  /** @throws IllegalStateException if there is a row of that name already: nobody could tell them apart */
  void row(Row row, List<Column> layout) {
    facts.addTo(row.json());
    if (!names.add(RowName.of(row.json()).name())) {
      throw new IllegalStateException("two rows are called " + RowName.of(row.json()).name());
    }
    List<Column> shown = new ArrayList<>(layout);
    if (earlier != null) {
      earlier.compare(row);
      shown.addAll(COMPARED);
    }
    picture.add(row);
    String line = row.json().toString();
    if (format == Format.JSON) {
      out.println(line);
    } else {
      if (!shown.equals(columns)) {
        heading(shown);
      }
      out.println(line(shown, shown.stream().map(c -> row.text(c.field())).toList()));
    }
    out.flush();
    if (file != null) {
      OutputFile.append(file, line);
    }
  }

  private void heading(List<Column> shown) {
    if (columns != null && format != Format.TABLE) {
      out.println(); // another table
    }
    columns = shown;
    out.println(line(shown, shown.stream().map(Column::heading).toList()));
    if (format == Format.MARKDOWN) {
      out.println("|" + String.join("|", shown.stream().map(c -> c.width() < 0 ? "---" : "---:").toList()) + "|");
    }
  }

  private String line(List<Column> shown, List<String> cells) {
    return switch (format) {
      case CSV -> String.join(",", cells.stream().map(Report::quoted).toList());
      case MARKDOWN -> "| " + String.join(" | ", cells.stream().map(cell -> cell.replace("|", "\\|")).toList()) + " |";
      default -> {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < cells.size(); i++) {
          text.append(("%" + shown.get(i).width() + "s").formatted(cells.get(i))).append("  ");
        }
        yield text.toString().stripTrailing();
      }
    };
  }

  private static String quoted(String cell) {
    return cell.matches("[^\",\n]*") ? cell : '"' + cell.replace("\"", "\"\"") + '"';
  }

  /** Draws the rows' times. */
  void draw(Path svg) {
    OutputFile.write(svg, picture.svg(facts.line()).getBytes(StandardCharsets.UTF_8));
  }
}
