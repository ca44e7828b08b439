// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.bench.Report.Column;
import dev.diffusionvl.bench.Report.Format;
import dev.diffusionvl.bench.measure.Row;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

/** Rows in each format, compared with those of an earlier run, and as a picture. */
class ReportTest {
  private static final List<Column> COLUMNS =
      List.of(new Column("kernel", "op", -8), new Column("shape", "shape", -10), new Column("us", "us", 6));

  @TempDir
  private Path temp;
  private final ByteArrayOutputStream printed = new ByteArrayOutputStream();

  private static Row row(String op, String shape, double micros) {
    return new Row("kernel").put("op", op).put("shape", shape).put("us", micros).put("noise_pct", 3.0);
  }

  private Report report(Format format, Path file, EarlierRows earlier) {
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")))) {
      return new Report(new Facts(device, "dvl bench"), new PrintStream(printed, true, StandardCharsets.UTF_8), format, file, earlier);
    }
  }

  @ParameterizedTest
  @CsvSource(delimiter = ';', value = {
      "TABLE; kernel    shape           us; swiglu    8 x 3, a|b     2.5",
      "CSV; kernel,shape,us; swiglu,\"8 x 3, a|b\",2.5",
      "MARKDOWN; | kernel | shape | us |; | swiglu | 8 x 3, a\\|b | 2.5 |"})
  void formats(Format format, String heading, String line) {
    report(format, null, null).row(row("swiglu", "8 x 3, a|b", 2.5), COLUMNS);
    List<String> lines = printed.toString(StandardCharsets.UTF_8).lines().toList();
    assertEquals(heading, lines.get(format == Format.CSV ? 0 : 1));
    assertEquals(line, lines.getLast());
    assertEquals(format == Format.MARKDOWN, lines.contains("|---|---|---:|"));
  }

  @Test
  void twoRowsOfOneName() {
    Report report = report(Format.JSON, null, null);
    report.row(row("swiglu", "8 x 3", 2.5), COLUMNS);
    report.row(row("swiglu", "8 x 4", 2.5), COLUMNS);
    assertThrows(IllegalStateException.class, () -> report.row(row("swiglu", "8 x 3", 9), COLUMNS));
  }

  @Test
  void comparison() throws Exception {
    Path file = temp.resolve("earlier.jsonl");
    Report first = report(Format.JSON, file, null);
    first.row(row("swiglu", "8 x 3", 2), COLUMNS);
    first.row(row("remask", "8", 4), COLUMNS);
    printed.reset();
    Report second = report(Format.JSON, null, EarlierRows.read(file));
    second.row(row("swiglu", "8 x 3", 3), COLUMNS);
    second.row(row("swiglu", "9 x 3", 3), COLUMNS);
    List<String> lines = printed.toString(StandardCharsets.UTF_8).lines().toList();
    JsonNode compared = new ObjectMapper().readTree(lines.getFirst());
    assertEquals(1.5, compared.get("earlier_ratio").asDouble());
    assertEquals(4.243, compared.get("earlier_noise_pct").asDouble());
    assertTrue(new ObjectMapper().readTree(lines.getLast()).path("earlier_ratio").isMissingNode(), "there was none of that name");
    Files.writeString(file, "{}\nrubbish\n");
    assertTrue(assertThrows(BadInputException.class, () -> EarlierRows.read(file)).getMessage().startsWith(file + ": line 2: not JSON"));
  }

  @Test
  void picture() throws Exception {
    Report report = report(Format.TABLE, null, null);
    report.row(row("fast", "a<b", 0.5), COLUMNS);
    report.row(row("slow", "c", 5000), COLUMNS);
    Path svg = temp.resolve("bars.svg");
    report.draw(svg);
    var document = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(svg.toFile());
    var bars = document.getElementsByTagName("rect"); // the first is the background
    assertEquals(3, bars.getLength());
    double fast = Double.parseDouble(bars.item(1).getAttributes().getNamedItem("width").getNodeValue());
    double slow = Double.parseDouble(bars.item(2).getAttributes().getNamedItem("width").getNodeValue());
    assertTrue(fast > 0 && fast < slow, fast + " and " + slow);
    assertTrue(Files.readString(svg).contains("fast a&lt;b"));
  }

  @ParameterizedTest
  @CsvSource({"--format,xml", "--iterations,-1", "--warm-up,-2"})
  void usage(String option, String value) {
    assertEquals(2, new CommandLine(new BenchCommand()).execute("kernels", option, value));
  }
}
