// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import static org.apache.spark.sql.functions.broadcast;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import dev.diffusionvl.loader.BadInputException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.ml.param.Param;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/**
 * A run over a table of files. The ids that have no answer yet go to the driver one after the other, in the order of the files. Each
 * {@code commitRows} of them are a job of their own, which reads only the files that they are in, and a commit of the output.
 *
 * @param id column that tells rows apart
 * @param question of every row; null: the table has a column of them
 * @param tasks of each commit
 */
record TableRun(SparkSession spark, DiffusionVlTransformer transformer, String id, String question, int commitRows, int tasks) {
  private static final String FILE = "_metadata.file_path";
  private static final Set<String> CHANGE_NO_ANSWER = Set.of("device", "slots", "rowsInFlight");

  /**
   * @param resume leaves out rows that have an answer; else there must be none
   * @param listener hears of each commit
   * @return rows answered
   * @throws BadInputException if the table has no such column, an id twice or none, or the output does not fit
   */
  long run(Dataset<Row> input, String output, boolean resume, Consumer<String> listener) throws IOException {
    CommitFolder folder = new CommitFolder(output, spark.sparkContext().hadoopConfiguration());
    Dataset<Row> table = question == null ? input : input.withColumn(transformer.text(transformer.promptCol()), lit(question));
    check(table);
    if (!folder.commits().isEmpty() && !resume) {
      throw new BadInputException(output + ": has answers already; --resume adds those that are missing");
    }
    List<String> before = folder.settings();
    List<String> settings = settings();
    if (!before.isEmpty() && !before.equals(settings)) {
      throw new BadInputException(output + ": has answers made with other settings: not with "
          + settings.stream().filter(line -> !before.contains(line)).toList());
    }
    folder.clean();
    AnswerTotals totals = transformer.totals(spark.sparkContext());
    Iterator<Row> open = unanswered(table, folder).sort("file", id).toLocalIterator();
    long done = 0;
    while (open.hasNext()) {
      long start = System.nanoTime();
      long tokens = totals.tokens();
      List<Row> ids = new ArrayList<>();
      Set<String> files = new TreeSet<>();
      while (open.hasNext() && ids.size() < commitRows) {
        Row row = open.next();
        ids.add(RowFactory.create(row.get(0)));
        files.add(row.getString(1));
      }
      commit(table.where(col(FILE).isin(files.toArray())), ids, folder, settings);
      done += ids.size();
      double seconds = (System.nanoTime() - start) / 1e9;
      listener.accept("commit %d: %d rows, %d with an error in all, %.1f rows/s, %.0f tokens/s, engines %.0f %% occupied".formatted(
          folder.commits().size(), ids.size(), totals.errors(), ids.size() / seconds, (totals.tokens() - tokens) / seconds,
          100 * totals.occupancy()));
    }
    return done;
  }

  private void check(Dataset<Row> table) {
    StructType type = transformer.transformSchema(table.schema());
    if (type.getFieldIndex(id).isEmpty() || type.getFieldIndex("commit").isDefined()) {
      throw new BadInputException("the input needs a column " + id + " and must have no column commit, which is the output's");
    }
    List<Row> bad = table.groupBy(id).count().where(col("count").gt(1).or(col(id).isNull())).takeAsList(1);
    if (!bad.isEmpty()) {
      throw new BadInputException("column " + id + ": " + bad.getFirst().get(0) + " is there " + bad.getFirst().get(1)
          + " times; it has to tell rows apart");
    }
  }

  /** What the answers depend on, a line each. */
  private List<String> settings() {
    return Stream.concat(Stream.of("question=" + question), Stream.of(transformer.params())
        .filter(param -> !CHANGE_NO_ANSWER.contains(param.name()))
        .map(param -> param.name() + "=" + transformer.getOrDefault((Param<?>) param)))
        .map(line -> line.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")).toList();
  }

  private Dataset<Row> unanswered(Dataset<Row> table, CommitFolder folder) {
    Dataset<Row> all = table.select(col(id), col(FILE).as("file"));
    if (folder.commits().isEmpty()) {
      return all;
    }
    String[] commits = folder.commits().stream().map(Path::toString).toArray(String[]::new);
    return all.join(spark.read().parquet(commits).select(id), id, "left_anti");
  }

  private void commit(Dataset<Row> files, List<Row> ids, CommitFolder folder, List<String> settings) throws IOException {
    Dataset<Row> wanted = broadcast(spark.createDataFrame(ids, new StructType().add(files.schema().apply(id))));
    Dataset<Row> rows = files.join(wanted, id, "left_semi").repartition(tasks, col(id)); // a row's task is the same every time
    Path staged = folder.stage();
    transformer.transform(rows).select(kept(files.schema())).write().parquet(staged.toString());
    folder.note(staged, settings);
    long written = spark.read().parquet(staged.toString()).count();
    if (written != ids.size()) {
      throw new BadInputException("%d rows were to be answered, %d were there: the input has changed".formatted(ids.size(), written));
    }
    folder.publish(staged);
  }

  /** The input's columns without images, and the answers. */
  private Column[] kept(StructType input) {
    String image = transformer.text(transformer.imageCol());
    return Stream.concat(Stream.of(input.fieldNames()).filter(name -> !name.equals(image) || RowReader.names(input.apply(name).dataType())),
        Stream.of(transformer.text(transformer.outputCol()))).map(name -> col("`" + name + "`")).toArray(Column[]::new);
  }
}
