// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import dev.diffusionvl.eval.Compared;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code dvl compare}: what it counts, what it says of it, and what it refuses. */
class CompareCommandTest {
  private static final String BASE = "samples/models/qwen25vl-tiny";
  private static final String DATA = "samples/data/shapes/eval.json";

  @TempDir private Path temp;

  @Test
  void oneQuestionInEveryWay() throws Exception {
    Path page = temp.resolve("page.html");
    Outcome outcome = new DvlProcess(temp).run("compare", DvlProcess.MODEL.toString(), "--base", BASE, "--task", "exact", "--data", DATA,
        "--images", "samples/data/shapes/images", "--limit", "1", "--dtype", "f32", "--device", "emulated", "--out", page.toString(),
        "--json");
    assertEquals(0, outcome.code(), outcome.err());
    JsonNode result = new ObjectMapper().readTree(outcome.out());
    assertEquals(15, result.get("rows").size());
    for (JsonNode row : result.get("rows")) {
      String what = row.toString();
      boolean tokenByToken = row.get("schedule").asText().equals("token by token");
      assertTrue(row.get("row_forwards").asLong() > row.get("forwards").asLong(), what);
      if (tokenByToken) {
        assertEquals(row.get("tokens").asInt() + 1, row.get("forwards").asInt(), "a pass for each token, and one for the end");
      }
      if (row.get("decoding").asText().equals("full")) {
        assertEquals(0, row.get("row_forwards").asLong() % row.get("forwards").asLong(), "each pass has all rows");
      }
    }
    String html = Files.readString(page);
    assertTrue(html.contains("<svg") && html.contains("<pre>dvl compare samples") && !html.contains("http://127"), "a page with a picture");
    assertFalse(html.contains("<script") || html.contains("<link"), "it needs nothing else");
    assertEquals(5, result.get("findings").size());
    result.get("findings").forEach(finding -> assertTrue(html.contains(finding.asText().replace("\"", "&quot;"))
        || html.contains(finding.asText()), finding.asText()));
  }

  /** Another task, whose right answers are letters: blocks are as long as these, and what a drawn model says is wrong. */
  @Test
  void anotherTask() throws Exception {
    Outcome outcome = new DvlProcess(temp).runHere("compare", DvlProcess.MODEL.toString(), "--task", "mmbench_en_dev", "--data",
        "src/test/resources/benchmarks/MMBench_DEV_EN.tsv", "--limit", "1", "--dtype", "f32", "--device", "emulated", "--out",
        temp.resolve("page.html").toString(), "--json");
    assertEquals(0, outcome.code(), outcome.err());
    JsonNode rows = new ObjectMapper().readTree(outcome.out()).get("rows");
    assertEquals(13, rows.size());
    rows.forEach(row -> assertTrue(row.get("tokens").asInt() <= 8 && row.get("score").asDouble() == 0, row.toString()));
    assertTrue(Files.readString(temp.resolve("page.html")).contains("over 1 questions of mmbench_en_dev"));
  }

  private static Compared row(String decoding, int right, long forwards, long rows) {
    return new Compared(decoding, right + " of 100", 100, right, 1000, forwards, rows, 500, 10, 1, 1000);
  }

  @Test
  void theCheapestThatIsAsGood() {
    List<Compared> rows = List.of(row("block", 90, 500, 9000), row("block", 87, 300, 4000), row("block", 86, 100, 1000),
        row("full", 88, 200, 8000), row("full", 88, 200, 7000), row("autoregressive", 91, 1000, 2000));
    assertEquals(rows.get(1), Compared.cheapest(rows, "block"));
    assertEquals(rows.get(4), Compared.cheapest(rows, "full"));
    assertNull(Compared.cheapest(rows.subList(0, 3), "full"));
    CompareReport report = new CompareReport("a < b", "dvl compare", true, rows);
    List<String> findings = report.findings();
    assertTrue(findings.get(3).contains("0.57 of the row-forwards of full decoding: more than half, otherwise than expected, for full "
        + "decoding needs 2.0 passes per answer for its best score, block diffusion 3.0, and 13 % of its row-forwards are the prompts'"),
        findings.get(3));
    assertTrue(findings.get(4).contains("0.30 of the forwards of autoregressive decoding, at most half"), findings.get(4));
    assertTrue(findings.get(4).endsWith("It scores 4.0 points fewer, so the passes alone do not decide."));
    assertTrue(report.html().contains("<h1>a &lt; b</h1>"));
    assertEquals(8, report.markdown().lines().count());
    assertFalse(report.markdown().contains("per second"), "times of the emulated device are left out");
    assertTrue(new CompareReport("", "", false, rows).markdown().contains("tokens per second"));
  }

  @Test
  void refusals() {
    DvlProcess dvl = new DvlProcess(temp);
    dvl.refusedHere(2, "--task is 'vqa', allowed are chartqa", "compare", BASE, "--task", "vqa", "--data", DATA);
    dvl.refusedHere(2, "--data is missing", "compare", BASE, "--task", "exact");
    dvl.refusedHere(2, "--gen-length is 0", "compare", BASE, "--task", "exact", "--data", DATA, "--gen-length", "0");
    dvl.refusedHere(2, "--limit is -1", "compare", DvlProcess.MODEL.toString(), "--task", "exact", "--data", DATA, "--limit", "-1");
    dvl.refusedHere(3, "is no diffusion model; it could be the --base of one", "compare", BASE, "--task", "exact", "--data", DATA,
        "--device", "emulated");
    dvl.refusedHere(3, "is a diffusion model; --base is", "compare", DvlProcess.MODEL.toString(), "--base", DvlProcess.MODEL.toString(),
        "--task", "exact", "--data", DATA, "--device", "emulated");
  }
}
