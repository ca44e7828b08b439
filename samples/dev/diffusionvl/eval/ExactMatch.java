// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.SessionMemory;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.train.HeldOut;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/** Questions of conversations, which a training run or a quantised model is asked and has to answer word for word. Immutable. */
public final class ExactMatch implements HeldOut.Questions {
  private final List<Question> questions;
  private final Exam exam;
  private final SessionMemory memory; // null: not known, or there are no questions

  private ExactMatch(List<Question> questions, Exam exam, SessionMemory memory) {
    this.questions = questions;
    this.exam = exam;
    this.memory = memory;
  }

  /**
   * Reads questions from conversations in the LLaVA format: the last answer of each is the recorded one, and what comes before it is asked.
   *
   * @param files of the model that will be asked
   * @param images folder that the records' image names are relative to
   * @param limit records to take, from the first on; 0: all
   * @throws BadInputException naming the first record that is bad
   */
  public static ExactMatch read(ModelFiles files, Path data, Path images, int limit, GenerationOptions options) {
    Conversations read = Conversations.read(files, data, images, new Selection(limit, 1, 1));
    return new ExactMatch(read.all(), new Exam(EvalTask.EXACT, data, read, options), null);
  }

  public List<Question> questions() {
    return questions;
  }

  /** The same questions with answers only as long as the longest recorded one takes: a longer answer is wrong however it goes on. */
  public ExactMatch briefly(Tokenizer tokenizer, int blockSize) {
    return new ExactMatch(questions, exam.briefly(tokenizer, blockSize), null);
  }

  /**
   * Reads every image and plans every prompt, so that what would fail later fails now.
   *
   * @throws BadInputException naming the record and what is wrong with it
   */
  public ExactMatch checked(ModelFiles files, DType dtype) {
    return new ExactMatch(questions, exam, exam.check(files, dtype, question -> {}).memory());
  }

  /**
   * Bytes of device memory that asking takes beside the model; known to what {@link #checked} returned.
   *
   * @param device that the model will run on; null: a GPU
   */
  public long bytes(Device device) {
    return memory == null ? 0 : memory.bytes(device);
  }

  @Override
  public String name() {
    CRC32C crc = new CRC32C();
    for (Question question : questions) {
      List<String> images = question.pictures().stream().map(Picture::name).toList();
      crc.update(List.of(question.id(), images, question.turns(), question.golds().getFirst()).toString()
          .getBytes(StandardCharsets.UTF_8));
    }
    return questions.size() + " questions, checksum " + Long.toHexString(crc.getValue()) + ", answers of " + exam.options().genLength();
  }

  /** Asks all questions. @param listener hears each answer */
  public List<Asked> ask(DiffusionVl model, Consumer<Asked> listener) {
    return exam.ask(model, listener);
  }

  @Override
  public HeldOut.Score score(DiffusionVl model) {
    long right = ask(model, answer -> {}).stream().filter(answer -> answer.score() == 1).count();
    return new HeldOut.Score((int) right, questions.size());
  }
}
