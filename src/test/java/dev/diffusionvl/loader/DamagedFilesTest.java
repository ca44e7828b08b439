// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Randomly damaged files are either read or refused with one line that names the file, within bounds of time and
 * memory. {@code -Ddvl.fuzz.inputs=N} sets how many there are in all, {@code -Ddvl.fuzz.seed=S} where they start.
 */
class DamagedFilesTest {
  private static final int INPUTS = Integer.getInteger("dvl.fuzz.inputs", 10_000);
  private static final long SEED = Long.getLong("dvl.fuzz.seed", 1);

  /** Bound on what reading one file may allocate: parser buffers, and a multiple of its size. */
  private static final long MAX_FIXED_BYTES = 4 << 20;
  private static final long MAX_BYTES_PER_BYTE = 200;
  /** A tokenizer has a table of references that reaches to its largest id, which is below 2^22. */
  private static final long MAX_ID_TABLE_BYTES = 8L << 22;

  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  @TempDir
  private Path folder;

  /** A file of a model directory and what reads it. */
  enum Target {
    WEIGHTS("model.safetensors", DamagedFilesTest::readWeights),
    INDEX("model.safetensors.index.json", dir -> Checkpoint.open(dir).close()),
    CONFIG("config.json", ModelConfig::load),
    PREPROCESSOR("preprocessor_config.json", ModelConfig::load),
    TOKENIZER("tokenizer.json", Tokenizer::load);

    private final String file;
    private final Consumer<Path> reader;

    Target(String file, Consumer<Path> reader) {
      this.file = file;
      this.reader = reader;
    }
  }

  /** Touches every byte that the header promises. */
  private static void readWeights(Path dir) {
    Path path = dir.resolve("model.safetensors");
    try (Safetensors file = Safetensors.open(path)) {
      long bytes = 0;
      for (String name : file.names()) {
        TensorView tensor = file.tensor(name);
        long product = Arrays.stream(tensor.shape()).reduce(1, (a, b) -> a * b);
        assertEquals(tensor.byteSize(), product * tensor.type().bytes(), name);
        assertEquals(tensor.byteSize(), tensor.data().byteSize(), name);
        assertEquals(-1, tensor.data().mismatch(tensor.data().asReadOnly()), name);
        bytes += tensor.byteSize();
      }
      assertTrue(bytes < path.toFile().length(), "tensors are larger than their file");
    }
    Checkpoint.open(dir).close();
    Inspection.of(dir);
  }

  @ParameterizedTest
  @EnumSource(Target.class)
  @Timeout(value = 60, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void damagedFilesAreReadOrRefused(Target target) throws IOException {
    writeModel(target);
    Path file = folder.resolve(target.file);
    byte[] whole = Files.readAllBytes(file);
    target.reader.accept(folder); // undamaged; loads the classes, so that their memory does not count
    int inputs = INPUTS / Target.values().length;
    System.out.println(target + ": " + inputs + " inputs, seed " + SEED);
    int refused = 0;
    for (int i = 0; i < inputs; i++) {
      byte[] damaged = new Mutator(SEED + i).mutate(whole);
      if (target == Target.WEIGHTS && i % 2 == 0) {
        damaged = damageHeader(whole, SEED + i);
      }
      Files.write(file, damaged);
      if (isRefused(target, "seed " + (SEED + i), damaged.length)) {
        refused++;
      }
    }
    // damage that is never noticed, or always, would mean that the test reads something else
    assertTrue(inputs < 1000 || refused > inputs / 10 && refused < inputs, refused + " of " + inputs + " refused");
  }

  /** Damages the JSON alone and gives it its right length, or what lies behind it would hardly ever be reached. */
  private static byte[] damageHeader(byte[] file, long seed) {
    int length = (int) ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
    byte[] header = new Mutator(seed).mutate(Arrays.copyOfRange(file, 8, 8 + length));
    int dataBytes = file.length - 8 - length;
    return ByteBuffer.allocate(8 + header.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length)
        .put(header).put(file, 8 + length, dataBytes).array();
  }

  private boolean isRefused(Target target, String seed, int size) {
    long before = THREADS.getCurrentThreadAllocatedBytes();
    boolean refused = false;
    try {
      target.reader.accept(folder);
    } catch (BadInputException e) {
      refused = true;
      String message = e.getMessage();
      assertTrue(message.startsWith(folder.toString()) && message.lines().count() == 1, seed + ": " + message);
    } catch (RuntimeException | Error e) {
      fail(target + ", " + seed, e);
    }
    long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
    long bound = MAX_FIXED_BYTES + MAX_BYTES_PER_BYTE * size + (target == Target.TOKENIZER ? MAX_ID_TABLE_BYTES : 0);
    assertTrue(allocated <= bound, target + ", " + seed + ": allocated " + allocated + " bytes for a file of " + size);
    return refused;
  }

  private void writeModel(Target target) {
    Map<String, CheckpointWriter.Tensor> tensors = new LinkedHashMap<>();
    if (target == Target.WEIGHTS || target == Target.INDEX) {
      // few and small, so that damage hits what matters
      tensors.put("norm.weight", new CheckpointWriter.Tensor(TensorType.BF16, new long[] {8}, null));
      tensors.put("layers.0.self_attn.q_proj.weight",
          new CheckpointWriter.Tensor(TensorType.F32, new long[] {2, 3}, null));
      tensors.put("vision.blocks.0.norm1.weight", new CheckpointWriter.Tensor(TensorType.F16, new long[] {5}, null));
    }
    CheckpointWriter.writeModel(folder, GoldenCase.MODEL, tensors, NamingScheme.D, target == Target.INDEX ? 2 : 1);
  }
}
