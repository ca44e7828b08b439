// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.GoldenCase;
import dev.diffusionvl.model.LoadListener;
import dev.diffusionvl.model.SigLipCheckpoint;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A frozen tower's features on the disk: a run with them is the run without them, whatever is in the folder. */
class FeatureCacheTest {
  private static final int HEAD_BYTES = 48;
  private static final List<String> RESULTS = List.of("train.jsonl", "model.safetensors");

  @TempDir private static Path temp;
  private static Device device;
  private static Path sigLip;
  private static Path data;

  @TempDir private Path folder;

  @BeforeAll
  static void prepare() {
    sigLip = temp.resolve("siglip");
    SigLipCheckpoint.write(sigLip);
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    data = new TrainingFolder(temp).writeLines("data.jsonl", List.of(
        TrainingFolder.record("a", "yellow-square.png", "What color is the square?", "Yellow."),
        TrainingFolder.record("b", "square-and-cross.png", "Describe this image.", "A square and a cross."),
        TrainingFolder.record("c", null, "Hello!", "Hi!"),
        "{\"id\": \"d\", \"image\": [\"yellow-square.png\", \"square-and-cross.png\"], \"conversations\": [{\"from\": \"human\", "
            + "\"value\": \"<image><image>Which has a cross?\"}, {\"from\": \"gpt\", \"value\": \"The second.\"}]}"));
  }

  @AfterAll
  static void close() {
    device.close();
  }

  @ParameterizedTest
  @CsvSource({"false, BF16, LM", "false, F32, PROJECTOR", "true, BF16, PROJECTOR", "true, F32, LM PROJECTOR"})
  void nothingChangesByIt(boolean isSigLip, DType dtype, String parts) throws IOException {
    Path base = isSigLip ? sigLip : GoldenCase.MODEL;
    Path cache = folder.resolve("new/cache");
    run(base, dtype, parts, null, "without");
    run(base, dtype, parts, cache, "cold");
    List<Path> entries = entries(cache);
    assertTrue(isSigLip ? entries.size() >= 4 : entries.size() == 2, entries.size() + " entries; SigLIP tiles an image that is alone");
    List<byte[]> contents = contents(entries);
    assertEquals(List.of(), run(base, dtype, parts, cache, "warm"));
    assertEquals(entries, entries(cache));
    assertSame(contents, contents(entries));
    assertResults("cold");
    assertResults("warm");
  }

  /** What is damaged, cut, empty or another image's is named, computed and replaced. */
  @Test
  void badEntriesAreReplaced() throws IOException {
    Path cache = folder.resolve("cache");
    run(GoldenCase.MODEL, DType.F32, "LM", null, "without");
    run(GoldenCase.MODEL, DType.F32, "LM", cache, "cold");
    List<Path> entries = entries(cache);
    List<byte[]> contents = contents(entries);
    byte[] first = contents.getFirst();
    byte[] flipped = first.clone();
    flipped[first.length - 5] ^= 4;
    byte[] otherKind = first.clone();
    otherKind[0] = 'X';
    List<byte[]> spoilt = List.of(flipped, otherKind, Arrays.copyOf(first, first.length - 1), Arrays.copyOf(first, first.length + 1),
        new byte[0], contents.get(1));
    for (int i = 0; i < spoilt.size(); i++) {
      Files.write(entries.getFirst(), spoilt.get(i));
      List<String> remarks = run(GoldenCase.MODEL, DType.F32, "LM", cache, "spoilt" + i);
      assertEquals(1, remarks.size(), remarks.toString());
      assertTrue(remarks.getFirst().startsWith(entries.getFirst().toString()), remarks.toString());
      assertSame(contents, contents(entries));
      assertResults("spoilt" + i);
    }
  }

