// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.diffusionvl.cli.DvlProcess.Outcome;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How the command line treats its user: what it says to a slip, and what it shows to one who watches. */
class MannersTest {
  private static final String DEVICE = System.getProperty("dvl.device", "emulated");
  private static final String MODEL = DvlProcess.MODEL.toString();
  private static final String SQUARE = "samples/images/yellow-square.png";
  private static final String TWO = "samples/images/square-and-cross.png";
  private static final String TWO_SHAPES =
      "The image shows 2 shapes. A large pink square is at the top right. A small green cross is at the bottom left.";

  @TempDir
  private Path temp;
  private DvlProcess dvl;

  @BeforeEach
  void start() {
    dvl = new DvlProcess(temp);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "genrate | did you mean generate?",
      "generate --promt x | did you mean --prompt?",
      "generate --prompt x --gen-lenght 8 | did you mean --gen-length?",
      "bench kernel | did you mean kernels?",
      "inspect | DIR",
      "generate --prompt x --gen-length 0 | --gen-length is 0, allowed is 1 or more",
      "generate --prompt x --gen-length -3 | --gen-length is -3",
      "generate --prompt x --images grid | --images grid takes 2 to 9 images, there are 0",
      "generate --prompt x --images mosaic | --images is 'mosaic', allowed are separate and grid",
      "generate | --prompt is missing",
      "translate --base b --plan --batch 0 | --batch is 0, allowed is 1 or more",
      "translate --base b --plan --accumulate 0 | --accumulate is 0, allowed is 1 or more",
      "translate --base b --plan --batch 65536 --accumulate 65536 | --accumulate is 65536, allowed is so many that a step has",
      "translate --base b --plan --steps 0 | --steps is 0, allowed is 1 or more",
      "translate --base b --plan --epochs 0 | --epochs is 0, allowed is 1 or more",
      "translate --base b --plan --lr 0 | --lr is 0.0, allowed is above 0",
      "translate --base b --plan --lr NaN | --lr is NaN, allowed is above 0",
      "translate --base b --plan --lr-vision -1 | --lr-vision is -1.0, allowed is above 0",
      "translate --base b --plan --warmup 2 | --warmup is 2.0, allowed is 0 to 1",
      "translate --base b --plan --block-size 0 | --block-size is 0, allowed is 1 or more",
      "translate --base b --plan --max-length 0 | --max-length is 0, allowed is 1 or more",
      "translate --base b --plan --save-every -1 | --save-every is -1, allowed is 0 or more",
      "translate --base b --plan --device foo | --device",
      "bench kernels --only nothing | there is no kernel 'nothing'; there are activation_backward"})
  void slips(String line, String said) {
    Outcome outcome = dvl.refusedHere(2, said, line.split(" "));
    assertTrue(outcome.err().startsWith("dvl: "), outcome.err());
  }

  /** The hint after a usage error is a command that exists. */
  @Test
  void hints() {
    for (String line : List.of("", "nonsense", "bench", "bench nonsense", "bench kernels --nonsense", "generate --nonsense",
        "chat --nonsense")) {
      String err = dvl.refusedHere(2, "Try 'dvl", line.isEmpty() ? new String[0] : line.split(" ")).err();
      String hint = err.substring(err.indexOf("Try '") + 5, err.lastIndexOf('\''));
      assertEquals(0, dvl.runHere(Arrays.copyOfRange(hint.split(" "), 1, hint.split(" ").length)).code(), hint);
    }
    String missing = dvl.refusedHere(2, "a command is missing").err();
    for (String command : List.of("generate", "chat", "inspect", "translate", "bench")) {
      assertTrue(missing.contains(command), missing);
    }
  }

  /** Every option is whole on its line, whatever the width. */
  @Test
  void helpBreaksNoWord() {
    String words = "carries -Ddvl.device=emulated, low_confidence_static or --confidence-threshold behind a comma,and one";
    for (int width = 1; width < 120; width++) {
      List<String> lines = HelpText.wrap(words, width);
      assertEquals(words, String.join(" ", lines));
      for (String line : lines) {
        assertTrue(line.length() <= width || !line.contains(" "), line);
      }
    }
    String help = dvl.runHere("generate", "--help").out();
    assertTrue(help.contains("-Ddvl.device"), help);
    assertFalse(help.contains("Default: []"), help);
    assertTrue(dvl.runHere("--help").out().contains("DVL_JAVA_OPTIONS"));
  }

  @Test
  void aPromptOnStandardInput() {
    InputStream in = System.in;
    try {
      System.setIn(new ByteArrayInputStream("Describe this image.\n".getBytes(StandardCharsets.UTF_8)));
      Outcome outcome = dvl.runHere("generate", "--model", MODEL, "--image", TWO, "--prompt", "-", "--device", DEVICE);
      assertEquals(0, outcome.code(), outcome.err());
      assertEquals(TWO_SHAPES, outcome.out().strip());
      System.setIn(new ByteArrayInputStream(new byte[] {'a', (byte) 0xff}));
      dvl.refusedHere(3, "standard input: not UTF-8", "generate", "--prompt", "-");
      System.setIn(new ByteArrayInputStream(new byte[(1 << 20) + 1]));
      dvl.refusedHere(3, "standard input: a prompt has at most 1048576 bytes", "generate", "--prompt", "-");
      System.setIn(InputStream.nullInputStream());
      dvl.refusedHere(2, "--prompt is empty", "generate", "--prompt", "-");
    } finally {
      System.setIn(in);
    }
  }

  @Test
  void severalImages() throws Exception {
    String[] several = {"generate", "--model", MODEL, "--image", TWO, "--image", SQUARE, "--prompt", "How many?", "--gen-length", "8",
        "--json", "--device", DEVICE};
    Outcome separate = dvl.runHere(several);
    assertTrue(separate.err().contains("trained on single images and answer little to 2; --images grid"), separate.err());
    Outcome grid = dvl.runHere(Stream.concat(Arrays.stream(several), Stream.of("--images", "grid")).toArray(String[]::new));
    assertEquals(0, grid.code(), grid.err());
    assertFalse(grid.err().contains("--images grid"), grid.err());
    JsonNode one = new ObjectMapper().readTree(grid.out());
    JsonNode two = new ObjectMapper().readTree(separate.out());
    assertTrue(one.get("image_tokens").asInt() < two.get("image_tokens").asInt(), grid.out());
    int words = one.get("prompt_tokens").asInt() - one.get("image_tokens").asInt() - two.get("prompt_tokens").asInt()
        + two.get("image_tokens").asInt();
    assertTrue(words > 5, "the sentence on the layout stands before the question: " + words);
  }

  /** A terminal shows the block that is being denoised, and the time at the end; anything else gets neither. */
  @Test
  void whatATerminalShows() throws Exception {
    DvlProcess terminal = new DvlProcess(temp, "-Ddvl.terminal=true", "-Ddvl.terminal.stdout=true");
    Outcome shown = terminal.run("generate", "--image", TWO, "--prompt", "Describe this image.", "--show-drafts", "--steps", "4");
    assertEquals(0, shown.code(), shown.err());
    assertTrue(shown.out().contains("\033[2m") && shown.out().contains("\u2591"), shown.out());
    String last = shown.out().replaceAll("\0337\033\\[0J\033\\[2m[^\033]*\033\\[0m\0338", "").replace("\033[0J", "");
    assertEquals(TWO_SHAPES, last.strip());
    assertTrue(shown.err().contains("dvl: 27 tokens in "), shown.err());
    Outcome piped = dvl.run("generate", "--image", SQUARE, "--prompt", "What color is the square?", "--show-drafts");
    assertEquals("The square is yellow.\n", piped.out());
    assertTrue(piped.err().contains("--show-drafts has no effect"), piped.err());
    assertFalse(piped.err().contains("tokens in"), piped.err());
  }

  @Test
  void chat() {
    InputStream in = System.in;
    try {
      System.setIn(new ByteArrayInputStream(("/image " + SQUARE + "\nWhat color is the square?\n/bogus\n/image none.png\n\n"
          + "/system Be brief.\n/reset\n/image " + TWO + "\nDescribe this image.\n/exit\nnever\n").getBytes(StandardCharsets.UTF_8)));
      Outcome outcome = dvl.runHere("chat", "--model", MODEL, "--device", DEVICE);
      assertEquals(0, outcome.code(), outcome.err());
      List<String> lines = outcome.out().lines().toList();
      assertEquals(2, lines.size(), outcome.out());
      assertEquals("The square is yellow.", lines.getFirst());
      assertTrue(outcome.err().contains("dvl: no such command: /bogus"), outcome.err());
      assertTrue(outcome.err().contains("dvl: none.png: no such file"), outcome.err());
    } finally {
      System.setIn(in);
    }
  }


  @Test
  void samplesExplainThemselves() throws Exception {
    Map<String, String> programs = Map.of("Conversation", "MODEL IMAGE QUESTION", "DenoisingPicture", "MODEL IMAGE QUESTION FILE",
        "Translation", "BASE DATA IMAGES OUT STEPS");
    for (String program : programs.keySet()) {
      Process process = new ProcessBuilder(System.getProperty("java.home") + "/bin/java", "-cp", System.getProperty("java.class.path"),
          "dev.diffusionvl.samples." + program).redirectErrorStream(true).start();
      String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(2, process.waitFor(), said);
      assertTrue(said.startsWith("arguments: " + programs.get(program)) && said.lines().count() == 1, said);
    }
  }
}
