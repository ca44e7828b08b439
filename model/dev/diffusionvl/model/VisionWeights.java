// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;

/** Weights of the Qwen vision tower and its merger on the device (docs/model.md, "Tensors"). */
public record VisionWeights(DeviceBuffer patchEmbedding, List<Block> blocks, DeviceBuffer mergerNorm, Linear.Dense mergerUp,
    Linear.Dense mergerDown) {

  /** One transformer block; gateUp is [2 F, D] with bias [2 F], F = intermediate size padded with zeros to a multiple of 8 (3420: 3424). */
  public record Block(DeviceBuffer norm1, Linear.Dense qkv, Linear.Dense projection, DeviceBuffer norm2, Linear.Dense gateUp,
      Linear.Dense down) {}

  static VisionWeights load(WeightUploader uploader, VisionConfig config) {
    List<Block> blocks = new ArrayList<>();
    for (int i = 0; i < config.depth(); i++) {
      String p = "vision.blocks." + i + ".";
      blocks.add(new Block(
          uploader.tensor(p + "norm1.weight"),
          uploader.linear(true, p + "attn.qkv"),
          uploader.linear(true, p + "attn.proj"),
          uploader.tensor(p + "norm2.weight"),
          uploader.paddedOutputs(true, p + "mlp.gate_proj", p + "mlp.up_proj"),
          uploader.paddedInputs(true, p + "mlp.down_proj")));
    }
    return new VisionWeights(
        uploader.tensor("vision.patch_embed.proj.weight"),
        blocks,
        uploader.tensor("merger.ln_q.weight"),
        uploader.linear(true, "merger.mlp.0"),
        uploader.linear(true, "merger.mlp.2"));
  }

  /** F: the intermediate size with what pads it. */
  public static int inner(VisionConfig config) {
    return Math.toIntExact(WeightUploader.roundedUp(config.intermediateSize()));
  }
}
