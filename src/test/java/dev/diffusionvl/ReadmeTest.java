// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every command that a page prints either runs here, as it is printed, or stands in a list with the reason why it does not. */
class ReadmeTest {
  private static final Pattern SPAN = Pattern.compile("`([^`]+)`");
  private static final Pattern COMMAND = Pattern.compile("(?:[A-Z_]+=\\S+ )?"
      + "(?:\\./dvl|dvl|mvn|make|java|hf|python3|cuda/prove|bench/gpu\\.sh|node|curl|samples/\\S+\\.py|samples/spark/submit|spark-submit)"
      + "(?: .+|$)");

  private static final Set<String> RUN = new TreeSet<>(Set.of(
      "./dvl generate --image samples/images/square-and-cross.png --prompt \"Describe this image.\"",
      "./dvl generate --image samples/images/square-and-cross.png --prompt \"Describe this image.\" --kv fp8",
      "./dvl bench predict --shape 7b --device h200 --context 4000 --kv fp8",
      "./dvl generate --help",
      "./dvl inspect samples/models/diffusionvl-tiny",
      "./dvl selfcheck samples/models/diffusionvl-tiny --json target/selfcheck.json",
      "./dvl generate --model samples/models/qwen25vl-tiny --image samples/images/yellow-square.png "
          + "--prompt \"Describe this image.\" --speculate 5",
      "./dvl compare samples/models/diffusionvl-tiny --base samples/models/qwen25vl-tiny --task exact --data samples/data/shapes/eval.json "
          + "--images samples/data/shapes/images --limit 1 --dtype f32 --out target/comparison.html",
      "./dvl eval samples/models/diffusionvl-tiny --task mmbench_en_dev --data src/test/resources/benchmarks/mmbench --gen-length 8 "
          + "--out target/mmbench",
      "./dvl eval --task chartqa --rescore src/test/resources/eval/chartqa.jsonl --json",
      "./dvl generate --image samples/images/yellow-square.png --prompt \"What color is the square?\" --steps 2 --gen-length 16 --json "
          + "--trace target/trace.jsonl",
      "DVL_MAIN=dev.diffusionvl.samples.Conversation ./dvl samples/models/diffusionvl-tiny samples/images/yellow-square.png "
          + "\"What color is the square?\"",
      "./dvl generate --image samples/images/yellow-square.png --prompt \"What color is the square?\" --choices red,yellow,blue "
          + "--gen-length 16",
      "DVL_MAIN=dev.diffusionvl.samples.PictureToRecord ./dvl samples/models/diffusionvl-tiny samples/images/yellow-square.png",
      "DVL_MAIN=dev.diffusionvl.samples.DenoisingPicture ./dvl samples/models/diffusionvl-tiny samples/images/square-and-cross.png "
          + "\"Describe this image.\" target/denoising.svg",
      "./dvl bench predict --shape 3b --device h100",
      "make -C jni-kernels",
      "make -C cuda module SOURCE=samples/kernels/vector_add.cu OUT=target/own",
      "DVL_MAIN=dev.diffusionvl.samples.lowlevel.OwnKernel ./dvl",
      "DVL_MAIN=dev.diffusionvl.samples.lowlevel.BlockMaskedAttention ./dvl",
      "DVL_MAIN=dev.diffusionvl.samples.lowlevel.Remasking ./dvl",
      "DVL_MAIN=dev.diffusionvl.samples.lowlevel.KvAppend ./dvl",
      "DVL_MAIN=dev.diffusionvl.samples.lowlevel.CapturedGraph ./dvl",
      "./dvl translate --check src/test/resources/golden-train/text --base samples/models/diffusionvl-tiny --dtype f32 --json",
      "./dvl translate --base samples/models/qwen25vl-tiny --plan --memory 80GB",
      "./dvl generate --model samples/models/qwen25vl-tiny --image samples/data/shapes/images/eval00039.png "
          + "--prompt \"What color is the cross?\" --gen-length 16"));

  private static final String SHAPES = "--images samples/data/shapes/images";

