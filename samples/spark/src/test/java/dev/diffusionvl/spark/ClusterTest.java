// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.runtime.DeviceUnavailableException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On two executors that are processes of their own and get the program as spark-submit sends it. */
class ClusterTest {
  private static final int ROWS = 500;

  private static SparkSession spark;
  private static List<Row> questions;
  private static Map<Long, GenerationResult> alone;

  @TempDir
  Path folder;

  @BeforeAll
  static void start() throws IOException {
    Path gpus = Shapes.WORK.resolve("gpus");
    Files.createDirectories(gpus.getParent());
    Files.writeString(gpus, "#!/bin/sh\necho '{\"name\": \"gpu\", \"addresses\": [\"3\"]}'\n");
    assertTrue(gpus.toFile().setExecutable(true));
    spark = Shapes.spark("local-cluster[2,1,2048]").config("spark.jars", System.getProperty("sample.jar"))
        .config("spark.executor.memory", "1g").config("spark.executor.extraJavaOptions", Shapes.QUICK)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.worker.resource.gpu.amount", 1).config("spark.worker.resource.gpu.discoveryScript", gpus.toString())
        .config("spark.executor.resource.gpu.amount", 1).config("spark.task.resource.gpu.amount", 0.5)
        .getOrCreate();
    questions = Shapes.questions(ROWS);
    alone = Shapes.alone(questions);
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  /** The answers of a table by id, each row once. */
  private static void assertRight(List<Row> answers, Set<Long> broken) {
    assertEquals(ROWS, answers.size());
    assertEquals(ROWS, answers.stream().map(row -> row.getLong(0)).distinct().count());
    for (Row row : answers) {
      if (broken.contains(row.getLong(0))) {
        assertFalse(row.isNullAt(2), row.toString());
      } else {
        assertEquals(alone.get(row.getLong(0)).text(), row.getString(1), row.toString());
        assertTrue(row.isNullAt(2), row.toString());
      }
    }
  }

  /** Whatever the partitions; 1 % of the images are broken. */
  @Test
  void answersAreThoseOfASession() throws IOException {
    List<Row> rows = new ArrayList<>(questions);
    Path cut = Shapes.WORK.resolve("cut.png");
    Files.write(cut, Arrays.copyOf(Files.readAllBytes(Shapes.IMAGES.resolve("eval00000.png")), 100));
    Set<Long> broken = Set.of(40L, 140L, 240L, 340L, 440L);
    rows.replaceAll(row -> RowFactory.create(row.get(0), (broken.contains(row.getLong(0)) ? cut : Shapes.IMAGES.resolve(row.getString(1)))
        .toString(), row.get(2)));
    for (int partitions : new int[] {2, 7}) {
      Dataset<Row> answers = Shapes.transformer().setImageFolder("").transform(Shapes.table(spark, rows, partitions));
      assertRight(answers.select("id", "answer.text", "answer.error").collectAsList(), broken);
    }
  }

  /** One of the executors is killed while the third commit is being made. */
  @Test
  void aKilledExecutorLosesAndDoublesNoRow() throws Exception {
    Path input = folder.resolve("questions");
    Path output = folder.resolve("answers");
    Shapes.table(spark, questions, 3).write().parquet(input.toString());
    int[] commits = {0};
    TableRun run = new TableRun(spark, Shapes.transformer(), "id", null, 100, 4);
    Thread killer = new Thread(ClusterTest::killAnExecutor);
    long rows = run.run(spark.read().parquet(input.toString()), output.toString(), false, line -> {
      if (++commits[0] == 2) {
        killer.start();
      }
    });
    killer.join();
    assertEquals(ROWS, rows);
    assertEquals(5, commits[0]);
    assertRight(spark.read().parquet(output.toString()).select("id", "answer.text", "answer.error").collectAsList(), Set.of());
    assertEquals(0, run.run(spark.read().parquet(input.toString()), output.toString(), true, line -> { }));
  }

  private static void killAnExecutor() {
    try {
      TimeUnit.SECONDS.sleep(2);
    } catch (InterruptedException e) {
      return;
    }
    ProcessHandle.current().descendants().filter(p -> p.info().commandLine().orElse("").contains("CoarseGrainedExecutorBackend"))
        .findFirst().orElseThrow().destroyForcibly();
  }

  /** Nobody has a fourth GPU here: without the assignment the emulated device would answer. */
  @Test
  void aTaskRunsOnTheGpuThatSparkAssigns() {
    Dataset<Row> rows = Shapes.transformer().setDevice("auto").transform(Shapes.table(spark, questions.subList(0, 1), 1));
    Throwable failure = assertThrows(Exception.class, () -> rows.select("answer.text").collectAsList());
    while (failure.getCause() != null) {
      failure = failure.getCause();
    }
    assertEquals(DeviceUnavailableException.class, failure.getClass(), failure.toString());
  }
}
