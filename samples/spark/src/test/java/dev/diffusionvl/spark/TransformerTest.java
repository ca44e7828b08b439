// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.col;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.Meter;
import com.codahale.metrics.MetricRegistry;
import dev.diffusionvl.model.EngineException;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.metrics.source.Source;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineModel;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** On {@code local[2]}: two task threads and one engine in this process. */
class TransformerTest {
  private static SparkSession spark;

  @BeforeAll
  static void start() {
    spark = Shapes.spark("local[2]").getOrCreate();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static List<Row> answers(Dataset<Row> table) {
    return Shapes.transformer().transform(table).orderBy("id").select("answer.*").collectAsList();
  }

  /** Which they are for images by name, by their bytes, and in arrays. */
  @Test
  void answersAreThoseOfASession() throws IOException {
    List<Row> questions = Shapes.questions(6);
    Map<Long, GenerationResult> alone = Shapes.alone(questions);
    List<Row> bytes = new ArrayList<>();
    for (Row row : questions) {
      bytes.add(RowFactory.create(row.get(0), Files.readAllBytes(Shapes.IMAGES.resolve(row.getString(1))), row.get(2)));
    }
    Dataset<Row> named = Shapes.table(spark, questions, 2);
    Dataset<Row> binary = spark.createDataFrame(bytes, new StructType().add("id", DataTypes.LongType).add("image", DataTypes.BinaryType)
        .add("prompt", DataTypes.StringType)).repartition(3);
    for (Dataset<Row> table : List.of(named, named.withColumn("image", array("image")), binary)) {
      List<Row> answers = answers(table);
      for (int i = 0; i < questions.size(); i++) {
        GenerationResult expected = alone.get((long) i);
        Row answer = answers.get(i);
        assertEquals(List.of(expected.text(), expected.finishReason(), expected.generatedTokens(), expected.counts().forwards()),
            List.of(answer.get(0), answer.get(1), answer.get(2), answer.get(3)));
        assertTrue(answer.getDouble(4) > 0);
        assertNull(answer.get(5));
      }
    }
  }

  @Test
  void anAnswerObeysTheSchemaOfItsRow() throws IOException {
    List<Row> rows = List.of(RowFactory.create(0L, "What color is the shape?", "{\"enum\":[\"red\",\"blue\"]}"),
        RowFactory.create(1L, "What color is the shape?", null),
        RowFactory.create(2L, "What color is the shape?", "{\"type\":\"colour\"}"));
    StructType type = new StructType().add("id", DataTypes.LongType).add("prompt", DataTypes.StringType).add("form", DataTypes.StringType);
    List<Row> answers = Shapes.transformer().setImageCol("").setSchemaCol("form").transform(spark.createDataFrame(rows, type))
        .orderBy("id").select("answer.*").collectAsList();
    assertTrue(List.of("\"red\"", "\"blue\"").contains(answers.get(0).getString(0)), answers.toString());
    assertNull(answers.get(1).get(5));
    assertTrue(answers.get(2).getString(5).contains("colour"), answers.toString());
  }

  /** Counted in passes, not in time. */
  @Test
  void rowsOfTwoTasksShareForwards() throws IOException {
    List<Row> questions = Shapes.questions(40).stream()
        .map(row -> RowFactory.create(row.get(0), row.get(1), "Describe this image.")).toList();
    double one = rowsPerForward(Shapes.table(spark, questions, 1));
    double two = rowsPerForward(Shapes.table(spark, questions, 2));
    assertTrue(two >= 1.8 * one, "rows per pass: one task " + one + ", two tasks " + two);
  }

  private static double rowsPerForward(Dataset<Row> table) {
    DiffusionVlTransformer transformer = Shapes.transformer().setGenLength(32).setSteps(8).setRowsInFlight(2); // 32 passes a row
    AnswerTotals totals = transformer.totals(spark.sparkContext());
    transformer.transform(table).foreach(row -> { });
    assertEquals(40, totals.rows());
    assertTrue(totals.occupancy() > 0 && totals.occupancy() <= 1, "occupancy " + totals.occupancy());
    return (double) totals.rows() / totals.forwards();
  }

  @Test
  void aBrokenRowHasItsErrorAndTheOthersTheirAnswers() throws IOException {
    List<Row> questions = Shapes.questions(20);
    questions.set(3, RowFactory.create(3L, "../models/config.json", "What is this?"));
    questions.set(7, RowFactory.create(7L, "lost.png", "What is this?"));
    questions.set(11, RowFactory.create(11L, questions.get(11).get(1), " "));
    questions.set(15, RowFactory.create(15L, questions.get(15).get(1), "One <image> and another <image>?"));
    List<Row> answers = answers(Shapes.table(spark, questions, 2));
    List<String> errors = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      if (i % 4 == 3 && i < 16) {
        assertNull(answers.get(i).get(0));
        errors.add(answers.get(i).getString(5));
      } else {
        assertNull(answers.get(i).get(5));
      }
    }
    assertTrue(errors.get(0).contains("out of the folder") && errors.get(1).contains("lost.png: no such file")
        && errors.get(2).contains("prompt is empty") && errors.get(3).contains("placeholder"), errors.toString());
  }

  @Test
  void anImageThatIsTooLargeIsItsRowsError() throws IOException {
    Row answer = Shapes.transformer().setMaxPixels(100).transform(Shapes.table(spark, Shapes.questions(1), 1)).select("answer.*").first();
    assertNull(answer.get(0));
    assertTrue(answer.getString(5).contains("pixels"), answer.toString());
  }

