// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.Inspection;
import dev.diffusionvl.quantize.MatrixReport;
import dev.diffusionvl.quantize.QuantizeOptions;
import dev.diffusionvl.quantize.Quantizer;
import dev.diffusionvl.quantize.StepPredictions.Agreement;
import dev.diffusionvl.train.HeldOut;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** What {@code dvl quantize} prints: bytes, what each matrix lost, and what the model does before and after. */
final class QuantizeReport {
  private final QuantizeOptions options;
  private final Path model;
  private final Path out;
  private final Inspection before;
  private Inspection after;
  private Quantizer.Result written;
  private Path data;
  private int records;
  private int rows;
  private List<Agreement> agreements = List.of();
  private Path eval;
  private HeldOut.Score scoreBefore;
  private HeldOut.Score scoreAfter;

  QuantizeReport(QuantizeOptions options, Path model, Path out, Inspection before) {
    this.options = options;
    this.model = model;
    this.out = out;
    this.before = before;
  }

  /** The folder is there. */
  void written(Quantizer.Result result) {
    written = result;
    after = Inspection.of(out);
  }

  /** The layers have seen so many records, and so many rows of each place were kept. */
  void calibrated(Path from, int count, int kept) {
    data = from;
    records = count;
    rows = kept;
  }

  void agreed(List<Agreement> steps) {
    agreements = steps;
  }

  void scored(Path questions, HeldOut.Score dense, HeldOut.Score small) {
    eval = questions;
    scoreBefore = dense;
    scoreAfter = small;
  }

  List<String> remarks() {
    return written.remarks();
  }

  private String format() {
    return options.format().name().toLowerCase(Locale.ROOT);
  }

  private static double together(List<Agreement> steps) {
    return (double) steps.stream().mapToInt(Agreement::equal).sum() / Math.max(1, steps.stream().mapToInt(Agreement::tokens).sum());
  }

  String json() {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("model", model.toString()).put("out", out.toString()).put("to", format());
    if (options.format() == QuantizeOptions.Format.INT4) {
      json.put("group", options.group());
    }
    json.put("bytes_before", before.bytes()).put("bytes_after", after.bytes()).put("bits_per_weight", rounded(after.bitsPerWeight()));
    if (data != null) {
      json.putObject("calibration").put("data", data.toString()).put("records", records).put("rows", rows);
    }
    var matrices = json.putArray("matrices");
    for (MatrixReport matrix : written.matrices()) {
      ObjectNode entry = matrices.addObject().put("layer", matrix.layer());
      entry.putArray("shape").add(matrix.out()).add(matrix.in());
      entry.put("exponent", matrix.exponent()).put("weight_error", rounded(matrix.weightError()));
      if (Double.isNaN(matrix.outputError())) {
        entry.putNull("output_error");
      } else {
        entry.put("output_error", rounded(matrix.outputError()));
      }
    }
    if (!agreements.isEmpty()) {
      json.put("agreement", rounded(together(agreements)));
      var steps = json.putArray("agreement_per_step");
      agreements.forEach(step -> steps.addObject().put("step", step.step()).put("tokens", step.tokens()).put("equal", step.equal())
          .put("agreement", rounded(step.part())));
    }
    if (scoreAfter != null) {
      ObjectNode score = json.putObject("eval").put("task", "exact").put("data", eval.toString())
          .put("questions", scoreAfter.questions());
      score.put("right_before", scoreBefore.right()).put("right_after", scoreAfter.right());
      score.put("score_before", rounded(scoreBefore.part())).put("score_after", rounded(scoreAfter.part()));
    }
    return json.toString();
  }

  private static double rounded(double value) {
    return Double.parseDouble(String.format(Locale.ROOT, "%.4g", value));
  }

  String text() {
    StringBuilder text = new StringBuilder();
    int width = written.matrices().stream().mapToInt(matrix -> matrix.layer().length()).max().orElse(0);
    line(text, "%-" + width + "s  %14s  %8s  %12s  %12s", "matrix", "out x in", "exponent", "weight error", "output error");
    for (MatrixReport matrix : written.matrices()) {
      line(text, "%-" + width + "s  %14s  %8.1f  %10.3f %%  %s", matrix.layer(), matrix.out() + " x " + matrix.in(), matrix.exponent(),
          100 * matrix.weightError(), Double.isNaN(matrix.outputError()) ? "      unseen"
              : String.format(Locale.ROOT, "%10.3f %%", 100 * matrix.outputError()));
    }
    for (Agreement step : agreements) {
      line(text, "step %d: %d of %d predicted tokens are those of before (%.2f %%)", step.step() + 1, step.equal(), step.tokens(),
          100 * step.part());
    }
    if (scoreAfter != null) {
      line(text, "right word for word, of %d: %d before (%.1f %%), %d after (%.1f %%)", scoreAfter.questions(), scoreBefore.right(),
          100 * scoreBefore.part(), scoreAfter.right(), 100 * scoreAfter.part());
    }
    line(text, "%s: %s%s, %,d bytes in place of %,d, %.2f bits per weight", out, format(),
        options.format() == QuantizeOptions.Format.INT4 ? " in groups of " + options.group() : "", after.bytes(), before.bytes(),
        after.bitsPerWeight());
    return text.toString();
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append(System.lineSeparator());
  }
}
