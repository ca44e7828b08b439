// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.bench.measure.Row;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Times of rows as bars of an SVG picture, on a logarithmic axis: kernels differ by more than a thousandfold. */
final class BarPicture {
  private static final int LEFT = 330;
  private static final int BAR = 420;
  private static final int ROW = 18;
  private static final int TOP = 40;

  private record Bar(String label, double micros) {}

  private final List<Bar> bars = new ArrayList<>();

  void add(Row row) {
    double micros = RowName.micros(row.json());
    if (micros > 0) {
      bars.add(new Bar(RowName.of(row.json()).label(), micros));
    }
  }

  /** @param title stands above it */
  String svg(String title) {
    double first = Math.floor(Math.log10(bars.stream().mapToDouble(Bar::micros).min().orElse(1)));
    double last = Math.max(first + 1, Math.ceil(Math.log10(bars.stream().mapToDouble(Bar::micros).max().orElse(10))));
    int height = TOP + ROW * bars.size() + 30;
    StringBuilder svg = new StringBuilder(String.format(Locale.ROOT, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        + "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
        + "<text x=\"8\" y=\"20\" font-size=\"13\">%s</text>\n", LEFT + BAR + 90, height, escaped(title)));
    for (double decade = first; decade <= last; decade++) {
      double x = LEFT + BAR * (decade - first) / (last - first);
      svg.append(String.format(Locale.ROOT, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#ddd\"/>\n"
          + "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s µs</text>\n", x, TOP - 6, x, height - 24, x, height - 10,
          decade >= 0 ? Long.toString(Math.round(Math.pow(10, decade))) : Double.toString(Math.pow(10, decade))));
    }
    for (int i = 0; i < bars.size(); i++) {
      Bar bar = bars.get(i);
      int y = TOP + ROW * i;
      double width = BAR * (Math.log10(bar.micros()) - first) / (last - first);
      svg.append(String.format(Locale.ROOT, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n<rect x=\"%d\" y=\"%d\" width=\"%.1f\" "
          + "height=\"%d\" fill=\"#1F4E79\"/>\n<text x=\"%.1f\" y=\"%d\">%.3g</text>\n", LEFT - 6, y + 11, escaped(bar.label()), LEFT, y,
          width, ROW - 5, LEFT + width + 4, y + 11, bar.micros()));
    }
    return svg.append("</svg>\n").toString();
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }
}