  @Test
  void isSavedAndReadAsAStageOfAPipeline() throws IOException {
    String folder = Shapes.WORK.resolve("pipeline").toString();
    DiffusionVlTransformer transformer = Shapes.transformer().setSeed(7).setThreshold(0.5).setRowsInFlight(2);
    new Pipeline().setStages(new PipelineStage[] {transformer}).fit(Shapes.table(spark, Shapes.questions(1), 1)).write().overwrite()
        .save(folder);
    DiffusionVlTransformer read = (DiffusionVlTransformer) PipelineModel.load(folder).stages()[0];
    assertEquals(transformer.settings(), read.settings());
    assertEquals(transformer.uid(), read.uid());
    assertEquals(2, read.transform(Shapes.table(spark, Shapes.questions(2), 1)).select("answer.text").collectAsList().size());
  }

  @Test
  void sqlAsksTheSame() throws IOException {
    List<Row> questions = Shapes.questions(4);
    Map<Long, GenerationResult> alone = Shapes.alone(questions);
    DiffusionVlTransformer how = Shapes.transformer();
    AnswerFunctions.register(spark, how);
    Shapes.table(spark, questions, 2).createOrReplaceTempView("questions");
    String query = "SELECT id, a.text, a.tokens, a.error FROM (SELECT id, dvl_answer(prompt, image) a FROM questions)";
    List<Row> rows = spark.sql(query).collectAsList();
    rows.forEach(row -> assertEquals(alone.get(row.getLong(0)).text(), row.getString(1)));
    assertEquals(4, how.totals(spark.sparkContext()).rows(), "each row is asked once, however many fields are read");
    assertEquals("\"yes\"", spark.sql("SELECT dvl_answer_json('Is it red?', NULL, '{\"const\":\"yes\"}').text").first().getString(0));
  }

  /** More rows than it has places for: they wait, none is refused. */
  @Test
  void tasksWaitForAnEngineThatIsFull() throws IOException {
    DiffusionVlTransformer narrow = Shapes.transformer().setSlots(1).setRowsInFlight(8);
    List<Row> answers = narrow.transform(Shapes.table(spark, Shapes.questions(12), 2)).select("answer.*").collectAsList();
    assertEquals(12, answers.size());
    answers.forEach(answer -> assertNull(answer.get(5)));
  }

  /** A task that fails takes nobody's engine away. */
  @Test
  void theEngineSurvivesTasksThatFail() throws IOException {
    Dataset<Row> table = Shapes.table(spark, Shapes.questions(8), 2);
    answers(table);
    ExecutorEngine engine = ExecutorEngine.of(Shapes.transformer().settings().engine());
    long finished = engine.stats().finished();
    Dataset<Row> failing = Shapes.transformer().transform(table).map((MapFunction<Row, Row>) row -> {
      throw new IllegalStateException("planned");
    }, Encoders.row(table.schema()));
    assertThrows(Exception.class, failing::collectAsList);
    assertEquals(8, answers(table).size());
    assertEquals(engine, ExecutorEngine.of(Shapes.transformer().settings().engine()));
    assertTrue(engine.stats().finished() >= finished + 8);
  }

  @Test
  void whatTheEndOfTheProcessClosesIsClosed() {
    ExecutorEngine engine = ExecutorEngine.of(Shapes.transformer().settings().engine());
    ExecutorEngine.closeAll();
    assertThrows(EngineException.Closed.class, () -> engine.submit(Request.of("Are you there?"), GenerationOptions.DEFAULTS));
    assertNotSame(engine, ExecutorEngine.of(Shapes.transformer().settings().engine()));
  }

  @Test
  void sparksMetricsHaveTheEnginesFigures() throws IOException {
    answers(Shapes.table(spark, Shapes.questions(3), 1));
    MetricRegistry registry = ((Source) SparkEnv.get().metricsSystem()
        .getSourcesByName("diffusionvl.diffusionvl-tiny.emulated").head()).metricRegistry();
    assertTrue(((Meter) registry.getMetrics().get("rows")).getCount() >= 3);
    assertTrue(((Meter) registry.getMetrics().get("tokens")).getCount() > 3);
    assertNotNull(((Gauge<?>) registry.getMetrics().get("occupancy")).getValue());
  }

  @Test
  void whatIsWrongWithColumnsAndParametersIsSaidBeforeAnythingRuns() throws IOException {
    Dataset<Row> table = Shapes.table(spark, Shapes.questions(1), 1);
    assertMessage("column question is missing, expected are strings", Shapes.transformer().setPromptCol("question"), table);
    assertMessage("column id is of BIGINT, expected are strings, binary, or arrays of these", Shapes.transformer().setImageCol("id"),
        table);
    assertMessage("column prompt is there already", Shapes.transformer().setOutputCol("prompt"), table);
    assertMessage("model is not set", new DiffusionVlTransformer(), table);
    assertMessage("dtype is 'f8', allowed are bf16, f16 and f32", Shapes.transformer().setDtype("f8"), table);
    assertMessage("kv is 'f8', allowed are auto and fp8", Shapes.transformer().setKv("f8"), table);
    assertMessage("rowsInFlight is 0, allowed is 1 or more", Shapes.transformer().setRowsInFlight(0), table);
  }

  private static void assertMessage(String expected, DiffusionVlTransformer transformer, Dataset<Row> table) {
    assertEquals(expected, assertThrows(IllegalArgumentException.class, () -> transformer.transform(table)).getMessage());
  }

  /** One line, from the executor to the driver. */
  @Test
  void aMissingModelFailsTheJob() throws IOException {
    Dataset<Row> rows = Shapes.transformer().setModel("/nowhere").transform(Shapes.table(spark, Shapes.questions(1), 1));
    Throwable failure = assertThrows(Exception.class, () -> rows.select(col("answer")).collectAsList());
    while (failure.getCause() != null) {
      failure = failure.getCause();
    }
    assertTrue(failure.getMessage().contains("/nowhere"), failure.toString());
  }
}
