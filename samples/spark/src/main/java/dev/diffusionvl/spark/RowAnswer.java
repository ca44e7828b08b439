// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import dev.diffusionvl.model.EngineException;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.OutOfDeviceMemoryException;
import java.util.concurrent.CompletionException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * The answer to a row, or its error: then all else is null.
 *
 * @param finishReason {@code eos}, or {@code length} when the answer was cut
 * @param tokens of the answer
 * @param forwards passes through the language model that the row took part in
 * @param ms milliseconds from the row's admission to its answer, which other rows shared
 */
record RowAnswer(String text, String finishReason, Integer tokens, Integer forwards, Double ms, String error) {
  static final StructType TYPE = new StructType().add("text", DataTypes.StringType).add("finish_reason", DataTypes.StringType)
      .add("tokens", DataTypes.IntegerType).add("forwards", DataTypes.IntegerType).add("ms", DataTypes.DoubleType)
      .add("error", DataTypes.StringType);

  static RowAnswer of(GenerationResult result) {
    return new RowAnswer(result.text(), result.finishReason(), result.generatedTokens(), result.counts().forwards(),
        result.timings().answer(), null);
  }

  /**
   * What went wrong with a row.
   *
   * @throws RuntimeException the failure itself, if it is the device's or the engine's: then the task fails and Spark tries it elsewhere
   */
  static RowAnswer of(Throwable failure) {
    Throwable cause = failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
    switch (cause) {
      case OutOfDeviceMemoryException tooLarge -> { } // for this row; the engine goes on
      case EngineException.Closed engine -> throw engine;
      case CudaException device -> throw device;
      case Error error -> throw error;
      default -> { }
    }
    String message = cause.getMessage();
    return new RowAnswer(null, null, null, null, null, message == null ? cause.getClass().getSimpleName() : message);
  }

  Row toRow() {
    return RowFactory.create(text, finishReason, tokens, forwards, ms, error);
  }
}
