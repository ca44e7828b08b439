// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.jmh;

import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PixelValues;
import dev.diffusionvl.loader.QwenImageProcessor;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.Safetensors;
import dev.diffusionvl.loader.Tokenizer;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** The host's part of a request: opening weights, tokens, pixels. Run in the project's folder; reads the demo model. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class HostBenchmark {
  private static final Path MODEL = Path.of("samples/models/diffusionvl-tiny");

  private final String text = "The red square stands left of a blue triangle; naïve readers count 12 of them. ".repeat(13)
      .substring(0, 1000);
  private Tokenizer tokenizer;
  private int[] ids;
  private QwenImageProcessor processor;
  private RgbImage photo;

  @Setup
  public void load() {
    tokenizer = Tokenizer.load(MODEL);
    ids = tokenizer.encode(text);
    processor = new QwenImageProcessor(ModelConfig.load(MODEL));
    byte[] rgb = new byte[3 * 1280 * 960];
    new Random(1).nextBytes(rgb);
    photo = new RgbImage(1280, 960, rgb);
  }

  /** 1000 characters. */
  @Benchmark
  public int[] encode() {
    return tokenizer.encode(text);
  }

  /** The ids of 1000 characters. */
  @Benchmark
  public String decode() {
    return tokenizer.decode(ids);
  }

  /** Header and mapping of one safetensors file. */
  @Benchmark
  public int openSafetensors() {
    try (Safetensors file = Safetensors.open(MODEL.resolve("model.safetensors"))) {
      return file.names().size();
    }
  }

  /** All weight files of a checkpoint under canonical names. */
  @Benchmark
  public int openCheckpoint() {
    try (Checkpoint checkpoint = Checkpoint.open(MODEL)) {
      return checkpoint.names().size();
    }
  }

  /** A photo of 1280 x 960 pixels: resize, normalise, cut into patches. */
  @Benchmark
  public PixelValues preprocess() {
    return processor.process(photo, "photo");
  }
}
