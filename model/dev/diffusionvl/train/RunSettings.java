// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.ImageFraming;
import dev.diffusionvl.loader.ModelFamily;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.model.DiffusionVl;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;

/**
 * What a resumed run must have in common with the one that it goes on with, or it would be neither of the two.
 *
 * @param values by the names of the command's options
 */
record RunSettings(Map<String, String> values) {
  private static final long SAMPLED_BYTES = 4096;

  static RunSettings of(DiffusionVl model, Checkpoint base, ConversationData data, Objective objective, TrainerOptions options,
      HeldOut heldOut) {
    RowEncoder.Options rows = data.options();
    Map<String, String> values = new LinkedHashMap<>();
    values.put("base", Long.toHexString(checksum(base)));
    values.put("data", data.size() + " records, checksum " + Long.toHexString(data.checksum()));
    switch (objective) {
      case BlockDiffusionObjective blocks -> {
        values.put("objective", "block-diffusion");
        values.put("mask-token-id", Integer.toString(blocks.maskId()));
        values.put("lowest-noise", Double.toString(blocks.lowest()));
      }
      case AutoregressiveObjective _ -> values.put("objective", "autoregressive");
    }
    values.put("dtype", model.dtype().suffix());
    values.put("batch", Integer.toString(options.batch()));
    values.put("accumulate", Integer.toString(options.accumulate()));
    values.put("lr", Double.toString(options.rate()));
    values.put("lr-vision", Double.toString(options.visionRate()));
    values.put("warmup", Double.toString(options.warmup()));
    values.put("steps", Integer.toString(options.steps()));
    values.put("seed", Long.toString(options.seed()));
    values.put("train", options.parts().stream().sorted().map(RunSettings::word).collect(Collectors.joining(",")));
    values.put("optimizer", word(options.optimizer()));
    values.put("lora", options.lora() == null ? "none" : options.lora().rank() + ":" + options.lora().alpha());
    values.put("block-size", Integer.toString(rows.blockSize()));
    values.put("max-length", Integer.toString(rows.maxLength()));
    values.put("image-aspect-ratio", model.config().family() == ModelFamily.QWEN_SIGLIP ? model.config().sigLip().images()
        : rows.framing() == ImageFraming.PAD ? "pad" : "keep");
    values.put("weight-decay", Double.toString(options.weightDecay()));
    values.put("clip", Double.toString(options.clip()));
    values.put("constant-rate", Boolean.toString(options.constantRate()));
    values.put("eval", heldOut.name()); // train.jsonl has the scores
    values.put("eval-every", heldOut.questions() == null ? "never" : Integer.toString(heldOut.every()));
    return new RunSettings(values);
  }

  /** As the command's options spell it. */
  private static String word(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace("_", "");
  }

  /** Of names, shapes and the beginnings and ends of all tensors: reading all of them would take as long as loading them. */
  private static long checksum(Checkpoint base) {
    CRC32C crc = new CRC32C();
    for (String name : base.names()) {
      TensorView view = base.tensor(name);
      crc.update((name + Arrays.toString(view.shape()) + view.type()).getBytes(StandardCharsets.UTF_8));
      MemorySegment data = view.data();
      long sampled = Math.min(SAMPLED_BYTES, data.byteSize());
      crc.update(data.asSlice(0, sampled).asByteBuffer());
      crc.update(data.asSlice(data.byteSize() - sampled, sampled).asByteBuffer());
    }
    return crc.getValue();
  }

  /** A line on each value that differs, empty if none does. */
  List<String> differences(Map<?, ?> before) {
    List<String> lines = new ArrayList<>();
    values.forEach((name, value) -> {
      if (!value.equals(before.get(name))) {
        lines.add("--" + name + ": the run had " + before.get(name) + ", now it is " + value);
      }
    });
    return lines;
  }
}
