// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import static dev.diffusionvl.train.BlockDiffusionObjective.NO_LABEL;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ImageFiles;
import dev.diffusionvl.loader.ImageFraming;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.QwenImageProcessor;
import dev.diffusionvl.model.SigLipCheckpoint;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RowEncoderTest {
  private static final int EOS = TrainingFolder.CONFIG.eosTokenId();

  @TempDir
  private Path path;

  private TrainingFolder folder;

  @BeforeEach
  void writeImage() {
    folder = new TrainingFolder(path);
    folder.writeImage("wide.png", 200, 100);
  }

  private static ConversationRecord record(List<String> images, String... texts) {
    return new ConversationRecord("id", images,
        IntStream.range(0, texts.length).mapToObj(i -> new Turn(i % 2 == 0, texts[i])).toList());
  }

  private TrainingRow encode(RowEncoder.Options options, ConversationRecord record) {
    return TrainingFolder.encoder(options).encode(record);
  }

  /** As the processors have it: 196 x 112 pixels as it is, 196 x 196 as a square. */
  @Test
  void imagesKeepTheirShapeOrBecomeSquare() {
    ConversationRecord record = record(List.of("wide.png"), "<image>\nWhat?", "A wide picture.");
    TrainingRow asIs = encode(folder.options(), record);
    TrainingRow padded = encode(folder.options().withFraming(ImageFraming.PAD), record);
    assertEquals(7 * 4, asIs.images().getFirst().rows());
    assertEquals(7 * 7, padded.images().getFirst().rows());
    PreparedImage.Patches patches = (PreparedImage.Patches) padded.images().getFirst().image();
    assertArrayEquals(new QwenImageProcessor(TrainingFolder.CONFIG, ImageFraming.PAD)
        .process(ImageFiles.read(path.resolve("wide.png")), "wide.png").values(), patches.pixels().values());
  }

  /** Thumbnail and two tiles, one stretched square, one padded square each. */
  @Test
  void theSigLipFamilyFollowsItsConfiguration() {
    folder.writeImage("tall.png", 62, 124);
    assertEquals(List.of(16 + 8 * 5), sigLipRows("anyres_max_4", "tall.png"));
    assertEquals(List.of(16), sigLipRows("square", "tall.png"));
    assertEquals(List.of(17), sigLipRows("pad", "tall.png"));
    assertEquals(List.of(17, 17), sigLipRows("anyres_max_4", "tall.png", "wide.png"));
    assertEquals(List.of(16, 16), sigLipRows("square", "tall.png", "wide.png"));
  }

  private List<Integer> sigLipRows(String aspect, String... images) {
    ModelConfig config = ModelConfig.load(SigLipCheckpoint.files(path.resolve(aspect + images.length),
        SigLipCheckpoint.CONFIG.replace("anyres_max_4", aspect)));
    RowEncoder encoder = new RowEncoder(config, TrainingFolder.TOKENIZER, RowEncoder.Options.of(config, path));
    TrainingRow row = encoder.encode(record(List.of(images), "<image>".repeat(images.length), "Pictures."));
    List<Integer> rows = row.images().stream().map(TrainingRow.ImageRows::rows).toList();
    assertEquals(row.example().imageRows(), rows.stream().mapToInt(Integer::intValue).sum());
    return rows;
  }

  /** Cut at every length: a prefix, then labelled end-of-text up to the next block; images end where the row does. */
  @Test
  void longConversationsAreCut() {
    ConversationRecord record =
        record(List.of("wide.png", "wide.png"), "Hello!", "Hi! What is it?", "<image><image>", "Two wide pictures.");
    TrainingRow whole = encode(folder.options(), record);
    assertEquals(0, whole.cutRows());
    int rows = whole.example().length();
    while (whole.example().ids()[rows - 1] == EOS) {
      rows--; // a conversation ends with a newline
    }
    for (int length = rows; length > 50; length--) {
      for (int block : new int[] {1, 8, 32}) {
        TrainingRow cut = encode(folder.options().withMaxLength(length).withBlockSize(block), record);
        int filled = (length + block - 1) / block * block;
        assertEquals(filled, cut.example().length());
        assertArrayEquals(Arrays.copyOf(whole.example().ids(), length), Arrays.copyOf(cut.example().ids(), length));
        assertArrayEquals(Arrays.copyOf(whole.example().labels(), length), Arrays.copyOf(cut.example().labels(), length));
        for (int i = length; i < filled; i++) {
          assertEquals(EOS, cut.example().ids()[i]);
          assertEquals(EOS, cut.example().labels()[i]);
        }
        assertEquals(cut.example().imageRows(), cut.images().stream().mapToInt(TrainingRow.ImageRows::rows).sum());
        assertTrue(cut.images().stream().allMatch(image -> image.rows() > 0));
        assertEquals(rows - length, cut.cutRows());
      }
    }
  }

  /** Placeholders stay where they stand, and rows of images teach nothing. */
  @Test
  void imagesStandWhereTheirPlaceholdersDo() {
    TrainingRow row = encode(folder.options(), record(List.of("wide.png"), "Is <image> wide?", "Yes."));
    TrainingRow.ImageRows image = row.images().getFirst();
    int[] before = TrainingFolder.TOKENIZER.encode("<|im_start|>user\nIs ");
    int[] ids = row.example().ids();
    assertArrayEquals(before, Arrays.copyOfRange(ids, image.firstRow() - before.length, image.firstRow()));
    int end = image.firstRow() + image.rows();
    int[] behind = TrainingFolder.TOKENIZER.encode(" wide?<|im_end|>\n");
    assertArrayEquals(behind, Arrays.copyOfRange(ids, end, end + behind.length));
    for (int i = image.firstRow(); i < end; i++) {
      assertEquals(Example.IMAGE, ids[i]);
      assertEquals(NO_LABEL, row.example().labels()[i]);
    }
  }

  /** A newline inside a question is labelled, as every id of newline is. */
  @Test
  void newlinesAreLabelledEverywhere() {
    TrainingRow row = encode(folder.options(), record(List.of(), "One\ntwo", "three"));
    int newline = TrainingFolder.TOKENIZER.encode("\n")[0];
    int[] one = TrainingFolder.TOKENIZER.encode("One");
    int[] ids = row.example().ids();
    int at = IntStream.range(0, ids.length)
        .filter(i -> Arrays.equals(one, Arrays.copyOfRange(ids, i, i + one.length)))
        .findFirst().orElseThrow();
    assertEquals(newline, ids[at + one.length]);
    assertEquals(newline, row.example().labels()[at + one.length]);
    assertEquals(NO_LABEL, row.example().labels()[at]);
  }
}
