// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.model.Generation;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.constraint.Constraint;
import java.io.IOException;

/** How a task has rows answered by its executor's engine, and counts them. */
final class Asking {
  private final AnswerTotals totals;
  private final ExecutorEngine engine;
  private final GenerationOptions options;
  private final RowReader reader;

  /** A row that has been asked. @param generation null when there is an answer without one */
  record Asked(Generation generation, RowAnswer answer) {
    boolean isDone() {
      return generation == null || generation.isDone();
    }
  }

  /** @throws RuntimeException if the engine cannot be opened or the options are of no use to the model, which is no row's fault */
  Asking(AnswerSettings settings, AnswerTotals totals) {
    this.totals = totals;
    engine = ExecutorEngine.of(settings.engine());
    options = settings.generation(engine.model().config());
    reader = new RowReader(engine.model().config(), settings.imageFolder(), settings.maxPixels());
  }

  /**
   * Puts a row into the engine; waits for a place in it.
   *
   * @param schema of the answer, or null
   * @param end runs when the row has its answer, on some thread
   */
  Asked ask(String prompt, Object images, String schema, Runnable end) {
    try {
      Request request = reader.request(prompt, images);
      GenerationOptions own = schema == null ? options : options.withConstraint(Constraint.jsonSchema(schema));
      Generation generation = engine.submit(request, own);
      generation.result().whenComplete((result, failure) -> end.run());
      return new Asked(generation, null);
    } catch (OutOfMemoryError e) {
      end.run();
      return new Asked(null, RowAnswer.of(new BadInputException("does not fit in the executor's memory")));
    } catch (IOException | RuntimeException e) {
      end.run();
      return new Asked(null, RowAnswer.of(e));
    }
  }

  /** Waits for the answer of a row. @throws RuntimeException if the engine has failed */
  RowAnswer answer(Asked asked) {
    RowAnswer answer = asked.answer();
    if (answer == null) {
      try {
        answer = RowAnswer.of(asked.generation().await());
      } catch (RuntimeException e) {
        answer = RowAnswer.of(e);
      }
    }
    totals.count(answer);
    totals.countForwards(engine.newForwards());
    engine.metrics().count(answer);
    return answer;
  }
}