  /** The entries are what is used: others that are sound by their checksums make another run. */
  @Test
  void entriesAreUsed() throws IOException {
    Path cache = folder.resolve("cache");
    run(GoldenCase.MODEL, DType.F32, "LM", null, "without");
    run(GoldenCase.MODEL, DType.F32, "LM", cache, "cold");
    for (Path entry : entries(cache)) {
      ByteBuffer content = ByteBuffer.wrap(Files.readAllBytes(entry)).order(ByteOrder.LITTLE_ENDIAN);
      content.putFloat(HEAD_BYTES, content.getFloat(HEAD_BYTES) + 1000);
      CRC32C crc = new CRC32C();
      crc.update(content.array(), HEAD_BYTES, content.capacity() - HEAD_BYTES);
      content.putLong(HEAD_BYTES - Long.BYTES, crc.getValue());
      Files.write(entry, content.array());
    }
    assertEquals(List.of(), run(GoldenCase.MODEL, DType.F32, "LM", cache, "others"));
    assertFalse(Arrays.equals(result("without", "train.jsonl"), result("others", "train.jsonl")));
  }

  /** Another type, another tower: other entries beside those that are there. Another language model behind the tower changes none. */
  @Test
  void entriesAreOfOneTowerAndType() throws IOException {
    Path cache = folder.resolve("cache");
    run(GoldenCase.MODEL, DType.F32, "LM", cache, "f32");
    run(folder.resolve("f32"), DType.F32, "LM", cache, "again");
    assertEquals(2, entries(cache).size());
    run(GoldenCase.MODEL, DType.BF16, "LM", cache, "bf16");
    assertEquals(4, entries(cache).size());
    run(GoldenCase.MODEL, DType.F32, "VISION", null, "other");
    run(folder.resolve("other"), DType.F32, "LM", cache, "behind the other");
    assertEquals(6, entries(cache).size());
  }

  @Test
  void aTrainedTowerHasNoFeaturesToKeep() throws IOException {
    String message = assertThrows(IllegalArgumentException.class, () -> run(GoldenCase.MODEL, DType.F32, "VISION", folder, "out"))
        .getMessage();
    assertTrue(message.contains("frozen"), message);
    Path file = Files.createFile(folder.resolve("file"));
    message = assertThrows(BadInputException.class, () -> run(GoldenCase.MODEL, DType.F32, "LM", file, "out")).getMessage();
    assertEquals(file + ": is not a folder", message);
  }

  private List<String> run(Path base, DType dtype, String parts, Path cache, String name) {
    Set<TrainedPart> trained = EnumSet.noneOf(TrainedPart.class);
    Arrays.stream(parts.split(" ")).map(TrainedPart::valueOf).forEach(trained::add);
    TrainerOptions options = new TrainerOptions(2, 1, 1e-3, 1e-4, 0.25, 4, false, 0, 1, 3, trained, false).withFeatureCache(cache);
    StoppingListener listener = new StoppingListener(Integer.MAX_VALUE);
    try (ModelFiles files = ModelFiles.open(base);
        DiffusionVl model = DiffusionVl.load(device, diffusion(files), dtype, LoadListener.NONE);
        ConversationData records = ConversationData.open(data, new RowEncoder(model.config(), model.tokenizer(),
            RowEncoder.Options.of(model.config(), Path.of("samples/images"))))) {
      BlockDiffusionObjective objective = new BlockDiffusionObjective(8, model.config().maskTokenId(), BlockDiffusionObjective.LOWEST);
      new TrainingRun(model, diffusion(files), records, objective, options, folder.resolve(name), 0, true, HeldOut.NONE)
          .run(false, listener);
    }
    return listener.remarks;
  }

  private static ModelFiles diffusion(ModelFiles base) {
    return base.withConfig(base.config().asDiffusion(base.config().maskTokenId(), 8));
  }

  private byte[] result(String name, String file) throws IOException {
    return Files.readAllBytes(folder.resolve(name).resolve(file));
  }

  private void assertResults(String name) throws IOException {
    for (String file : RESULTS) {
      assertArrayEquals(result("without", file), result(name, file), name + "/" + file);
    }
  }

  private static List<Path> entries(Path cache) throws IOException {
    try (var all = Files.walk(cache)) {
      return all.filter(Files::isRegularFile).sorted().toList();
    }
  }

  private static List<byte[]> contents(List<Path> entries) throws IOException {
    byte[][] contents = new byte[entries.size()][];
    for (int i = 0; i < contents.length; i++) {
      contents[i] = Files.readAllBytes(entries.get(i));
    }
    return List.of(contents);
  }

  private static void assertSame(List<byte[]> expected, List<byte[]> actual) {
    for (int i = 0; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i), actual.get(i), "entry " + i);
    }
  }
}
