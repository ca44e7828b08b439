// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.InputFiles;
import dev.diffusionvl.loader.Json;
import dev.diffusionvl.loader.OutputFile;
import dev.diffusionvl.loader.OutputFolder;
import dev.diffusionvl.loader.Safetensors;
import dev.diffusionvl.loader.SafetensorsWriter;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * All that a run needs to go on: trained weights, the optimiser's state, the step, and the place in the data. A folder
 * {@code snapshot-N} behind step N, which is there as a whole or not at all.
 *
 * @param step that was taken last
 * @param position in the data
 * @param skipped bad records so far
 */
record Snapshot(int step, DataPosition position, int skipped) {
  private static final Pattern NAME = Pattern.compile("snapshot-(\\d{1,9})");
  private static final String TENSORS = "state.safetensors";
  private static final String STATE = "state.json";
  private static final long PIECE_BYTES = 8 << 20;
  private static final long MAX_STATE_BYTES = 64 << 10;

  /**
   * Writes a snapshot and then removes older ones.
   *
   * @param settings what a run must have in common with the one that goes on from here
   */
  static void write(Path run, Trainer trainer, DataPosition position, int skipped, RunSettings settings) {
    Path folder = run.resolve("snapshot-" + trainer.steps());
    OutputFolder.remove(folder); // of an earlier run that stopped behind an earlier step
    try (OutputFolder out = OutputFolder.create(folder)) {
      SafetensorsWriter.writeFile(out.path().resolve(TENSORS), tensors(trainer));
      OutputFile.write(out.path().resolve(STATE), state(trainer.steps(), position, skipped, settings));
      out.commit();
    }
    for (Path older : all(run)) {
      if (!older.equals(folder)) {
        OutputFolder.remove(older);
      }
    }
  }

  private static byte[] state(int step, DataPosition position, int skipped, RunSettings settings) {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    try (JsonGenerator json = new JsonFactory().createGenerator(text).useDefaultPrettyPrinter()) {
      json.writeStartObject();
      json.writeNumberField("step", step);
      json.writeNumberField("seed", position.seed());
      json.writeNumberField("epoch", position.epoch());
      json.writeNumberField("place", position.place());
      json.writeNumberField("skipped", skipped);
      json.writeObjectFieldStart("settings");
      for (Map.Entry<String, String> value : settings.values().entrySet()) {
        json.writeStringField(value.getKey(), value.getValue());
      }
      json.writeEndObject();
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e); // the text is in memory
    }
    return text.toByteArray();
  }

  /** The newest snapshot of a run. */
  static Optional<Path> newest(Path run) {
    return all(run).stream().reduce((a, b) -> stepOf(a) > stepOf(b) ? a : b);
  }

  /**
   * Puts weights and optimiser where they were.
   *
   * @throws BadInputException if the snapshot is damaged, or of a run with other settings
   */
  static Snapshot restore(Path folder, Trainer trainer, RunSettings settings) {
    Snapshot snapshot = readState(folder.resolve(STATE), settings);
    try (Safetensors file = Safetensors.open(folder.resolve(TENSORS))) {
      List<DeviceBuffer> buffers = buffers(trainer);
      for (int i = 0; i < buffers.size(); i++) {
        DeviceBuffer buffer = buffers.get(i);
        TensorView view = file.tensor("state." + i);
        if (view.type() != type(buffer) || view.elements() != buffer.elements()) {
          throw BadInputException.of(folder.resolve(TENSORS), "tensor state." + i, "has " + view.elements() + " elements of type "
              + view.type() + ", the run needs " + buffer.elements() + " of " + buffer.dtype());
        }
        long each = PIECE_BYTES / buffer.dtype().bytes();
        for (long at = 0; at < buffer.elements(); at += each) {
          long count = Math.min(each, buffer.elements() - at);
          trainer.stream().upload(view.data().asSlice(at * buffer.dtype().bytes(), count * buffer.dtype().bytes()),
              buffer.slice(at, count));
        }
      }
    }
    trainer.resumeAt(snapshot.step());
    return snapshot;
  }

  /** The state of a snapshot, of a run with the same settings. */
  private static Snapshot readState(Path file, RunSettings settings) {
    try {
      if (Files.size(file) > MAX_STATE_BYTES) {
        throw BadInputException.of(file, "is too large for a snapshot's state");
      }
      if (Json.tree(Files.readString(file)) instanceof Map<?, ?> state && state.get("step") instanceof Long step
          && state.get("seed") instanceof Long seed && state.get("epoch") instanceof Long epoch && state.get("place") instanceof Long place
          && state.get("skipped") instanceof Long skipped && state.get("settings") instanceof Map<?, ?> before) {
        List<String> differences = settings.differences(before);
        if (!differences.isEmpty()) {
          throw BadInputException.of(file, String.join("; ", differences));
        }
        return new Snapshot(Math.toIntExact(step), new DataPosition(seed, Math.toIntExact(epoch), Math.toIntExact(place)),
            Math.toIntExact(skipped));
      }
    } catch (IOException e) {
      throw InputFiles.failure(file, e);
    } catch (ArithmeticException e) {
      throw BadInputException.of(file, "has a number that is too large");
    } catch (BadInputException e) {
      throw e.getMessage().startsWith(file.toString()) ? e : BadInputException.of(file, e.getMessage());
    }
    throw BadInputException.of(file, "is not the state of a snapshot");
  }

  /** The optimiser's state, and all trained weights as the device has them. */
  private static List<DeviceBuffer> buffers(Trainer trainer) {
    List<DeviceBuffer> buffers = new ArrayList<>(trainer.optimizer().state());
    buffers.addAll(trainer.trainedWeights());
    return buffers;
  }

  private static List<SafetensorsWriter.Tensor> tensors(Trainer trainer) {
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    for (DeviceBuffer buffer : buffers(trainer)) {
      tensors.add(new SafetensorsWriter.Tensor("state." + tensors.size(), type(buffer), new long[] {buffer.elements()},
          file -> write(buffer, trainer.stream(), file)));
    }
    return tensors;
  }

  private static TensorType type(DeviceBuffer buffer) {
    return TensorType.valueOf(buffer.dtype().name());
  }

  private static void write(DeviceBuffer buffer, Stream stream, OutputFile file) {
    long each = PIECE_BYTES / buffer.dtype().bytes();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment piece = arena.allocate(PIECE_BYTES, 16);
      for (long at = 0; at < buffer.elements(); at += each) {
        long count = Math.min(each, buffer.elements() - at);
        MemorySegment part = piece.asSlice(0, count * buffer.dtype().bytes());
        stream.download(buffer.slice(at, count), part);
        file.write(part);
      }
    }
  }

  private static List<Path> all(Path run) {
    try (var files = Files.list(run)) {
      return files.filter(file -> NAME.matcher(file.getFileName().toString()).matches()).toList();
    } catch (IOException e) {
      throw InputFiles.failure(run, e);
    }
  }

  private static int stepOf(Path folder) {
    Matcher name = NAME.matcher(folder.getFileName().toString());
    return name.matches() ? Integer.parseInt(name.group(1)) : -1;
  }
}
