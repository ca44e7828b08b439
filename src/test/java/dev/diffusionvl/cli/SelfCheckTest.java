// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import dev.diffusionvl.loader.NamingScheme;
import dev.diffusionvl.loader.TestCheckpoints;
import dev.diffusionvl.loader.TestCheckpoints.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code dvl selfcheck} of the demo model, of one that is broken, and its figures of logits. */
class SelfCheckTest {
  private static final String SQUARE = "samples/images/yellow-square.png";

  @TempDir private Path temp;
  private DvlProcess dvl;

  @BeforeEach
  void start() {
    dvl = new DvlProcess(temp, "-Ddvl.device=emulated");
  }

  @Test
  void everythingOfTheDemoModelAgrees() throws Exception {
    Path file = temp.resolve("check.json");
    Outcome outcome = dvl.run("selfcheck", DvlProcess.MODEL.toString(), "--json", file.toString(), "--image", SQUARE, "--gen-length", "16");
    assertEquals(0, outcome.code(), outcome.err() + outcome.out());
    assertTrue(outcome.out().strip().endsWith("nothing disagrees"), outcome.out());
    JsonNode json = new ObjectMapper().readTree(file.toFile());
    assertTrue(json.get("ok").asBoolean());
    byte[] config = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(DvlProcess.MODEL.resolve("config.json")));
    JsonNode hashed = StreamSupport.stream(json.at("/model/files").spliterator(), false)
        .filter(entry -> entry.get("name").asText().equals("config.json")).findFirst().orElseThrow();
    assertEquals(HexFormat.of().formatHex(config), hashed.get("sha256").asText());
    assertEquals(5_421_856, json.at("/model/inspection/parameters").asLong());
    assertEquals(256, json.at("/model/shape/hidden_size").asInt());
    for (String type : new String[] {"bf16", "f32"}) {
      JsonNode run = json.at("/runs/" + type);
      assertTrue(run.at("/answer/text").asText().startsWith("The image shows 2 shapes."), run.toString());
      assertEquals(16, run.at("/answer/token_ids").size());
      assertTrue(run.at("/logits/rows").asInt() > 16 && run.at("/logits/not_finite").asInt() == 0, run.toString());
      assertEquals(5, run.at("/logits/first_row").size());
      for (String check : new String[] {"the same question twice", "graphs and single launches", "own and cuBLAS products",
          "with and without drafts", "logits are numbers"}) {
        assertEquals(1, StreamSupport.stream(json.get("checks").spliterator(), false)
            .filter(entry -> entry.get("name").asText().startsWith(type + ", " + check) && entry.get("state").asText().equals("agrees"))
            .count(), type + ", " + check + json.get("checks"));
      }
    }
    assertTrue(json.get("logits_difference").asDouble() > 0 && json.get("logits_difference").asDouble() < 0.05, json.toString());
    assertFalse(json.at("/smoke/as_published").asBoolean());
    assertTrue(json.at("/speed/read_gbps").asDouble() > 0 && json.at("/speed/forwards").size() == 2, json.toString());
    assertTrue(outcome.out().contains("left out  the published answer"), outcome.out());
  }

  /** Weights that are so large that logits are no numbers: the answer itself is refused, and named. */
  @Test
  void brokenModels() throws IOException {
    Path broken = temp.resolve("broken");
    Map<String, Tensor> tensors = TestCheckpoints.read(DvlProcess.MODEL);
    ByteBuffer.wrap(tensors.get("norm.weight").data()).order(ByteOrder.LITTLE_ENDIAN).putShort(0, (short) 0x7fc0);
    TestCheckpoints.writeModel(broken, DvlProcess.MODEL, tensors, NamingScheme.DIFFUSION_VL, 1);
    String home = System.getProperty("dvl.home");
    System.setProperty("dvl.home", Path.of("").toAbsolutePath().toString());
    try {
      Outcome outcome = dvl.runHere("selfcheck", broken.toString(), "--device", "emulated");
      assertEquals(3, outcome.code(), outcome.err());
      dvl.refusedHere(3, "nowhere", "selfcheck", temp.resolve("nowhere").toString());
      dvl.refusedHere(3, "none.png: no such file", "selfcheck", DvlProcess.MODEL.toString(), "--image", "none.png");
      dvl.refusedHere(2, "--gen-length is 0", "selfcheck", DvlProcess.MODEL.toString(), "--gen-length", "0");
      dvl.refusedHere(3, "no such folder", "selfcheck", DvlProcess.MODEL.toString(), "--json", temp.resolve("a/b").toString());
    } finally {
      if (home == null) {
        System.clearProperty("dvl.home");
      } else {
        System.setProperty("dvl.home", home);
      }
    }
  }

  /** What disagrees is counted, named on the page, and in the JSON. */
  @Test
  void disagreementsAreNamed() throws IOException {
    SelfCheckReport report = new SelfCheckReport();
    report.line("a fact of %d", 7);
    report.check("this agrees", true, "so it is");
    report.check("that does not", false, "1 and 2");
    report.leftOut("this was not tried", "no memory");
    assertEquals("[that does not]", report.disagreements().toString());
    assertEquals("a fact of 7\nagrees    this agrees: so it is\ndiffers   that does not: 1 and 2\nleft out  this was not tried: no memory\n"
        + "disagrees: that does not\n", report.page());
    JsonNode json = new ObjectMapper().readTree(report.toJson());
    assertFalse(json.get("ok").asBoolean());
    assertEquals("differs 1 and 2", json.at("/checks/1/state").asText() + " " + json.at("/checks/1/found").asText());
  }

  @Test
  void figuresOfLogits() {
    float[] logits = {1, 3, 2, 3, 0, -1, 0, 0, 0, 0, 0, 0, Float.NaN, 5, 1, 1, 1, 1};
    LogitStatistics all = LogitStatistics.of(logits, 6);
    assertEquals(1, all.notFinite());
    LogitStatistics two = LogitStatistics.of(Arrays.copyOf(logits, 12), 6);
    assertEquals("[1, 0]", Arrays.toString(two.best()));
    assertEquals("[Top[token=1, logit=3.0], Top[token=3, logit=3.0], Top[token=2, logit=2.0], Top[token=0, logit=1.0], "
        + "Top[token=4, logit=0.0]]", two.firstTop().toString());
    double[] weights = {Math.exp(1), Math.exp(3), Math.exp(2), Math.exp(3), 1, Math.exp(-1)};
    double total = Arrays.stream(weights).sum();
    double entropy = Arrays.stream(weights).map(w -> -w / total * Math.log(w / total)).sum();
    assertEquals((entropy + Math.log(6)) / 2, two.entropy(), 1e-12);
    assertEquals((Math.exp(3) / total + 1.0 / 6) / 2, two.confidence(), 1e-12);
    assertEquals(8.0 / 12, two.mean(), 1e-12);
    assertEquals(Math.sqrt(24.0 / 12 - Math.pow(8.0 / 12, 2)), two.deviation(), 1e-12);
    assertEquals("-1.0 3.0", two.least() + " " + two.most());
    assertEquals(0.5, two.sameBest(new LogitStatistics(2, 0, 0, 0, 0, 0, 0, 0, new int[] {1, 4}, two.firstTop())));
    assertEquals(0.5, LogitStatistics.difference(new float[] {3, 0}, new float[] {2, 0}));
  }
}
