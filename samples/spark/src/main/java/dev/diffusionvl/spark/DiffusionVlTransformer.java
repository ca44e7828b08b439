// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import org.apache.spark.SparkContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.DefaultParamsWritable;
import org.apache.spark.ml.util.Identifiable;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Answers a question about an image, or several, in each row of a table. The answer is a column of its own: struct(text, finish_reason,
 * tokens, forwards, ms, error). A row that cannot be answered has its error there, and the others go on.
 *
 * <p>Weights are read by each executor from {@link #model}, once for all its tasks; each task's device is the GPU that Spark assigns.
 */
public final class DiffusionVlTransformer extends AnswerParams implements DefaultParamsWritable {
  private transient AnswerTotals totals;
  private transient SparkContext counted; // whose the totals are

  public DiffusionVlTransformer() {
    this(Identifiable.randomUID("diffusionvl"));
  }

  /** @param uid as Spark ML names stages when it saves them */
  public DiffusionVlTransformer(String uid) {
    super(uid);
  }

  /** Reads what {@code save} has written. */
  public static DiffusionVlTransformer load(String path) {
    return read().load(path);
  }

  /** What Spark ML reads a saved stage with. */
  public static MLReader<DiffusionVlTransformer> read() {
    return new DefaultParamsReader<>();
  }

  @Override
  public DiffusionVlTransformer copy(ParamMap extra) {
    return defaultCopy(extra);
  }

  /**
   * The input's columns and that of the answers.
   *
   * @throws IllegalArgumentException naming the column that is missing or of another type
   */
  @Override
  public StructType transformSchema(StructType input) {
    require(input, text(promptCol()), DataTypes.StringType.equals(type(input, text(promptCol()))), "strings");
    require(input, text(imageCol()), RowReader.accepts(type(input, text(imageCol()))), "strings, binary, or arrays of these");
    require(input, text(schemaCol()), DataTypes.StringType.equals(type(input, text(schemaCol()))), "strings");
    if (input.getFieldIndex(text(outputCol())).isDefined()) {
      throw new IllegalArgumentException("column " + text(outputCol()) + " is there already");
    }
    return input.add(text(outputCol()), RowAnswer.TYPE);
  }

  private static DataType type(StructType input, String column) {
    return input.getFieldIndex(column).isDefined() ? input.apply(column).dataType() : null;
  }

  private static void require(StructType input, String column, boolean fits, String what) {
    if (!column.isEmpty() && !fits) {
      DataType found = type(input, column);
      throw new IllegalArgumentException("column " + column + " is " + (found == null ? "missing" : "of " + found.sql()) + ", expected are "
          + what);
    }
  }

  @Override
  public Dataset<Row> transform(Dataset<?> table) {
    StructType type = transformSchema(table.schema());
    AnswerSettings settings = settings();
    AnswerTotals sums = totals(table.sparkSession().sparkContext());
    TaskRows.Columns columns = new TaskRows.Columns(index(table.schema(), text(promptCol())), index(table.schema(), text(imageCol())),
        index(table.schema(), text(schemaCol())));
    return table.toDF().mapPartitions((MapPartitionsFunction<Row, Row>) rows -> new TaskRows(rows, columns, settings, sums),
        Encoders.row(type));
  }

  private static int index(StructType type, String column) {
    return column.isEmpty() ? -1 : type.fieldIndex(column);
  }

  /** What the tasks of all this transformer's tables have done. */
  public AnswerTotals totals(SparkContext context) {
    if (counted != context) {
      totals = new AnswerTotals(context, settings().engine().slots());
      counted = context;
    }
    return totals;
  }

  /** @see #model */
  public DiffusionVlTransformer setModel(String value) {
    set(model(), value);
    return this;
  }

  /** @see #device */
  public DiffusionVlTransformer setDevice(String value) {
    set(device(), value);
    return this;
  }

  /** @see #dtype */
  public DiffusionVlTransformer setDtype(String value) {
    set(dtype(), value);
    return this;
  }

  /** @see #gemm */
  public DiffusionVlTransformer setGemm(String value) {
    set(gemm(), value);
    return this;
  }

  /** @see #kv */
  public DiffusionVlTransformer setKv(String value) {
    set(kv(), value);
    return this;
  }

  /** @see #slots */
  public DiffusionVlTransformer setSlots(int value) {
    set(slots(), value);
    return this;
  }

  /** @see #rowsInFlight */
  public DiffusionVlTransformer setRowsInFlight(int value) {
    set(rowsInFlight(), value);
    return this;
  }

  /** @see #promptCol */
  public DiffusionVlTransformer setPromptCol(String value) {
    set(promptCol(), value);
    return this;
  }

  /** @see #imageCol */
  public DiffusionVlTransformer setImageCol(String value) {
    set(imageCol(), value);
    return this;
  }

  /** @see #schemaCol */
  public DiffusionVlTransformer setSchemaCol(String value) {
    set(schemaCol(), value);
    return this;
  }

  /** @see #outputCol */
  public DiffusionVlTransformer setOutputCol(String value) {
    set(outputCol(), value);
    return this;
  }

  /** @see #imageFolder */
  public DiffusionVlTransformer setImageFolder(String value) {
    set(imageFolder(), value);
    return this;
  }

  /** @see #maxPixels */
  public DiffusionVlTransformer setMaxPixels(long value) {
    set(maxPixels(), value);
    return this;
  }

  /** @see #genLength */
  public DiffusionVlTransformer setGenLength(int value) {
    set(genLength(), value);
    return this;
  }

  /** @see #steps */
  public DiffusionVlTransformer setSteps(int value) {
    set(steps(), value);
    return this;
  }

  /** @see #threshold */
  public DiffusionVlTransformer setThreshold(double value) {
    set(threshold(), value);
    return this;
  }

  /** @see #temperature */
  public DiffusionVlTransformer setTemperature(double value) {
    set(temperature(), value);
    return this;
  }

  /** @see #seed */
  public DiffusionVlTransformer setSeed(long value) {
    set(seed(), value);
    return this;
  }
}
