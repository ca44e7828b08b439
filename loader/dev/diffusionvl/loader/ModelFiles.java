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
  private final List<Path> directories;
  private final ModelConfig config;
  private final Tokenizer tokenizer;
  private final Checkpoint checkpoint;
  private final List<String> remarks;

  private ModelFiles(List<Path> directories, ModelConfig config, Tokenizer tokenizer, Checkpoint checkpoint, List<String> remarks) {
    this.directories = directories;
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
      remarks.addAll(CheckpointCheck.remarks(checkpoint, config, modelDir));
      remarks.addAll(ChatTemplate.remarks(modelDir));
      return new ModelFiles(List.of(modelDir), config, tokenizer, checkpoint, List.copyOf(remarks));
    } catch (RuntimeException e) {
      checkpoint.close();
      throw e;
    }
  }

  /**
   * Joins a language model and a SigLIP tower, each as its authors published it. The projector between them and the image newline are new
   * ({@link NewProjector}); images are padded to squares until {@link ModelConfig#withImages} says otherwise.
   *
   * @param languageModel folder of a Qwen2.5 model
   * @param tower folder of a SigLIP model, of which only the part that reads images is used
   * @param seed of the projector
   * @throws BadInputException naming the file and the field that is missing or wrong
   */
  public static ModelFiles join(Path languageModel, Path tower, long seed) {
    ModelConfig config = new ConfigReader(languageModel, tower).read();
    ServedSizes.require(config, tower);
    Tokenizer tokenizer = Tokenizer.load(languageModel);
    Checkpoint language = Checkpoint.open(languageModel);
    Checkpoint vision = null;
    try {
      vision = Checkpoint.open(tower);
      Checkpoint joined = Checkpoint.join(language, vision, NewProjector.tensors(config, seed), config);
      return new ModelFiles(List.of(languageModel, tower), config, tokenizer, joined, List.of());
    } catch (RuntimeException e) {
      language.close();
      if (vision != null) {
        vision.close();
      }
      throw e;
    }
  }

  /**
   * The configuration of a model directory, without its other files.
   *
   * @param tower directory of a SigLIP tower that a language model is joined with; null: the model has its own
   * @throws BadInputException naming the file and the field that is missing or wrong
   */
  public static ModelConfig config(Path modelDir, Path tower) {
    return (tower == null ? new ConfigReader(modelDir) : new ConfigReader(modelDir, tower)).read();
  }

  /** Folders that these are the files of: the language model's, or the whole model's, first. */
  public List<Path> directories() {
    return directories;
  }

  public ModelConfig config() {
    return config;
  }

  /** The same files with another view of the configuration; closing one closes the other. */
  public ModelFiles withConfig(ModelConfig other) {
    return new ModelFiles(directories, other, tokenizer, checkpoint, remarks);
  }

  public Tokenizer tokenizer() {
    return tokenizer;
  }

  public Checkpoint checkpoint() {
    return checkpoint;
  }

  /** What a user should know of the files, such as defaults that were taken because no file says; a line each, usually none. */
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
