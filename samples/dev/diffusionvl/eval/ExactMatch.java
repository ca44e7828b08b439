// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt.Turn;
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
import dev.diffusionvl.model.Session;
import dev.diffusionvl.model.SessionMemory;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.train.ConversationData;
import dev.diffusionvl.train.ConversationRecord;
import dev.diffusionvl.train.HeldOut;
import dev.diffusionvl.train.RowEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/** The questions of {@link EvalTask#EXACT}, asked one after another. Immutable. */
public final class ExactMatch implements HeldOut.Questions {
  private final Path data;
  private final List<Question> questions;
  private final GenerationOptions options;
  private final SessionMemory memory; // null: not known, or there are no questions

  private ExactMatch(Path data, List<Question> questions, GenerationOptions options, SessionMemory memory) {
    this.data = data;
    this.questions = List.copyOf(questions);
    this.options = options;
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
    List<Question> questions = new ArrayList<>();
    RowEncoder encoder = new RowEncoder(files.config(), files.tokenizer(), RowEncoder.Options.of(files.config(), images));
    try (ConversationData conversations = ConversationData.open(data, encoder)) {
      int count = limit == 0 ? conversations.size() : Math.min(limit, conversations.size());
      for (int i = 0; i < count; i++) {
        ConversationRecord record = conversations.record(i);
        List<Turn> turns = record.turns();
        questions.add(new Question(record.id(), images, record.images(), turns.subList(0, turns.size() - 1), turns.getLast().text()));
      }
    }
    return new ExactMatch(data, questions, options, null);
  }

  public List<Question> questions() {
    return questions;
  }

  /** The same questions, answered in another way. */
  public ExactMatch with(Decoding decoding, Execution execution) {
    return new ExactMatch(data, questions, options.withDecoding(decoding).withExecution(execution), null);
  }

  /** The same questions with answers only as long as the longest recorded one takes: a longer answer is wrong however it goes on. */
  public ExactMatch briefly(Tokenizer tokenizer, int blockSize) {
    int longest = questions.stream().mapToInt(question -> tokenizer.encode(question.gold()).length).max().orElse(0);
    return new ExactMatch(data, questions, options.withGenLength((longest + 1 + blockSize - 1) / blockSize * blockSize), null);
  }

  /**
   * Reads every image and plans every prompt, so that what would fail later fails now.
   *
   * @throws BadInputException naming the record and what is wrong with it
   */
  public ExactMatch checked(ModelFiles files, DType dtype) {
    SessionMemory largest = null;
    for (Question question : questions) {
      try {
        SessionMemory own = SessionMemory.of(files, dtype, question.request(PromptForm.of(files.config())), options);
        largest = largest == null ? own : largest.with(own);
      } catch (BadInputException | PromptLimitException e) {
        throw BadInputException.of(data, "record " + question.id() + ": " + e.getMessage());
      }
    }
    return new ExactMatch(data, questions, options, largest);
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
      crc.update(List.of(question.id(), question.images(), question.turns(), question.gold()).toString().getBytes(StandardCharsets.UTF_8));
    }
    return questions.size() + " questions, checksum " + Long.toHexString(crc.getValue()) + ", answers of " + options.genLength();
  }

  /**
   * Asks all questions.
   *
   * @param listener hears each answer
   */
  public List<Asked> ask(DiffusionVl model, Consumer<Asked> listener) {
    List<Asked> answers = new ArrayList<>();
    try (Session session = model.newSession()) {
      for (Question question : questions) {
        Clock clock = new Clock();
        GenerationResult result = session.generate(question.request(PromptForm.of(model.config())), options, clock);
        double millis = clock.millis();
        double score = EvalTask.EXACT.score(new Answer(question.id(), result.text(), List.of(question.gold()), null, null, List.of()));
        answers.add(new Asked(question, result, score, clock.first < 0 ? millis : clock.first, millis));
        listener.accept(answers.getLast());
      }
    }
    return answers;
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

  @Override
  public HeldOut.Score score(DiffusionVl model) {
    long right = ask(model, answer -> {}).stream().filter(answer -> answer.score() == 1).count();
    return new HeldOut.Score((int) right, questions.size());
  }
}
