// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import dev.diffusionvl.model.GoldenCase;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Randomly damaged files are either read or refused with one line that names the file, within bounds of time and
 * memory. {@code -Ddvl.fuzz.inputs=N} sets how many there are in all (the Maven profile {@code nightly}: a million),
 * {@code -Ddvl.fuzz.seed=S} where they start. An input that failed is made again from the seed in the message.
 */
@Timeout(value = 8, unit = TimeUnit.HOURS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DamagedFilesTest {
  private static final int INPUTS = Integer.getInteger("dvl.fuzz.inputs", 10_000);
  private static final long SEED = Long.getLong("dvl.fuzz.seed", 1);

  /** Bound on what reading one file may allocate: parser buffers, and a multiple of its size. */
  private static final long MAX_FIXED_BYTES = 4 << 20;
  private static final long MAX_BYTES_PER_BYTE = 200;
  /** A tokenizer has a table of references that reaches to its largest id, which is below 2^22. */
  private static final long MAX_ID_TABLE_BYTES = 8L << 22;
  /** Images may claim so many pixels here, so that what they may allocate is little enough to tell excess from use. */
  private static final long MAX_PIXELS = 1 << 18;
  private static final long MAX_BYTES_PER_PIXEL = 24;
  private static final long MAX_SECONDS = 20;

  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  @TempDir
  private Path folder;

  /** A file of a model directory and what reads it. */
  enum Target {
    WEIGHTS("model.safetensors", DamagedFilesTest::readWeights),
    INDEX("model.safetensors.index.json", dir -> Checkpoint.open(dir).close()),
    CONFIG("config.json", ModelConfig::load),
    SIGLIP_CONFIG("config.json", ModelConfig::load),
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

  /** Images and each kind of file of a model get as many inputs. */
  private static int share() {
    return INPUTS / (Target.values().length + 1);
  }

  @ParameterizedTest
  @EnumSource(Target.class)
  void damagedFilesAreReadOrRefused(Target target) throws IOException {
    writeModel(target);
    Path file = folder.resolve(target.file);
    byte[] whole = Files.readAllBytes(file);
    target.reader.accept(folder); // undamaged; loads the classes, so that their memory does not count
    int inputs = share();
    System.out.println(target + ": " + inputs + " inputs, seed " + SEED);
    long idTable = target == Target.TOKENIZER ? MAX_ID_TABLE_BYTES : 0;
    int refused = 0;
    for (int i = 0; i < inputs; i++) {
      byte[] damaged = new Mutator(SEED + i).mutate(whole);
      if (target == Target.WEIGHTS && i % 2 == 0) {
        damaged = damageHeader(whole, SEED + i);
      }
      Files.write(file, damaged);
      if (isRefused(() -> target.reader.accept(folder), folder.toString(), target + ", seed " + (SEED + i), damaged.length, idTable)) {
        refused++;
      }
    }
    assertNoticed(inputs, refused);
  }

  /** All kinds of images in turn. */
  @Test
  void damagedImagesAreReadOrRefused() throws IOException {
    List<byte[]> images = new ArrayList<>();
    List<String> names = new ArrayList<>();
    try (Stream<Path> files = Files.list(Path.of("src/test/resources/pillow/images"))) {
      for (Path file : files.filter(file -> !file.toString().endsWith(".ppm")).sorted().toList()) {
        images.add(Files.readAllBytes(file));
        names.add(file.getFileName().toString());
        ImageFiles.read(file);
      }
    }
    int inputs = share();
    System.out.println("IMAGES: " + inputs + " inputs, seed " + SEED);
    int refused = 0;
    for (int i = 0; i < inputs; i++) {
      int which = i % images.size();
      byte[] damaged = new Mutator(SEED + i).mutate(images.get(which));
      String what = names.get(which) + " (" + which + "), seed " + (SEED + i);
      if (isRefused(() -> ImageFiles.decode(damaged, "upload", MAX_PIXELS), "upload", what, damaged.length,
          MAX_BYTES_PER_PIXEL * MAX_PIXELS)) {
        refused++;
      }
    }
    assertNoticed(inputs, refused);
  }

  /** Damage that is never noticed, or always, would mean that the test reads something else. */
  private static void assertNoticed(int inputs, int refused) {
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

  private static boolean isRefused(Runnable reader, String named, String what, int size, long extraBytes) {
    long start = System.nanoTime();
    long before = THREADS.getCurrentThreadAllocatedBytes();
    boolean refused = false;
    try {
      reader.run();
    } catch (BadInputException e) {
      refused = true;
      String message = e.getMessage();
      assertTrue(message.startsWith(named) && message.lines().count() == 1, what + ": " + message);
    } catch (RuntimeException | Error e) {
      fail(what, e);
    }
    long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
    long bound = MAX_FIXED_BYTES + MAX_BYTES_PER_BYTE * size + extraBytes;
    assertTrue(allocated <= bound, what + ": allocated " + allocated + " bytes for a file of " + size);
    long seconds = (System.nanoTime() - start) / 1_000_000_000;
    assertTrue(seconds <= MAX_SECONDS, what + ": took " + seconds + " seconds");
    return refused;
  }

  private void writeModel(Target target) {
    Map<String, TestCheckpoints.Tensor> tensors = new LinkedHashMap<>();
    if (target == Target.WEIGHTS || target == Target.INDEX) {
      // few and small, so that damage hits what matters
      tensors.put("norm.weight", new TestCheckpoints.Tensor(TensorType.BF16, new long[] {8}, null));
      tensors.put("layers.0.self_attn.q_proj.weight",
          new TestCheckpoints.Tensor(TensorType.F32, new long[] {2, 3}, null));
      tensors.put("vision.blocks.0.norm1.weight", new TestCheckpoints.Tensor(TensorType.F16, new long[] {5}, null));
    }
    TestCheckpoints.writeModel(folder, GoldenCase.MODEL, tensors, NamingScheme.DIFFUSION_VL, target == Target.INDEX ? 2 : 1);
    if (target == Target.SIGLIP_CONFIG) {
      TestCheckpoints.writeText(folder.resolve("config.json"), SigLipConfigTest.WITH_EVERY_FIELD);
    }
  }
}
