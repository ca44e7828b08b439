// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.ChatPrompt;
import dev.diffusionvl.loader.ChatPrompt.Turn;
import dev.diffusionvl.loader.ImageFraming;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PromptForm;
import dev.diffusionvl.loader.Tokenizer;
import java.nio.file.Path;
import java.util.List;

/**
 * Makes training rows of conversations (docs/model.md, "Training objective"). Messages are tokenized one by one, as
 * {@code <|im_start|>ROLE⏎TEXT<|im_end|>⏎}, the official form's system text first; {@code <image>} gives way to the image's rows where it
 * stands. All ids of an assistant's message are labels, its header and last newline too, and wherever they stand the ids of newline,
 * {@code <|im_start|>} and {@code <|im_end|>}. The row is cut at the greatest length and then filled up to whole blocks with labelled
 * end-of-text.
 *
 * <p>Texts go in as they are: special tokens spelt in them become special tokens. The reference gives conversations without an image a
 * black one, whose features it then leaves out; it is needed there to keep several devices in step, and does not exist here.
 *
 * <p>Immutable, safe for several threads.
 */
public final class RowEncoder {
  private static final String START = "<|im_start|>";
  private static final String END = "<|im_end|>";
  private static final String ANSWER_HEADER = START + "assistant\n";

  /**
   * What is the same for all rows.
   *
   * @param images folder that the records' image names are relative to
   * @param framing shape of the Qwen-VL family's images; the SigLIP family's follows from the configuration
   * @param maxLength rows at which a conversation is cut, at least 1; end-of-text may follow up to the next whole block
   * @param blockSize diffusion block size, at least 1
   */
  public record Options(Path images, ImageFraming framing, int maxLength, int blockSize) {
    public Options {
      if (maxLength < 1 || blockSize < 1) {
        throw new IllegalArgumentException("maxLength " + maxLength + ", blockSize " + blockSize + ": both must be at least 1");
      }
    }

    /** Images in their own shape, as the model will be asked about them, and the configuration's block size and greatest length. */
    public static Options of(ModelConfig config, Path images) {
      int maxLength = Math.min(config.tokenizerModelMaxLength(), config.text().maxPositionEmbeddings());
      return new Options(images, ImageFraming.AS_IS, maxLength, config.blockSize());
    }

    public Options withFraming(ImageFraming value) {
      return new Options(images, value, maxLength, blockSize);
    }

    public Options withMaxLength(int value) {
      return new Options(images, framing, value, blockSize);
    }

    public Options withBlockSize(int value) {
      return new Options(images, framing, maxLength, value);
    }
  }

  private final Tokenizer tokenizer;
  private final Options options;
  private final ImagePreparer images;
  private final int vocabSize;
  private final int maskTokenId;
  private final int eosTokenId;
  private final int newline;
  private final int start;
  private final int end;

  /** @throws BadInputException if the tokenizer lacks a token that every row needs */
  public RowEncoder(ModelConfig config, Tokenizer tokenizer, Options options) {
    this.tokenizer = tokenizer;
    this.options = options;
    this.images = new ImagePreparer(config, options.images(), options.framing());
    this.vocabSize = config.text().vocabSize();
    this.maskTokenId = config.maskTokenId();
    this.eosTokenId = config.eosTokenId();
    this.newline = single(tokenizer, "\n", "newline");
    this.start = single(tokenizer, START, START);
    this.end = single(tokenizer, END, END);
  }

  Options options() {
    return options;
  }

  private static int single(Tokenizer tokenizer, String text, String name) {
    int[] ids = tokenizer.encode(text);
    if (ids.length != 1) {
      throw new BadInputException("tokenizer: " + name + " is " + ids.length + " tokens, training needs it to be one");
    }
    return ids[0];
  }

  /**
   * The row of a conversation; reads and prepares its images.
   *
   * @throws BadInputException if an image cannot be used, a text holds the mask token or one that the model does not have, or no answer is
   *     left to learn from
   */
  public TrainingRow encode(ConversationRecord record) {
    List<PreparedImage> prepared = images.prepare(record.images());
    int headerLength = tokenizer.encode(ANSWER_HEADER).length;
    RowBuilder row = new RowBuilder(prepared, options.maxLength());
    message(row, "system", PromptForm.OFFICIAL.systemText(), false);
    int answerRows = 0;
    for (Turn turn : record.turns()) {
      int header = row.kept() + headerLength;
      message(row, turn.user() ? "user" : "assistant", turn.text(), !turn.user());
      answerRows += turn.user() ? 0 : Math.max(0, row.kept() - header);
    }
    if (answerRows == 0) {
      throw new BadInputException("conversations: " + (row.kept() + row.cut()) + " rows, and no answer within the first "
          + options.maxLength() + ": nothing to learn");
    }
    return row.build(record.id(), options.blockSize(), eosTokenId);
  }

  private void message(RowBuilder row, String role, String content, boolean learnt) {
    String text = START + role + "\n" + content + END + "\n";
    List<String> chunks = ChatPrompt.chunks(text);
    for (int chunk = 0; chunk < chunks.size(); chunk++) {
      if (chunk > 0) {
        row.addImage();
      }
      for (int id : tokenizer.encode(chunks.get(chunk))) {
        requireUsable(id);
        boolean label = learnt || id == newline || id == start || id == end;
        row.add(id, label ? id : BlockDiffusionObjective.NO_LABEL);
      }
    }
  }

  private void requireUsable(int id) {
    if (id == maskTokenId) {
      throw new BadInputException("conversations: a text holds the mask token (id " + id + "), which must never be learnt");
    }
    if (id >= vocabSize) {
      throw new BadInputException("conversations: token id " + id + " is outside the model's vocabulary of " + vocabSize);
    }
  }
}
