// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.Tokenizer;
import dev.diffusionvl.model.constraint.Vocabulary;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.WeightForm;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/**
 * A DiffusionVL checkpoint in device memory. Load it once, share it between threads, and open a {@link Session} per thread.
 *
 * {@snippet class=dev.diffusionvl.model.ApiExamplesTest region=question}
 *
 * <p>All methods may be called by several threads at the same time, {@link #close} excepted: it comes after the last session is
 * closed.
 */
public final class DiffusionVl implements AutoCloseable {
  private final Device device;
  private final DType dtype;
  private final ModelConfig config;
  private final Tokenizer tokenizer;
  private final TextWeights text;
  private final VisionTower vision;
  private final Parameters parameters;
  private final Kernels kernels;
  private final double loadMillis;
  private Vocabulary vocabulary;
  private volatile boolean closed;
  private int generating;

  private DiffusionVl(Device device, DType dtype, ModelConfig config, Tokenizer tokenizer, TextWeights text, VisionTower vision,
      Kernels kernels, Parameters parameters, double loadMillis) {
    this.device = device;
    this.dtype = dtype;
    this.config = config;
    this.tokenizer = tokenizer;
    this.text = text;
    this.vision = vision;
    this.parameters = parameters;
    this.loadMillis = loadMillis;
    this.kernels = kernels;
  }

  /** {@link #load(Device, Path, DType, LoadListener)} without a listener. */
  public static DiffusionVl load(Device device, Path directory, DType dtype) {
    return load(device, directory, dtype, LoadListener.NONE);
  }

  /**
   * Loads a checkpoint folder in the Hugging Face layout.
   *
   * @param dtype BF16, F16, or F32 for fidelity tests; stored weights are converted
   * @param listener hears of the progress
   * @throws dev.diffusionvl.loader.BadInputException naming the file and field that is missing or wrong
   * @throws java.util.concurrent.CancellationException if the thread is interrupted
   */
  public static DiffusionVl load(Device device, Path directory, DType dtype, LoadListener listener) {
    try (ModelFiles files = ModelFiles.open(directory)) {
      return load(device, files, dtype, listener);
    }
  }

  /**
   * Loads a model whose files are open and checked; they may be closed afterwards.
   *
   * @param dtype BF16, F16, or F32 for fidelity tests; stored weights are converted
   * @param listener hears of the progress
   * @throws dev.diffusionvl.runtime.OutOfDeviceMemoryException before anything is read, when the weights do not fit
   */
  public static DiffusionVl load(Device device, ModelFiles files, DType dtype, LoadListener listener) {
    long start = System.nanoTime();
    MemoryNeed.of(files, dtype, 0).requireFree(device);
    try (WeightSource source = new CheckpointWeights(device, files.checkpoint(), listener)) {
      return of(device, files.config(), files.tokenizer(), dtype, source, start);
    }
  }

  /**
   * A model with seeded random weights of the configuration's shapes, made on the device: as fast as a trained one, and as wise as
   * chance.
   *
   * @param dtype BF16, F16 or F32
   * @param tokenizer its ids must lie within the configuration's vocabulary
   */
  public static DiffusionVl random(Device device, ModelConfig config, Tokenizer tokenizer, DType dtype, long seed) {
    return random(device, config, tokenizer, dtype, WeightForm.DENSE, seed);
  }

  /** The same with the layers' weights in some form. @param form with BF16 and F16: DENSE, FP8 or INT4; with F32: DENSE */
  public static DiffusionVl random(Device device, ModelConfig config, Tokenizer tokenizer, DType dtype, WeightForm form, long seed) {
    long start = System.nanoTime();
    try (WeightSource source = new RandomWeights(device, config, form, seed)) {
      return of(device, config, tokenizer, dtype, source, start);
    }
  }

