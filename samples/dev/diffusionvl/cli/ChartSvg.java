// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import java.awt.Dimension;
import java.io.IOException;
import java.io.StringWriter;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.apache.batik.svggen.SVGGraphics2D;
import org.knowm.xchart.XYChart;
import org.w3c.dom.Document;

/** A chart as SVG. */
final class ChartSvg {
  private ChartSvg() {}

  /** The text of the SVG file. */
  static String of(XYChart chart) {
    SVGGraphics2D graphics = new SVGGraphics2D(emptyDocument());
    graphics.setSVGCanvasSize(new Dimension(chart.getWidth(), chart.getHeight()));
    chart.paint(graphics, chart.getWidth(), chart.getHeight());
    StringWriter svg = new StringWriter();
    try {
      graphics.stream(svg, true);
    } catch (IOException e) {
      throw new IllegalStateException(e); // a StringWriter has none
    }
    return svg.toString();
  }

  private static Document emptyDocument() {
    try {
      return DocumentBuilderFactory.newInstance().newDocumentBuilder().getDOMImplementation()
          .createDocument(SVGGraphics2D.SVG_NAMESPACE_URI, "svg", null);
    } catch (ParserConfigurationException e) {
      throw new IllegalStateException(e); // nothing was asked of the parser
    }
  }
}