  /** Printed commands that take long, and the shorter ones that run here. */
  private static final Map<String, String> SHORTENED = Map.of(
      "DVL_MAIN=dev.diffusionvl.samples.Translation ./dvl samples/models/qwen25vl-tiny samples/data/shapes/train.json "
          + "samples/data/shapes/images target/sample 150",
      "DVL_MAIN=dev.diffusionvl.samples.Translation ./dvl samples/models/qwen25vl-tiny samples/data/shapes/train.json "
          + "samples/data/shapes/images FOLDER/sample 1",
      "./dvl translate --base samples/models/qwen25vl-tiny --data samples/data/shapes/train.json " + SHAPES
          + " --out target/translated --train lm --steps 150 --batch 8 --lr 5e-4 --dtype f32 --seed 5",
      "./dvl translate --base samples/models/qwen25vl-tiny --data samples/data/shapes/train.json " + SHAPES
          + " --out FOLDER/translated --train lm --steps 2 --batch 2 --lr 5e-4 --dtype f32 --seed 5 && cat FOLDER/translated/train.jsonl",
      "./dvl eval --task exact --model target/translated --data samples/data/shapes/eval.json " + SHAPES,
      "./dvl eval --task exact --model samples/models/diffusionvl-tiny --data samples/data/shapes/eval.json " + SHAPES + " --limit 2",
      "./dvl eval --task exact --model samples/models/diffusionvl-tiny --data samples/data/shapes/eval.json " + SHAPES + " --kv fp8",
      "./dvl eval --task exact --model samples/models/diffusionvl-tiny --data samples/data/shapes/eval.json " + SHAPES
          + " --kv fp8 --limit 2",
      "./dvl quantize samples/models/diffusionvl-tiny --to int4 --group 32 --out target/int4",
      "./dvl quantize samples/models/diffusionvl-tiny --to int4 --group 32 --out FOLDER/int4 --records 1 && ./dvl inspect FOLDER/int4 "
          + "&& ./dvl generate --model FOLDER/int4 --image samples/images/square-and-cross.png --prompt \"Describe this image.\"");

  private static final String SERVE = "./dvl serve";

  /** Commands that ask the server that {@link #SERVE} starts. */
  private static final Set<String> SERVED = new TreeSet<>(Set.of(
      "curl -s http://127.0.0.1:8080/v1/chat/completions -H \"Content-Type: application/json\" -d '{\"messages\":[{\"ro"
          + "le\":\"user\",\"content\":\"What do you see?\"}],\"max_tokens\":32}'",
      "curl -s http://127.0.0.1:8080/v1/chat/completions -H \"Content-Type: application/json\" -d \"{\\\"messages\\\":["
          + "{\\\"role\\\":\\\"user\\\",\\\"content\\\":[{\\\"type\\\":\\\"image_url\\\",\\\"image_url\\\":{\\\"url\\\":\\\"d"
          + "ata:image/png;base64,$(base64 -w0 samples/images/square-and-cross.png)\\\"}},{\\\"type\\\":\\\"text\\\",\\\"text"
          + "\\\":\\\"Describe this image.\\\"}]}]}\"",
      "curl -sN http://127.0.0.1:8080/v1/chat/completions -H \"Content-Type: application/json\" -d '{\"messages\":[{\"r"
          + "ole\":\"user\",\"content\":\"What do you see?\"}],\"stream\":true,\"stream_options\":{\"include_usage\":true},\""
          + "diffusion\":{\"steps\":4,\"stream_drafts\":true}}'",
      "curl -s http://127.0.0.1:8080/v1/models",
      "curl -s http://127.0.0.1:8080/health",
      "curl -s http://127.0.0.1:8080/metrics"));

