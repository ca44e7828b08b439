// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.Decoding;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Execution;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.GenerationResult;
import dev.diffusionvl.model.PromptLimitException;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.model.Session;
import dev.diffusionvl.model.SessionMemory;
import dev.diffusionvl.runtime.DType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Questions of a task, and how they are to be answered. Immutable.
 *
 * @param data where the questions come from, for messages
 */
public record Exam(EvalTask task, Path data, Questions questions, GenerationOptions options) {
  /**
   * What asking takes.
   *
   * @param questions that were checked
   * @param rows of keys and values of the longest one
   * @param memory of a session; null: there are no questions
   */
  public record Need(int questions, int rows, SessionMemory memory) {}

  /**
   * Opens a task's data: parquet, TSV or JSON lines, or for {@link EvalTask#EXACT} conversations in the LLaVA format too.
   *
   * @param files of the model that will be asked
   * @param data a file, or a folder of several
   * @param images folder that names of images are relative to; null: that of the file
   * @throws BadInputException if there is no data
   */
  public static Exam of(EvalTask task, ModelFiles files, Path data, Path images, Selection selection, GenerationOptions options) {
    Questions questions = task == EvalTask.EXACT && Conversations.are(data) ? Conversations.read(files, data, images, selection)
        : new TaskData(task, data, images, selection);
    return new Exam(task, data, questions, options);
  }

  /** The same questions, answered in another way. */
  public Exam with(Decoding decoding, Execution execution) {
    return new Exam(task, data, questions, options.withDecoding(decoding).withExecution(execution));
  }

  /** Those of the questions that a log has no answers to. */
  public Exam without(SampleLog log) {
    return new Exam(task, data, action -> questions.forEach(question -> {
      if (!log.has(question)) {
        action.accept(question);
      }
    }), options);
  }

  /** The same questions with answers of so many tokens at most. */
  public Exam withGenLength(int length) {
    return new Exam(task, data, questions, options.withGenLength(length));
  }

  /** The same questions with answers only as long as the longest right one takes: a longer answer is hardly right however it goes on. */
  public Exam briefly(Tokenizer tokenizer, int blockSize) {
    int[] longest = {0};
    questions.forEach(question -> question.golds()
        .forEach(gold -> longest[0] = Math.max(longest[0], tokenizer.encode(gold).length)));
    return withGenLength((longest[0] + 1 + blockSize - 1) / blockSize * blockSize);
  }

  /**
   * Reads every image and plans every prompt, so that what would fail later fails now.
   *
   * @param listener hears of each question
   * @throws BadInputException naming the record and what is wrong with it
   */
  public Need check(ModelFiles files, DType dtype, Consumer<Question> listener) {
    PromptForm form = PromptForm.of(files.config());
    int[] sizes = new int[2];
    SessionMemory[] memory = new SessionMemory[1];
    questions.forEach(question -> {
      try {
        Request request = question.request(form);
        SessionMemory own = SessionMemory.of(files, dtype, request, options);
        memory[0] = memory[0] == null ? own : memory[0].with(own);
        sizes[0]++;
        sizes[1] = Math.max(sizes[1], request.promptTokens(files.config(), files.tokenizer()) + options.genLength());
      } catch (BadInputException | PromptLimitException e) {
        throw BadInputException.of(data, "record " + question.id() + ": " + e.getMessage());
      }
      listener.accept(question);
    });
    int block = Math.max(1, options.decoding().blockSize(files.config()));
    return new Need(sizes[0], (sizes[1] + block - 1) / block * block, memory[0]);
  }

  /**
   * Asks all questions, one after another, each alone.
   *
   * @param listener hears each answer
   */
  public List<Asked> ask(DiffusionVl model, Consumer<Asked> listener) {
    List<Asked> answers = new ArrayList<>();
    try (Session session = model.newSession()) {
      questions.forEach(question -> {
        Clock clock = new Clock();
        GenerationResult result = session.generate(question.request(PromptForm.of(model.config())), options, clock);
        double millis = clock.millis();
        answers.add(new Asked(question.withoutPictures(), result, score(question, result), clock.first < 0 ? millis : clock.first, millis));
        listener.accept(answers.getLast());
      });
    }
    return answers;
  }

  double score(Question question, GenerationResult result) {
    return task.score(question.answer(result.text()));
  }

  /** When text was final for the first time. */
  private static final class Clock implements GenerationListener {
    private final long start = System.nanoTime();
    private double first = -1;

    double millis() {
      return (System.nanoTime() - start) / 1e6;
    }

    @Override
    public boolean isLive() {
      return false;
    }

    @Override
    public void onText(String text) {
      first = first < 0 ? millis() : first;
    }
  }
}
