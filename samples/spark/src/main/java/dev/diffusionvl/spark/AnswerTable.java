// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.model.EngineException;
import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.DeviceUnavailableException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.Callable;
import org.apache.hadoop.security.AccessControlException;
import org.apache.spark.SparkException;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Answers the rows of a table of files, commit by commit, for spark-submit. Exit codes as of {@code dvl}. */
@Command(name = "AnswerTable", sortOptions = false, separator = " ",
    description = "Answers questions about images, a row of a table each, and writes a table of Parquet files that grows by whole commits.")
public final class AnswerTable implements Callable<Integer> {
  private static final int BAD_INPUT = 3;
  private static final int DEVICE = 4;

  @Option(names = "--help", usageHelp = true, description = "print this text")
  private boolean help;

  @Option(names = "--input", required = true, paramLabel = "PATH", description = "files with the questions")
  private String input;

  @Option(names = "--format", defaultValue = "parquet", paramLabel = "FORMAT", description = "parquet, orc, json, csv or binaryFile")
  private String format;

  @Option(names = "--output", required = true, paramLabel = "FOLDER", description = "the table of answers")
  private String output;

  @Option(names = "--resume", description = "leave out rows that the output has an answer to")
  private boolean resume;

  @Option(names = "--commit-rows", defaultValue = "1000", paramLabel = "N", description = "rows of a commit")
  private int commitRows;

  @Option(names = "--partitions", defaultValue = "0", paramLabel = "N", description = "tasks of a commit; 0: one per core of the cluster")
  private int partitions;

  @Option(names = "--id-col", defaultValue = "id", paramLabel = "NAME", description = "column that tells rows apart")
  private String id;

  @Option(names = "--prompt", paramLabel = "TEXT", description = "the question of every row, instead of a column")
  private String prompt;

  @Option(names = "--show", defaultValue = "0", paramLabel = "N", description = "in the end print N rows of the output")
  private int show;

  @Mixin private AnswerOptions options;

  /** See {@code --help}. */
  public static void main(String[] args) {
    int code = new CommandLine(new AnswerTable()).setExecutionExceptionHandler((e, line, parsed) -> explain(e)).execute(args);
    System.exit(code);
  }

  @Override
  public Integer call() throws IOException {
    DiffusionVlTransformer transformer = options.transformer();
    try {
      transformer.settings();
      if (commitRows < 1) {
        throw new IllegalArgumentException("--commit-rows is " + commitRows + ", allowed is 1 or more");
      }
    } catch (IllegalArgumentException e) {
      throw new CommandLine.ParameterException(new CommandLine(this), e.getMessage(), e);
    }
    try (SparkSession spark = SparkSession.builder().appName("DiffusionVL " + Path.of(input).getFileName()).getOrCreate()) {
      Dataset<Row> table = spark.read().format(format).option("header", true).load(input);
      int tasks = partitions > 0 ? partitions : spark.sparkContext().defaultParallelism();
      long rows = new TableRun(spark, transformer, id, prompt, commitRows, tasks).run(table, output, resume, System.out::println);
      System.out.println(rows + " rows answered");
      if (show > 0) {
        spark.read().parquet(output).select(id, transformer.text(transformer.outputCol()) + ".*").show(show, false);
      }
    }
    return 0;
  }

  private static int explain(Exception failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      int code = switch (cause) {
        case BadInputException e -> BAD_INPUT;
        case AnalysisException e -> BAD_INPUT;
        case IllegalArgumentException e -> BAD_INPUT;
        case AccessControlException e -> BAD_INPUT;
        case AccessDeniedException e -> BAD_INPUT;
        case SparkException e when String.valueOf(e.getCondition()).startsWith("FAILED_READ_FILE") -> BAD_INPUT;
        case DeviceUnavailableException e -> DEVICE;
        case CudaException e -> DEVICE;
        case EngineException e -> DEVICE;
        default -> 0;
      };
      if (code > 0) {
        System.err.println("AnswerTable: " + Arrays.stream(String.valueOf(cause.getMessage()).split("\n")).findFirst().orElse(""));
        return code;
      }
    }
    failure.printStackTrace();
    return 1;
  }
}