  private static final String BUILD = "a build, which this test is a part of; ConsumerTest installs what it makes";
  private static final String CHECKPOINT = "needs a released checkpoint, and tests download nothing";
  private static final String BENCH = "takes minutes; BenchTest runs it at small sizes, and the profile jmh compiles its benchmarks";
  private static final String USERS = "takes minutes; ClientsTest runs it for seconds";
  private static final String PEER = "needs PyTorch and a GPU";
  private static final String GPU = "needs a GPU";
  private static final String MACHINE = "is for a GPU machine; its rehearsal on the emulated device takes minutes";
  private static final String NVCC = "needs nvcc; the build's gates run it where there is one";
  private static final String CHECK = "is a step of the build: the kernel tests run on what it makes";
  private static final String PROOF = "takes minutes; tests of the package prove run its parts";
  private static final String TRANSLATED = "needs the demo's translated checkpoint, which takes minutes to make";
  private static final String QUANTISED = "runs behind the shortened command that makes the checkpoint";
  private static final String SPARK = "SparkSampleTest runs it, on the finished jars";
  private static final String CLUSTER = "needs a cluster; the tests of samples/spark run the program on local-cluster";
  private static final String NAMED = "a name in a sentence, or a form with a word to be replaced";

  /** Printed commands that do not run here, each with the reason. */
  private static final Map<String, String> NOT_RUN = Map.ofEntries(
      Map.entry("mvn -B verify", BUILD),
      Map.entry("mvn verify", BUILD),
      Map.entry("mvn -B -DskipTests install", BUILD),
      Map.entry("mvn install", BUILD),
      Map.entry("mvn -B test -Dtest=PageTest -Ddvl.page.screenshots=docs", BUILD),
      Map.entry("mvn -B -DskipTests -Pdist package", BUILD),
      Map.entry("mvn -B -f samples/spark/pom.xml -DskipTests package", SPARK),
      Map.entry("mvn -B -f samples/spark/pom.xml verify", SPARK),
      Map.entry("samples/spark/submit --master \"local[2]\" --conf spark.log.level=WARN target/spark/diffusionvl-spark.jar "
          + "--model samples/models/diffusionvl-tiny --input samples/spark/questions.json --format json --images samples/images "
          + "--output target/answers --show 3", SPARK),
      Map.entry("spark-submit --master spark://MASTER:7077 --conf spark.executor.resource.gpu.amount=1 "
          + "--conf spark.task.resource.gpu.amount=0.125 --conf spark.executorEnv.CUDA_DEVICE_ORDER=PCI_BUS_ID "
          + "--conf spark.executor.cores=8 --conf spark.executor.memory=8g "
          + "target/spark/diffusionvl-spark.jar --model /models/DiffusionVL-Qwen2.5VL-3B --input hdfs:///questions "
          + "--output hdfs:///answers --commit-rows 10000 --resume", CLUSTER),
      Map.entry("mvn -B -DskipTests -Pjmh verify", BENCH),
      Map.entry("mvn test -Dtest=ConformanceTest -Ddvl.device=gpu -DargLine=\"--enable-native-access=ALL-UNNAMED "
          + "-Dconformance.record=FOLDER\"", GPU),
      Map.entry("hf download hustvl/DiffusionVL-Qwen2.5VL-3B --local-dir models/DiffusionVL-Qwen2.5VL-3B", CHECKPOINT),
      Map.entry("./dvl inspect models/DiffusionVL-Qwen2.5VL-3B", CHECKPOINT),
      Map.entry("./dvl selfcheck models/DiffusionVL-Qwen2.5VL-3B --json report.json", CHECKPOINT),
      Map.entry("./dvl generate --model models/DiffusionVL-Qwen2.5VL-3B --image photo.jpg --prompt \"What is in this picture?\"",
          CHECKPOINT),
      Map.entry("dvl bench kernels", BENCH),
      Map.entry("dvl bench forward --shape 3b\\|7b\\|tiny", BENCH),
      Map.entry("dvl bench generate --shape …", BENCH),
      Map.entry("dvl bench train --shape 3b\\|7b\\|tiny", BENCH),
      Map.entry("dvl bench serve --shape …", BENCH),
      Map.entry("dvl bench load --shape …", BENCH),
      Map.entry("node bench/load.mjs --users 1,2,4,8 --seconds 60", USERS),
      Map.entry("dvl bench predict --shape …", NAMED),
      Map.entry("dvl bench predict", NAMED),
      Map.entry("dvl bench predict --device rtx4090 --without shares", NAMED),
      Map.entry("dvl bench forward", NAMED),
      Map.entry("python3 samples/bench/peer.py", PEER),
      Map.entry("bench/gpu.sh --rehearse --out target/rehearsal", MACHINE),
      Map.entry("bench/gpu.sh", MACHINE),
      Map.entry("bench/gpu.sh --out OUT facts tests vectors kernels", MACHINE),
      Map.entry("bench/gpu.sh --out OUT 3b serve load profile", MACHINE),
      Map.entry("bench/gpu.sh --out OUT train", MACHINE),
      Map.entry("bench/gpu.sh --out OUT 7b sanitizer", MACHINE),
      Map.entry("make -C cuda budgets", NVCC),
      Map.entry("make -C cuda cubins LINES=1", NVCC),
      Map.entry("make -C cuda check", CHECK),
      Map.entry("make -C cuda sanitize", PROOF),
      Map.entry("cuda/prove --kernel rms_norm", PROOF),
      Map.entry("cuda/prove --schedule-seed N", PROOF),
      Map.entry("cuda/prove --coverage", PROOF),
      Map.entry("dvl generate", NAMED),
      Map.entry("dvl generate --json", NAMED),
      Map.entry("dvl chat", NAMED),
      Map.entry("dvl serve", NAMED),
      Map.entry("dvl bench", NAMED),
      Map.entry("dvl bench --help", NAMED),
      Map.entry("dvl eval", NAMED),
      Map.entry("dvl compare", NAMED),
      Map.entry("dvl translate", NAMED),
      Map.entry("dvl translate --vision-tower", NAMED),
      Map.entry("./dvl generate --model target/translated --image samples/data/shapes/images/eval00039.png "
          + "--prompt \"What color is the cross?\" --gen-length 16", TRANSLATED),
      Map.entry("./dvl inspect target/int4", QUANTISED),
      Map.entry("./dvl generate --model target/int4 --image samples/images/square-and-cross.png --prompt \"Describe this image.\"",
          QUANTISED),
      Map.entry("dvl quantize", NAMED),
      Map.entry("dvl inspect", NAMED),
      Map.entry("dvl selfcheck", NAMED),
      Map.entry("./dvl selfcheck DIR", NAMED),
      Map.entry("./dvl inspect DIR", NAMED));

