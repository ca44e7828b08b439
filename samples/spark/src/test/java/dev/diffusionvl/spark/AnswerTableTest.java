// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The program, started as its page says, and the commits that it makes. */
class AnswerTableTest {
  private static final String IMAGES = Shapes.IMAGES.toString();

  private static SparkSession spark;

  @TempDir
  java.nio.file.Path folder;

  private java.nio.file.Path output;

  @BeforeAll
  static void start() {
    spark = Shapes.spark("local[1]").getOrCreate();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private Process submit(String... more) throws IOException {
    output = folder.resolve("answers");
    List<String> command = new ArrayList<>(List.of(Shapes.PROJECT.resolve("samples/spark/submit").toString(), "--master", "local[2]",
        "--conf", "spark.log.level=ERROR", "--conf", "spark.ui.enabled=false", System.getProperty("sample.jar"), "--model",
        Shapes.MODEL.toString(), "--gen-length", "16", "--steps", "4",
        "--output", output.toString()));
    command.addAll(List.of(more));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(folder.resolve("log").toFile());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().put("JAVA_TOOL_OPTIONS", Shapes.QUICK);
    return builder.start();
  }

  private void end(int code, Process process, String said) throws Exception {
    assertTrue(process.waitFor(5, TimeUnit.MINUTES));
    String log = Files.readString(folder.resolve("log"));
    assertEquals(code, process.exitValue(), log);
    assertTrue(log.contains(said), log);
  }

  private java.nio.file.Path table(List<Row> rows, int files) {
    java.nio.file.Path input = folder.resolve("questions");
    Shapes.table(spark, rows, files).write().parquet(input.toString());
    return input;
  }

  private List<Long> ids() {
    return spark.read().parquet(output.toString()).select("id").collectAsList().stream().map(row -> row.getLong(0)).sorted().toList();
  }

  /** At any moment, in a commit and between two; what is there then is never half a commit. */
  @Test
  void aKilledRunIsGoneOnWithAndNoRowIsLostOrDoubled() throws Exception {
    java.nio.file.Path input = table(Shapes.questions(98), 3);
    Random random = new Random(19);
    for (int commits = 1; commits < 5; commits++) {
      Process process = submit("--input", input.toString(), "--images", IMAGES, "--commit-rows", "7", "--resume");
      for (int waited = 0; waited < 1200 && !Files.exists(output.resolve("commit=00000" + commits)); waited++) {
        TimeUnit.MILLISECONDS.sleep(100);
      }
      TimeUnit.MILLISECONDS.sleep(random.nextInt(1500));
      assertTrue(process.isAlive(), Files.readString(folder.resolve("log")));
      process.destroyForcibly().waitFor();
      assertEquals(0, ids().size() % 7, "rows of whole commits");
    }
    end(0, submit("--input", input.toString(), "--images", IMAGES, "--commit-rows", "7", "--resume"), "rows answered");
    assertEquals(IntStream.range(0, 98).mapToObj(i -> (long) i).toList(), ids());
    assertEquals(98, spark.read().parquet(output.toString()).where("answer.text IS NOT NULL AND answer.error IS NULL").count());
    try (Stream<java.nio.file.Path> left = Files.list(output.resolve("_staging"))) {
      assertEquals(List.of(), left.toList());
    }
    end(3, submit("--input", input.toString(), "--images", IMAGES), "has answers already; --resume adds those that are missing");
    end(3, submit("--input", input.toString(), "--images", IMAGES, "--resume", "--seed", "5"),
        "has answers made with other settings: not with [seed=5]");
  }

  /** A picture of a folder each, with one question; the bytes do not go into the output. */
  @Test
  void aFolderOfPictures() throws Exception {
    end(0, pictures("What is there?\nSay it."), "3 rows answered");
    end(0, pictures("What is there?\nSay it.", "--resume"), "0 rows answered");
    end(3, pictures("What colour is it?", "--resume"), "has answers made with other settings: not with [question=What colour is it?]");
    assertEquals("[path, modificationTime, length, prompt, answer, commit]",
        List.of(spark.read().parquet(output.toString()).columns()).toString());
  }

  private Process pictures(String question, String... more) throws IOException {
    return submit(Stream.concat(Stream.of("--input", Shapes.PROJECT.resolve("samples/images").toString(), "--format", "binaryFile",
        "--prompt", question, "--id-col", "path", "--image-col", "content"), Stream.of(more)).toArray(String[]::new));
  }

  @Test
  void badInputIsOneLineAndExitCodeThree() throws Exception {
    List<Row> rows = new ArrayList<>(Shapes.questions(3));
    rows.add(RowFactory.create(1L, "eval00000.png", "Twice?"));
    String input = table(rows, 1).toString();
    end(3, submit("--input", input), "AnswerTable: column id: 1 is there 2 times; it has to tell rows apart");
    end(3, submit("--input", folder.resolve("nowhere").toString()), "AnswerTable: ");
    end(3, submit("--input", Shapes.PROJECT.resolve("samples/images").toString()), "AnswerTable: "); // these are no Parquet files
    end(3, submit("--input", input, "--id-col", "number"), "AnswerTable: the input needs a column number");
    end(2, submit("--input", input, "--dtype", "f8"), "dtype is 'f8'");
    end(2, submit("--input", input, "--dtype", "f32", "--kv", "fp8"), "kv fp8 goes with dtype bf16 and f16");
    end(2, submit("--input", input, "--commit-rows", "0"), "--commit-rows is 0, allowed is 1 or more");
    end(4, submit("--input", Shapes.PROJECT.resolve("samples/spark/questions.json").toString(), "--format", "json", "--device", "gpu:7"),
        "AnswerTable: ");
  }

  /** On a local disk, and on a file system of Hadoop's, whose own rename it takes. */
  @ParameterizedTest
  @ValueSource(strings = {"file:", "viewfs://disk"})
  void ofTwoRunsAtOnceTheOneThatHasNotSeenTheOthersCommitStops(String system) throws IOException {
    Configuration hadoop = new Configuration();
    hadoop.set("fs.viewfs.mounttable.disk.link." + folder, folder.toUri().toString());
    String name = system + folder + "/answers";
    CommitFolder first = new CommitFolder(name, hadoop);
    CommitFolder second = new CommitFolder(name, hadoop);
    second.publish(staged(second, hadoop));
    Path late = staged(first, hadoop);
    String message = assertThrows(BadInputException.class, () -> first.publish(late)).getMessage();
    assertTrue(message.contains("another run writes to this folder"), message);
    CommitFolder third = new CommitFolder(name, hadoop);
    assertEquals(List.of("seed=1", "steps=2"), third.settings());
    third.clean();
    assertThrows(BadInputException.class, () -> third.publish(late), "it was cleaned away");
    third.publish(staged(third, hadoop));
    assertEquals(List.of("commit=000000", "commit=000001"), third.commits().stream().map(Path::getName).toList());
    assertEquals(third.commits(), new CommitFolder(name, hadoop).commits());
  }

  private static Path staged(CommitFolder commits, Configuration hadoop) throws IOException {
    Path staged = commits.stage();
    commits.note(staged, List.of("seed=1", "steps=2"));
    return staged;
  }

  @Test
  void aFolderOfSomethingElseIsLeftAlone() throws IOException {
    Files.writeString(folder.resolve("photo.png"), "");
    String message = assertThrows(BadInputException.class, () -> new CommitFolder(folder.toString(), new Configuration())).getMessage();
    assertTrue(message.contains("photo.png is no commit"), message);
  }
}