  private static DiffusionVl of(Device device, ModelConfig config, Tokenizer tokenizer, DType dtype, WeightSource source,
      long start) {
    if (!dtype.isHalf() && dtype != DType.F32) {
      throw new IllegalArgumentException("dtype is " + dtype + ", allowed are BF16, F16 and F32");
    }
    try (WeightUploader uploader = new WeightUploader(device, source, dtype, config.text().tieWordEmbeddings())) {
      TextWeights text = TextWeights.load(uploader, config.text());
      VisionTower vision = VisionTower.load(uploader, config);
      Kernels kernels = new Kernels(device);
      return new DiffusionVl(device, dtype, config, tokenizer, text, vision, kernels, uploader.release(),
          (System.nanoTime() - start) / 1e6);
    }
  }

  /** A session: cheap, for one thread at a time. Close it before the model. */
  public Session newSession() {
    return newSession(GemmChoice.AUTO);
  }

  /** A session whose matrix products are made by {@code gemm}. */
  public Session newSession(GemmChoice gemm) {
    return newSession(gemm, true);
  }

  /**
   * A session whose matrix products are made by {@code gemm}.
   *
   * @param overlap the bf16 kernels of a layer start while the kernel before them ends (programmatic dependent launch: from compute
   *     capability 9.0 on, needs jni-kernels, elsewhere without effect); changes no bit. On by default; to compare, off
   */
  public Session newSession(GemmChoice gemm, boolean overlap) {
    return newSession(gemm, overlap, KvChoice.AUTO);
  }

  /**
   * The same with a choice of how keys and values are kept.
   *
   * @throws IllegalArgumentException where there are no kernels for it, see {@link KvChoice#requireFor}
   */
  public Session newSession(GemmChoice gemm, boolean overlap, KvChoice kv) {
    Objects.requireNonNull(gemm, "gemm");
    Objects.requireNonNull(kv, "kv");
    if (closed) {
      throw new IllegalStateException("the model is closed");
    }
    return new Session(this, gemm, overlap, kv);
  }

  /** {@link #newEngine(EngineOptions)} with the defaults. */
  public Engine newEngine() {
    return newEngine(EngineOptions.DEFAULTS);
  }

  /**
   * An engine, which answers many requests at once, for any number of threads. Close it before the model.
   *
   * @throws IllegalArgumentException where there are no kernels for how it is to keep keys and values, see {@link KvChoice#requireFor}
   */
  public Engine newEngine(EngineOptions options) {
    if (closed) {
      throw new IllegalStateException("the model is closed");
    }
    return new Engine(this, options);
  }

  /** Milliseconds that loading took. */
  public double loadMillis() {
    return loadMillis;
  }

  /** What the user should know about how the model runs here, a line each; usually nothing. */
  public List<String> remarks() {
    return vision.remarks();
  }

  public Device device() {
    return device;
  }

  /** Storage type of weights and activations. */
  public DType dtype() {
    return dtype;
  }

  public ModelConfig config() {
    return config;
  }

  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /** Its tokens as constraints of answers see them; made when it is first asked for. */
  synchronized Vocabulary vocabulary() {
    if (vocabulary == null) {
      vocabulary = Vocabulary.of(tokenizer, config);
    }
    return vocabulary;
  }

  /** The weights by name, as they are on the device. */
  public Parameters parameters() {
    return parameters;
  }

  /** Weights of the language model as kernels use them. */
  public TextWeights text() {
    return text;
  }

  /** The vision tower with what follows it. */
  public VisionTower vision() {
    return vision;
  }

  /** The launchers of the model's device. */
  public Kernels kernels() {
    return kernels;
  }

  /** A session begins to generate: until {@link #leave} the weights stay. */
  synchronized void enter() {
    if (closed) {
      throw new IllegalStateException("the model is closed");
    }
    generating++;
  }

  synchronized void leave() {
    generating--;
  }

  /**
   * Frees the weights. Idempotent.
   *
   * @throws IllegalStateException while a session of the model generates; to end that see {@link GenerationListener#isCancelled}
   */
  @Override
  public void close() {
    synchronized (this) {
      if (generating > 0) {
        throw new IllegalStateException("a session of the model is generating: close it after that");
      }
      closed = true;
    }
    parameters.close();
  }
}
