// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The files of a model directory, read and checked as far as that is possible without a device: the configuration, the tokenizer, and
 * weights that are complete. Weights are mapped, not read. Immutable and safe for use by several threads until closed.
 */
public final class ModelFiles implements AutoCloseable {
  private final ModelConfig config;
  private final Tokenizer tokenizer;
  private final Checkpoint checkpoint;
  private final List<String> remarks;

  private ModelFiles(ModelConfig config, Tokenizer tokenizer, Checkpoint checkpoint, List<String> remarks) {
    this.remarks = remarks;
    this.config = config;
    this.tokenizer = tokenizer;
    this.checkpoint = checkpoint;
  }

  /**
   * Opens a checkpoint folder in the Hugging Face layout.
   *
   * @throws BadInputException naming the file and the field that is missing or wrong
   */
  public static ModelFiles open(Path modelDir) {
    ConfigReader reader = new ConfigReader(modelDir);
    ModelConfig config = reader.read();
    ServedSizes.require(config, modelDir);
    Tokenizer tokenizer = Tokenizer.load(modelDir);
    Checkpoint checkpoint = Checkpoint.open(modelDir);
    try {
      checkpoint.requireComplete(config);
      List<String> remarks = new ArrayList<>(reader.remarks());
      remarks.addAll(checkpoint.remarks());
      return new ModelFiles(config, tokenizer, checkpoint, List.copyOf(remarks));
    } catch (RuntimeException e) {
      checkpoint.close();
      throw e;
    }
  }

  public ModelConfig config() {
    return config;
  }

  /** The same files with another view of the configuration; closing one closes the other. */
  public ModelFiles withConfig(ModelConfig other) {
    return new ModelFiles(other, tokenizer, checkpoint, remarks);
  }

  public Tokenizer tokenizer() {
    return tokenizer;
  }

  public Checkpoint checkpoint() {
    return checkpoint;
  }

  /** Defaults that were taken because no file says, where they decide how many rows an image becomes; a line each, usually none. */
  public List<String> remarks() {
    return remarks;
  }

  /** Numbers that the model holds, a tied output matrix counted once. */
  public static long parameters(ModelConfig config) {
    return ModelShapes.of(config).values().stream()
        .mapToLong(shape -> Arrays.stream(shape).reduce(1, Math::multiplyExact))
        .sum();
  }

  /** Unmaps the weights. Idempotent. */
  @Override
  public void close() {
    checkpoint.close();
  }
}
