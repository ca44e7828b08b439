// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import java.io.File;
import picocli.CommandLine.Option;

/** The transformer's parameters on the command line. */
final class AnswerOptions {
  @Option(names = "--model", required = true, paramLabel = "DIR", description = "checkpoint folder, the same path on every executor")
  private String model;

  @Option(names = "--prompt-col", defaultValue = "prompt", paramLabel = "NAME", description = "column of the questions")
  private String promptCol;

  @Option(names = "--image-col", defaultValue = "image", paramLabel = "NAME", description = "column of the images: bytes of a file, its "
      + "name, or an array of these; empty: none")
  private String imageCol;

  @Option(names = "--schema-col", defaultValue = "", paramLabel = "NAME", description = "column of JSON schemas of the answers")
  private String schemaCol;

  @Option(names = "--images", defaultValue = "", paramLabel = "FOLDER", description = "folder that names of images are relative to; else "
      + "they are whole paths")
  private String images;

  @Option(names = "--max-pixels", defaultValue = "64000000", paramLabel = "N", description = "of an image; a larger one is its row's error")
  private long maxPixels;

  @Option(names = "--device", defaultValue = "auto", description = "auto: the GPU that Spark assigns to a task; gpu, gpu:N, emulated")
  private String device;

  @Option(names = "--dtype", defaultValue = "bf16", description = "bf16, f16 or f32")
  private String dtype;

  @Option(names = "--gemm", defaultValue = "auto", description = "which kernels multiply matrices: own, cublas or auto")
  private String gemm;

  @Option(names = "--kv", defaultValue = "auto", description = "keys and values as numbers (auto) or in 8 bits (fp8)")
  private String kv;

  @Option(names = "--slots", defaultValue = "32", paramLabel = "N", description = "rows that an executor answers at the same time")
  private int slots;

  @Option(names = "--rows-in-flight", defaultValue = "4", paramLabel = "N", description = "rows that a task has in the engine at a time")
  private int rowsInFlight;

  @Option(names = "--gen-length", defaultValue = "128", paramLabel = "N", description = "most tokens of an answer")
  private int genLength;

  @Option(names = "--steps", defaultValue = "0", paramLabel = "N", description = "denoising steps per block; 0: the model's default")
  private int steps;

  @Option(names = "--confidence-threshold", defaultValue = "0", paramLabel = "T", description = "a step commits what is surer; 0: a fixed "
      + "number")
  private double threshold;

  @Option(names = "--temperature", defaultValue = "0", paramLabel = "T", description = "0: the most likely token, else sampling")
  private double temperature;

  @Option(names = "--seed", defaultValue = "0", paramLabel = "N", description = "of the sampling")
  private long seed;

  DiffusionVlTransformer transformer() {
    return new DiffusionVlTransformer().setModel(whole(model)).setPromptCol(promptCol).setImageCol(imageCol).setSchemaCol(schemaCol)
        .setImageFolder(whole(images)).setMaxPixels(maxPixels).setDevice(device).setDtype(dtype).setGemm(gemm).setKv(kv).setSlots(slots)
        .setRowsInFlight(rowsInFlight).setGenLength(genLength).setSteps(steps).setThreshold(threshold)
        .setTemperature(temperature).setSeed(seed);
  }

  /** Executors have other working folders. */
  private static String whole(String path) {
    return path.isEmpty() || path.contains(":/") ? path : new File(path).getAbsolutePath();
  }
}
