// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.OutputFile;
import java.awt.Color;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * The curve of a training run as a picture: loss, smoothed loss, and the held-out score where there is one. Made of the run's log, so that
 * it is that of the whole run also after a resumption.
 */
final class LossPicture {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 500;
  private static final int SMOOTHED = 25;
  private static final int MAX_POINTS = 1000;

  private record Point(double step, double value) {}

  private final List<Point> losses = new ArrayList<>();
  private final List<Point> smoothed = new ArrayList<>();
  private final List<Point> scores = new ArrayList<>();

  private LossPicture() {}

  /**
   * Draws the picture, or draws it anew; it is there as a whole at any moment.
   *
   * @param log {@code train.jsonl}
   * @param picture SVG file
   */
  static void draw(Path log, Path picture) {
    LossPicture drawn = new LossPicture();
    drawn.read(log);
    if (!drawn.losses.isEmpty()) {
      OutputFile.write(picture, drawn.svg().getBytes(StandardCharsets.UTF_8));
    }
  }

  private void read(Path log) {
    ObjectMapper mapper = new ObjectMapper();
    double sum = 0;
    try (BufferedReader lines = Files.newBufferedReader(log)) {
      for (String text = lines.readLine(); text != null; text = lines.readLine()) {
        JsonNode line = mapper.readTree(text);
        double step = line.path("step").asDouble();
        losses.add(new Point(step, line.path("loss").asDouble()));
        sum += losses.getLast().value() - (losses.size() > SMOOTHED ? losses.get(losses.size() - 1 - SMOOTHED).value() : 0);
        smoothed.add(new Point(step, sum / Math.min(SMOOTHED, losses.size())));
        if (line.has("eval_score")) {
          scores.add(new Point(step, 100 * line.get("eval_score").asDouble()));
        }
      }
    } catch (IOException e) {
      throw BadInputException.of(log, "cannot be read: " + e.getMessage());
    }
  }

  private String svg() {
    XYChart chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).xAxisTitle("step").yAxisTitle("loss").build();
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideS).setLegendLayout(Styler.LegendLayout.Horizontal)
        .setChartBackgroundColor(Color.WHITE).setToolTipsEnabled(false);
    chart.getStyler().setYAxisMin(0, 0.0);
    add(chart, "loss", losses, new Color(0x9EC5E8), SeriesMarkers.NONE);
    add(chart, "mean loss of " + SMOOTHED + " steps", smoothed, new Color(0x1F4E79), SeriesMarkers.NONE);
    if (!scores.isEmpty()) {
      add(chart, "held-out score, %", scores, new Color(0xC0504D), SeriesMarkers.CIRCLE).setYAxisGroup(1);
      chart.setYAxisGroupTitle(1, "held-out score, %");
      chart.getStyler().setYAxisMin(1, 0.0).setYAxisMax(1, 100.0);
      chart.getStyler().setYAxisGroupPosition(1, Styler.YAxisPosition.Right);
    }
    return ChartSvg.of(chart);
  }

  private static XYSeries add(XYChart chart, String name, List<Point> points, Color color, Marker marker) {
    List<Point> shown = thinned(points);
    XYSeries series = chart.addSeries(name, shown.stream().mapToDouble(Point::step).toArray(),
        shown.stream().mapToDouble(Point::value).toArray());
    series.setMarker(marker).setMarkerColor(color).setLineColor(color);
    return series;
  }

  /** Means of equal spans where there are more points than a picture can show. */
  private static List<Point> thinned(List<Point> points) {
    int span = (points.size() + MAX_POINTS - 1) / MAX_POINTS;
    if (span <= 1) {
      return points;
    }
    List<Point> means = new ArrayList<>();
    for (int from = 0; from < points.size(); from += span) {
      List<Point> some = points.subList(from, Math.min(from + span, points.size()));
      means.add(new Point(some.getLast().step(), some.stream().mapToDouble(Point::value).average().orElseThrow()));
    }
    return means;
  }
}