  private static final Pattern SERVING = Pattern.compile("at (http://127\\.0\\.0\\.1:[0-9]+/)");

  private static Set<String> printed;

  @TempDir
  static Path temp;

  @BeforeAll
  static void read() throws IOException {
    List<Path> pages = new ArrayList<>(List.of(Path.of("README.md"), Path.of("bench/README.md"), Path.of("jni-kernels/README.md"),
        Path.of("samples/spark/README.md")));
    try (Stream<Path> docs = Files.list(Path.of("docs"))) {
      docs.filter(page -> page.toString().endsWith(".md")).forEach(pages::add);
    }
    printed = new TreeSet<>();
    for (Path page : pages) {
      printed.addAll(commands(Files.readAllLines(page)));
    }
  }

  /** Lines of blocks, and code within text that has an argument: a program's name alone is talk of it. */
  private static List<String> commands(List<String> lines) {
    List<String> commands = new ArrayList<>();
    boolean fenced = false;
    for (String line : lines) {
      if (line.startsWith("```")) {
        fenced = !fenced;
      } else if (fenced || line.startsWith("    ")) {
        commands.add(line.strip().replaceFirst(" +# .*", ""));
      } else {
        for (Matcher span = SPAN.matcher(line); span.find(); ) {
          commands.add(span.group(1).contains(" ") ? span.group(1) : "");
        }
      }
    }
    return commands.stream().filter(command -> COMMAND.matcher(command).matches()).toList();
  }

