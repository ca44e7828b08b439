// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import dev.diffusionvl.eval.Compared;
import java.awt.Color;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * A comparison of decodings as a page that needs nothing else, and as a table in Markdown.
 *
 * @param title what was compared, on what
 * @param command how
 * @param emulated times are those of the emulated device and left out of the page
 */
record CompareReport(String title, String command, boolean emulated, List<Compared> rows) {
  private static final List<String> DECODINGS = List.of("autoregressive", "full", "block");
  private static final Color[] COLORS = {new Color(0xC0504D), new Color(0x7F7F7F), new Color(0x1F4E79)};

  /** What of the comparison can be said in sentences, those that come out otherwise than expected included. */
  List<String> findings() {
    List<String> findings = new ArrayList<>();
    for (String decoding : DECODINGS) {
      Compared c = Compared.cheapest(rows, decoding);
      if (c != null) {
        findings.add(String.format(Locale.ROOT, "%s: the fewest passes within 3 points of its best score are those of \"%s\": score "
            + "%.1f %%, %,d forwards (%.3f per token), %,d row-forwards.", decoding, c.schedule(), 100 * c.score(), c.forwards(),
            c.forwardsPerToken(), c.rowForwards()));
      }
    }
    Compared block = Compared.cheapest(rows, "block");
    Compared full = Compared.cheapest(rows, "full");
    Compared token = Compared.cheapest(rows, "autoregressive");
    if (block != null && full != null) {
      findings.add(ratio("row-forwards", "full", block.rowForwards(), full.rowForwards(), String.format(Locale.ROOT, "full decoding needs "
          + "%.1f passes per answer for its best score, block diffusion %.1f, and %.0f %% of its row-forwards are the prompts', which it "
          + "reads once", full.forwardsPerAnswer(), block.forwardsPerAnswer(), 100.0 * block.promptRows() / block.rowForwards()))
          + score(block, full));
    }
    if (block != null && token != null) {
      findings.add(ratio("forwards", "autoregressive", block.forwards(), token.forwards(), String.format(Locale.ROOT, "an answer has %.1f "
          + "tokens, for which block diffusion needs %.1f passes, since a block is filled to its end also where the answer is short, and "
          + "autoregressive decoding %.1f", (double) token.tokens() / token.asked(), block.forwardsPerAnswer(), token.forwardsPerAnswer()))
          + score(block, token));
    }
    return findings;
  }

  /** What block diffusion saves. @param why it may be less than expected */
  private static String ratio(String what, String other, double own, double others, String why) {
    return String.format(Locale.ROOT, "Block diffusion takes %.2f of the %s of %s decoding%s.", own / others, what, other,
        own / others <= 0.5 ? ", at most half as expected" : ": more than half, otherwise than expected, for " + why);
  }

  /** Passes are saved only at a score that is as good. */
  private static String score(Compared block, Compared other) {
    double points = 100 * (block.score() - other.score());
    return Math.abs(points) <= 100 * Compared.AS_GOOD ? "" : String.format(Locale.ROOT, " It scores %.1f points %s.", Math.abs(points),
        points > 0 ? "more" : "fewer, so the passes alone do not decide");
  }

  private static List<String> head(boolean emulated) {
    List<String> head = new ArrayList<>(List.of("decoding", "schedule", "score, %", "tokens", "forwards", "forwards per token",
        "row-forwards", "weight bytes read per token"));
    if (!emulated) {
      head.addAll(List.of("tokens per second", "ms to the first text"));
    }
    return head;
  }

  private List<String> cells(Compared c) {
    List<String> cells = new ArrayList<>(List.of(c.decoding(), c.schedule(), number("%.1f", 100 * c.score()), number("%,d", c.tokens()),
        number("%,d", c.forwards()), number("%.3f", c.forwardsPerToken()), number("%,d", c.rowForwards()),
        number("%,.0f", c.bytesPerToken())));
    if (!emulated) {
      cells.addAll(List.of(number("%.1f", c.tokensPerSecond()), number("%.1f", c.firstMillis())));
    }
    return cells;
  }

  private static String number(String format, Object value) {
    return String.format(Locale.ROOT, format, value);
  }

  String markdown() {
    List<String> head = head(emulated);
    StringBuilder text = new StringBuilder("| " + String.join(" | ", head) + " |\n|" + "---|".repeat(head.size()) + "\n");
    rows.forEach(row -> text.append("| ").append(String.join(" | ", cells(row))).append(" |\n"));
    return text.toString();
  }

  String html() {
    StringBuilder page = new StringBuilder("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>")
        .append(escaped(title))
        .append("</title>\n<style>body{font-family:sans-serif;max-width:70em;margin:2em auto}table{border-collapse:collapse}"
            + "td,th{border:1px solid #ccc;padding:.25em .6em;text-align:right}td:nth-child(-n+2){text-align:left}"
            + "pre{white-space:pre-wrap}</style></head>\n<body><h1>").append(escaped(title)).append("</h1>\n<pre>")
        .append(escaped(command)).append("</pre>\n<ul>\n");
    findings().forEach(line -> page.append("<li>").append(escaped(line)).append("</li>\n"));
    page.append("</ul>\n").append(chart()).append("<table><tr>");
    head(emulated).forEach(cell -> page.append("<th>").append(escaped(cell)).append("</th>"));
    page.append("</tr>\n");
    for (Compared row : rows) {
      page.append("<tr>");
      cells(row).forEach(cell -> page.append("<td>").append(escaped(cell)).append("</td>"));
      page.append("</tr>\n");
    }
    page.append("</table>\n<p>A forward is a pass through the language model; row-forwards are the rows of all passes, those of the "
        + "prompts included. Both are counted, not timed. Weight bytes are the layers and the output matrix, read once per forward. Where "
        + "prompt and answer are one block, a model that was trained on blocks of its own size is asked for what it was not trained for.");
    return page.append(emulated ? " Times of the emulated device say nothing about a GPU and are left out." : "")
        .append("</p></body></html>\n").toString();
  }

  private String chart() {
    XYChart chart = new XYChartBuilder().width(900).height(460).xAxisTitle("forwards per token").yAxisTitle("score, %").build();
    chart.getStyler().setDefaultSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.Scatter)
        .setLegendPosition(Styler.LegendPosition.OutsideS).setLegendLayout(Styler.LegendLayout.Horizontal)
        .setChartBackgroundColor(Color.WHITE).setToolTipsEnabled(false);
    chart.getStyler().setYAxisMin(0.0).setYAxisMax(100.0).setXAxisMin(0.0);
    for (int i = 0; i < DECODINGS.size(); i++) {
      String decoding = DECODINGS.get(i);
      List<Compared> these = rows.stream().filter(row -> row.decoding().equals(decoding)).toList();
      if (!these.isEmpty()) {
        chart.addSeries(decoding, these.stream().mapToDouble(Compared::forwardsPerToken).toArray(),
            these.stream().mapToDouble(row -> 100 * row.score()).toArray()).setMarker(SeriesMarkers.CIRCLE).setMarkerColor(COLORS[i]);
      }
    }
    String svg = ChartSvg.of(chart);
    return svg.substring(svg.indexOf("<svg")); // a part of the page has no XML head
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }
}
