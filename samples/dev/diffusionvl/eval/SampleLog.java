// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.OutputException;
import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.model.GenerationResult;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * What a model answered, a JSON line per question in the order of the questions: {@code id}, {@code prompt}, {@code answer} (what was
 * judged), {@code raw_text} (all that the model said), {@code gold}, where there are {@code category}, {@code question_id} and
 * {@code options}, then {@code score}, {@code forwards}, {@code tokens} and {@code ms}. In a folder a process that is killed leaves a log
 * that the next one goes on with: a last line that was not written to its end is cut off. For one thread.
 */
public final class SampleLog implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MAX_BYTES = 1 << 30;
  private static final String SETTINGS = "run.json";
  private static final String SAMPLES = "samples.jsonl";

  private final Path file;
  private final FileChannel channel; // null: nothing is written
  private final List<ObjectNode> samples = new ArrayList<>();
  private final Set<String> answered = new HashSet<>();

  private SampleLog(Path file, FileChannel channel) {
    this.file = file;
    this.channel = channel;
  }

  /** A log that is kept in memory alone. */
  public static SampleLog inMemory() {
    return new SampleLog(Path.of(SAMPLES), null);
  }

  /**
   * The log of a folder, which is made if it is not there.
   *
   * @param settings of the run: what tells its answers from those of another
   * @throws BadInputException if the folder holds answers of another run, or another process writes to it
   */
  public static SampleLog open(Path folder, ObjectNode settings) {
    Path file = folder.resolve(SAMPLES);
    try {
      Files.createDirectories(folder);
      FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      SampleLog log = new SampleLog(file, channel);
      try {
        log.lock();
        log.requireSame(folder.resolve(SETTINGS), settings);
        log.readBack();
        return log;
      } catch (IOException | RuntimeException e) {
        log.close();
        throw e;
      }
    } catch (IOException e) {
      throw new BadInputException(file + ": cannot be written: " + InputFiles.reason(e), e);
    }
  }

  private void lock() throws IOException {
    FileLock lock = channel.tryLock();
    if (lock == null) {
      throw BadInputException.of(file, "another process writes to it");
    }
  }

  private void requireSame(Path settingsFile, ObjectNode settings) throws IOException {
    if (channel.size() > 0 && !Files.exists(settingsFile)) {
      throw BadInputException.of(file, "is there, but not the " + SETTINGS + " that says which run it is of; name another folder");
    }
    if (channel.size() == 0) {
      OutputFile.write(settingsFile, (settings.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
      return;
    }
    JsonNode before;
    try {
      before = JSON.readTree(InputFiles.read(settingsFile, 1 << 20));
    } catch (JsonProcessingException e) {
      throw new BadInputException(settingsFile + ": not valid JSON: " + e.getOriginalMessage(), e);
    }
    settings.propertyStream().forEach(setting -> {
      JsonNode old = before.path(setting.getKey());
      if (!old.asText().equals(setting.getValue().asText())) {
        throw BadInputException.of(settingsFile, "holds the answers of another run: " + setting.getKey() + " was " + old.asText("")
            + ", now it is " + setting.getValue().asText() + "; name another folder");
      }
    });
  }

  private void readBack() throws IOException {
    byte[] bytes = InputFiles.read(file, MAX_BYTES);
    int start = 0;
    for (int end = end(bytes, start); end >= 0; end = end(bytes, start)) {
      String where = file + ": line " + (samples.size() + 1);
      try {
        if (!(JSON.readTree(bytes, start, end - start) instanceof ObjectNode sample) || !sample.path("id").isTextual()) {
          throw new BadInputException(where + ": is no answer");
        }
        keep(sample);
      } catch (JsonProcessingException e) {
        throw new BadInputException(where + ": not valid JSON: " + e.getOriginalMessage(), e);
      }
      start = end + 1;
    }
    channel.truncate(start).position(start);
  }

  private static int end(byte[] bytes, int start) {
    for (int i = start; i < bytes.length; i++) {
      if (bytes[i] == '\n') {
        return i;
      }
    }
    return -1;
  }

  private void keep(ObjectNode sample) {
    if (!answered.add(sample.get("id").asText())) {
      throw BadInputException.of(file, "has two answers to " + sample.get("id").asText());
    }
    samples.add(sample);
  }

  /** Whether a folder has a log already. */
  public static boolean exists(Path folder) {
    return Files.exists(folder.resolve(SAMPLES));
  }

  public boolean has(Question question) {
    return answered.contains(question.id());
  }

  /** All answers, those of earlier processes first. */
  public List<ObjectNode> samples() {
    return samples;
  }

  /** Where the log is. */
  public Path file() {
    return file;
  }

  ObjectNode add(EvalTask task, Question question, GenerationResult result) {
    Answer answer = question.answer(result.text());
    ObjectNode sample = JSON.createObjectNode().put("id", question.id()).put("prompt", question.prompt())
        .put("answer", task.judged(answer)).put("raw_text", result.text());
    texts(sample, "gold", question.golds());
    if (question.category() != null) {
      sample.put("category", question.category());
    }
    if (question.questionId() != null) {
      sample.put("question_id", question.questionId());
    }
    if (!question.options().isEmpty()) {
      question.options().forEach(sample.putArray("options")::add);
    }
    sample.put("score", task.score(answer)).put("forwards", result.counts().forwards()).put("tokens", result.generatedTokens())
        .put("ms", Math.rint(result.timings().answer() * 1000) / 1000);
    write(sample);
    keep(sample);
    return sample;
  }

  private static void texts(ObjectNode sample, String name, List<String> texts) {
    if (texts.size() == 1) {
      sample.put(name, texts.getFirst());
    } else {
      texts.forEach(sample.putArray(name)::add);
    }
  }

  private void write(ObjectNode sample) {
    if (channel == null) {
      return;
    }
    try {
      for (ByteBuffer bytes = StandardCharsets.UTF_8.encode(sample + "\n"); bytes.hasRemaining(); ) {
        channel.write(bytes);
      }
    } catch (IOException e) {
      throw new OutputException(file, "cannot be written: " + InputFiles.reason(e), e);
    }
  }

  @Override
  public void close() {
    if (channel != null) {
      try {
        channel.close();
      } catch (IOException e) {
        throw new OutputException(file, "cannot be written: " + InputFiles.reason(e), e);
      }
    }
  }
}
