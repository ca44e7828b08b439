// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import dev.diffusionvl.model.GemmChoice;
import dev.diffusionvl.model.KvChoice;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.spark.AnswerSettings.EngineSettings;
import org.apache.spark.ml.Transformer;
import org.apache.spark.ml.param.DoubleParam;
import org.apache.spark.ml.param.IntParam;
import org.apache.spark.ml.param.LongParam;
import org.apache.spark.ml.param.Param;

/** The parameters of {@link DiffusionVlTransformer}; each says in its {@code doc} what it is. */
public abstract class AnswerParams extends Transformer {
  private final String uid;
  private final Param<String> model = new Param<>(this, "model", "checkpoint folder, the same path on every executor");
  private final Param<String> device = new Param<>(this, "device",
      "auto (the GPU that Spark assigns to the task, if it does), gpu, gpu:N or emulated");
  private final Param<String> dtype = new Param<>(this, "dtype", "bf16, f16 or f32");
  private final Param<String> gemm = new Param<>(this, "gemm", "which kernels multiply matrices: own, cublas or auto");
  private final Param<String> kv = new Param<>(this, "kv", "keys and values as numbers (auto) or in 8 bits (fp8)");
  private final IntParam slots = new IntParam(this, "slots", "rows that an executor answers at the same time");
  private final IntParam rowsInFlight = new IntParam(this, "rowsInFlight", "rows that a task has in the engine at a time");
  private final Param<String> promptCol = new Param<>(this, "promptCol", "column of the questions");
  private final Param<String> imageCol = new Param<>(this, "imageCol",
      "column of the images: bytes of a file, its name, or an array of these; empty: none");
  private final Param<String> schemaCol = new Param<>(this, "schemaCol", "column of JSON schemas of the answers; empty: none");
  private final Param<String> outputCol = new Param<>(this, "outputCol", "column of the answers");
  private final Param<String> imageFolder = new Param<>(this, "imageFolder",
      "folder that names of images are relative to; empty: they are whole paths");
  private final LongParam maxPixels = new LongParam(this, "maxPixels", "most pixels of an image; a larger one is its row's error");
  private final IntParam genLength = new IntParam(this, "genLength", "most tokens of an answer");
  private final IntParam steps = new IntParam(this, "steps", "denoising steps per block; 0: the model's default");
  private final DoubleParam threshold = new DoubleParam(this, "threshold", "a step commits what is surer than this; 0: a fixed number");
  private final DoubleParam temperature = new DoubleParam(this, "temperature", "0: the most likely token, else sampling");
  private final LongParam seed = new LongParam(this, "seed", "of the sampling");

  /** @param uid as Spark ML names stages when it saves them */
  AnswerParams(String uid) {
    this.uid = uid; // before the parameters are made, which ask for it
    super();
    setDefault(device, "auto");
    setDefault(dtype, "bf16");
    setDefault(gemm, "auto");
    setDefault(kv, "auto");
    setDefault(slots, 32);
    setDefault(rowsInFlight, 4);
    setDefault(promptCol, "prompt");
    setDefault(imageCol, "image");
    setDefault(schemaCol, "");
    setDefault(outputCol, "answer");
    setDefault(imageFolder, "");
    setDefault(maxPixels, 64_000_000L);
    setDefault(genLength, 128);
    setDefault(steps, 0);
    setDefault(threshold, 0.0);
    setDefault(temperature, 0.0);
    setDefault(seed, 0L);
  }

  @Override
  public final String uid() {
    return uid;
  }

  /** @see #explainParams */
  public final Param<String> model() {
    return model;
  }

  /** @see #explainParams */
  public final Param<String> device() {
    return device;
  }

  /** @see #explainParams */
  public final Param<String> dtype() {
    return dtype;
  }

  /** @see #explainParams */
  public final Param<String> gemm() {
    return gemm;
  }

  /** @see #explainParams */
  public final Param<String> kv() {
    return kv;
  }

  /** @see #explainParams */
  public final IntParam slots() {
    return slots;
  }

  /** @see #explainParams */
  public final IntParam rowsInFlight() {
    return rowsInFlight;
  }

  /** @see #explainParams */
  public final Param<String> promptCol() {
    return promptCol;
  }

  /** @see #explainParams */
  public final Param<String> imageCol() {
    return imageCol;
  }

  /** @see #explainParams */
  public final Param<String> schemaCol() {
    return schemaCol;
  }

  /** @see #explainParams */
  public final Param<String> outputCol() {
    return outputCol;
  }

  /** @see #explainParams */
  public final Param<String> imageFolder() {
    return imageFolder;
  }

  /** @see #explainParams */
  public final LongParam maxPixels() {
    return maxPixels;
  }

  /** @see #explainParams */
  public final IntParam genLength() {
    return genLength;
  }

  /** @see #explainParams */
  public final IntParam steps() {
    return steps;
  }

  /** @see #explainParams */
  public final DoubleParam threshold() {
    return threshold;
  }

  /** @see #explainParams */
  public final DoubleParam temperature() {
    return temperature;
  }

  /** @see #explainParams */
  public final LongParam seed() {
    return seed;
  }

  final String text(Param<String> param) {
    return getOrDefault(param);
  }

  /** How rows are answered. @throws IllegalArgumentException naming a parameter that is missing or out of range */
  final AnswerSettings settings() {
    if (!isDefined(model)) {
      throw new IllegalArgumentException("model is not set");
    }
    int inFlight = (int) getOrDefault(rowsInFlight);
    if (inFlight < 1) {
      throw new IllegalArgumentException("rowsInFlight is " + inFlight + ", allowed is 1 or more");
    }
    DType type = DType.ofActivations(text(dtype));
    KvChoice cache = KvChoice.parse(text(kv));
    cache.requireFor(type);
    long pixels = (long) getOrDefault(maxPixels);
    if (pixels < 1) {
      throw new IllegalArgumentException("maxPixels is " + pixels + ", allowed is 1 or more");
    }
    DeviceSpec.parse(text(device)); // now, and not in every task
    EngineSettings engine = new EngineSettings(text(model), text(device), type, GemmChoice.parse(text(gemm)), cache,
        (int) getOrDefault(slots));
    return new AnswerSettings(engine, (int) getOrDefault(genLength), (int) getOrDefault(steps), (float) (double) getOrDefault(threshold),
        (float) (double) getOrDefault(temperature), (long) getOrDefault(seed), text(imageFolder),
        pixels, inFlight);
  }
}
