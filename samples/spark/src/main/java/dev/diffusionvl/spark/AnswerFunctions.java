// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.api.java.UDF3;
import org.apache.spark.sql.functions;

/**
 * The model in SQL. A function of a row sees one row at a time, so a task has one row in the engine; rows of an executor's tasks are still
 * answered together. For a whole table {@link DiffusionVlTransformer} is faster.
 */
public final class AnswerFunctions {
  private AnswerFunctions() {}

  /**
   * Registers {@code dvl_answer(prompt, image)} and {@code dvl_answer_json(prompt, image, schema)}, which return what the transformer's
   * column holds.
   *
   * @param how its parameters; its columns play no part
   */
  public static void register(SparkSession spark, DiffusionVlTransformer how) {
    AnswerSettings settings = how.settings();
    AnswerTotals totals = how.totals(spark.sparkContext());
    UDF3<String, Object, String, Row> json = (prompt, image, schema) -> {
      Asking asking = new Asking(settings, totals); // cheap once the executor has its engine
      return asking.answer(asking.ask(prompt, image, schema, () -> { })).toRow();
    };
    UDF2<String, Object, Row> any = (prompt, image) -> json.call(prompt, image, null);
    // Not deterministic: else Spark calls a function that returns a struct again for each field that is read.
    spark.udf().register("dvl_answer", functions.udf(any, RowAnswer.TYPE).asNondeterministic());
    spark.udf().register("dvl_answer_json", functions.udf(json, RowAnswer.TYPE).asNondeterministic());
  }
}