  @Test
  void everyPrintedCommandIsListed() {
    Set<String> listed = new TreeSet<>(RUN);
    listed.addAll(NOT_RUN.keySet());
    listed.addAll(SERVED);
    listed.add(SERVE);
    listed.addAll(SHORTENED.keySet());
    assertEquals(String.join("\n", listed), String.join("\n", printed));
    assertFalse(RUN.stream().anyMatch(NOT_RUN::containsKey));
  }

  static Collection<String> shortened() {
    return SHORTENED.values();
  }

  @ParameterizedTest
  @MethodSource("shortened")
  void runsShortened(String command) throws IOException, InterruptedException {
    assertFalse(output(command.replace("FOLDER", temp.toString())).isBlank(), command);
  }

  static Set<String> run() {
    return RUN;
  }

  @ParameterizedTest
  @MethodSource("run")
  void runsAsPrinted(String command) throws IOException, InterruptedException {
    String out = output(command);
    assertFalse(out.isBlank(), command);
    if (command.contains("Describe this image.\"") && command.startsWith("./dvl") && !command.contains("--model")) {
      assertTrue(Files.readString(Path.of("README.md")).contains("\n> " + out.strip() + "\n"), "the README prints another answer than "
          + out);
    }
  }

  /** What the command prints; it must end well, in a shell that finds an old Java first on its PATH. */
  private static String output(String command) throws IOException, InterruptedException {
    Path log = temp.resolve("out");
    Process process = start(command, log);
    boolean ended = process.waitFor(120, TimeUnit.SECONDS);
    process.destroyForcibly();
    assertTrue(ended, () -> "did not end: " + command);
    assertEquals(0, process.waitFor(), command + "\n" + Files.readString(Path.of(log + ".err")));
    return Files.readString(log);
  }

  private static Process start(String command, Path log) throws IOException {
    assumeTrue(Files.isDirectory(Path.of("target/classes")) && Files.isDirectory(Path.of("target/lib")),
        "no build here: tests from an archive");
    if (!Files.exists(Path.of("target/dvl.ready"))) {
      Files.createFile(Path.of("target/dvl.ready")); // this build made all that ./dvl would build
    }
    Path oldJava = Files.createDirectories(temp.resolve("old")).resolve("java");
    Files.writeString(oldJava, "#!/bin/sh\necho 'UnsupportedClassVersionError' >&2\nexit 1\n");
    Files.setPosixFilePermissions(oldJava, PosixFilePermissions.fromString("rwxr-xr-x"));
    ProcessBuilder builder = new ProcessBuilder("sh", "-c", command)
        .redirectOutput(log.toFile()).redirectError(Path.of(log + ".err").toFile());
    builder.environment().put("PATH", oldJava.getParent() + ":" + System.getenv("PATH"));
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    return builder.start();
  }

  /** The server as it is printed, but on a port that is free; what asks it, as it is printed; and its end by a signal. */
  @Test
  void theServerAnswersAsPrinted() throws IOException, InterruptedException {
    assumeTrue(System.getenv("PATH").lines().flatMap(path -> Stream.of(path.split(":"))).anyMatch(f -> Files.exists(Path.of(f, "curl"))),
        "no curl here");
    Path log = temp.resolve("serving");
    Process server = start("exec " + SERVE + " --port 0", log);
    try {
      Matcher address = SERVING.matcher("");
      for (int i = 0; !address.reset(Files.readString(log)).find(); i++) {
        assertTrue(i < 1200 && server.isAlive(), () -> "does not serve");
        Thread.sleep(100);
      }
      for (String command : SERVED) {
        String out = output(command.replace("http://127.0.0.1:8080/", address.group(1)));
        assertTrue(!out.isBlank() && !out.contains("\"error\""), command + "\n" + out);
        if (command.contains("Describe this image.")) {
          assertTrue(out.contains("\"The image shows 2 shapes. A large pink square is at the top right."), out);
        }
      }
      server.destroy();
      assertTrue(server.waitFor(60, TimeUnit.SECONDS));
      assertEquals(0, server.exitValue(), () -> "ends by SIGTERM");
    } finally {
      server.destroyForcibly();
    }
  }
}
