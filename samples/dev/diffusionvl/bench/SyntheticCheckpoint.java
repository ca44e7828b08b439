// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelShapes;
import dev.diffusionvl.loader.SafetensorsWriter;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.runtime.DType;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Writes a checkpoint folder of a given shape with random weights: something to load where no released model is at hand. */
final class SyntheticCheckpoint {
  private static final int PATTERN_ELEMENTS = 1 << 20;

  private SyntheticCheckpoint() {}

  /**
   * @param like a folder whose configuration and tokenizer are taken, the sizes excepted
   * @param folder an existing folder to write to
   */
  static void write(ModelConfig config, TensorType type, Path like, Path folder) throws IOException {
    try (Stream<Path> files = Files.list(like)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".json") || f.toString().endsWith(".txt")).toList()) {
        Files.copy(file, folder.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
      }
    }
    ObjectMapper json = new ObjectMapper();
    ObjectNode root = (ObjectNode) json.readTree(folder.resolve("config.json").toFile());
    text(root, config.text());
    text((ObjectNode) root.get("text_config"), config.text());
    vision((ObjectNode) root.get("vision_config"), config.vision());
    json.writeValue(folder.resolve("config.json").toFile(), root);
    weights(config, type, folder);
  }

  private static void text(ObjectNode json, TextConfig c) {
    json.put("hidden_size", c.hiddenSize()).put("intermediate_size", c.intermediateSize()).put("num_hidden_layers", c.layers())
        .put("num_attention_heads", c.heads()).put("num_key_value_heads", c.kvHeads()).put("vocab_size", c.vocabSize())
        .put("tie_word_embeddings", c.tieWordEmbeddings()).put("max_position_embeddings", c.maxPositionEmbeddings());
    json.remove(List.of("layer_types", "max_window_layers"));
  }

  private static void vision(ObjectNode json, VisionConfig c) {
    json.put("depth", c.depth()).put("hidden_size", c.hiddenSize()).put("intermediate_size", c.intermediateSize())
        .put("num_heads", c.heads()).put("out_hidden_size", c.outHiddenSize());
    c.fullAttentionBlocks().stream().sorted().forEach(json.putArray("fullatt_block_indexes")::add);
  }

  private static void weights(ModelConfig config, TensorType type, Path folder) {
    MemorySegment pattern = MemorySegment.ofBuffer(pattern(type));
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    new TreeMap<>(ModelShapes.of(config)).forEach((name, shape) -> {
      long bytes = Arrays.stream(shape).reduce(type.bytes(), Math::multiplyExact);
      tensors.add(new SafetensorsWriter.Tensor(nameInFile(name), type, shape, file -> {
        for (long left = bytes; left > 0; left -= pattern.byteSize()) {
          file.write(pattern.asSlice(0, Math.min(left, pattern.byteSize())));
        }
      }));
    });
    SafetensorsWriter.writeModel(folder, tensors, Long.MAX_VALUE);
  }

  /** Names of a trained checkpoint of the Qwen-VL family. */
  private static String nameInFile(String canonical) {
    return canonical.startsWith("lm_head.") ? canonical
        : canonical.startsWith("vision.") ? "model.vision_tower.vision_tower." + canonical.substring("vision.".length())
        : canonical.startsWith("merger.") ? "model.mm_projector." + canonical
        : "model." + canonical;
  }

  private static ByteBuffer pattern(TensorType type) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(PATTERN_ELEMENTS * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    Random random = new Random(1);
    for (int i = 0; i < PATTERN_ELEMENTS; i++) {
      float value = (float) (0.02 * random.nextGaussian());
      switch (type) {
        case BF16 -> buffer.putShort(DType.toBf16(value));
        case F16 -> buffer.putShort(Float.floatToFloat16(value));
        default -> buffer.putFloat(value);
      }
    }
    return buffer.flip();
  }
}
