// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.EncodedMatrix;
import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.train.LayerInputs.Place;
import java.util.List;

/**
 * Activation-aware scaling (AWQ, arXiv:2306.00978): inputs that are large when the model runs are multiplied by a factor in the weights,
 * so that they lose less when these are rounded, and divided by it where they come from. The factor of input j is mean |x_j|^e; the
 * exponent e is the one of eleven with which the layer's outputs differ least from those of the stored weights.
 *
 * <p>A norm's weights n are divided first and rounded as they are stored, to n'; the factor is n / n' then, so that the rounding costs
 * nothing. Factors that go into a layer before are powers of two, which its weights and biases bear without any rounding.
 */
final class ScaleSearch {
  private static final int GRID = 10;
  private static final float LEAST = 1e-4f;

  private final ModelFiles files;
  private final Checkpoint checkpoint;
  private final int group;
  private final LayerSamples samples;
  private final ErrorMeter meter;

  ScaleSearch(ModelFiles files, int group, LayerSamples samples, ErrorMeter meter) {
    this.files = files;
    this.checkpoint = files.checkpoint();
    this.group = group;
    this.samples = samples;
    this.meter = meter;
  }

  /** @param values of the norm; null where there is none */
  private record Candidate(float[] columns, float[] values) {}

  /** Finds the factors of the sites and puts them into {@code scaling}. @param sites whose matrices are all encoded */
  void search(List<Site> sites, Scaling scaling, Progress progress) {
    for (int i = 0; i < sites.size(); i++) {
      progress.step("scaling inputs", i, sites.size());
      if (samples.count(sites.get(i).layer(), sites.get(i).place()) > 0) {
        search(sites.get(i), scaling);
      }
    }
    progress.step("scaling inputs", sites.size(), sites.size());
  }

  private void search(Site site, Scaling scaling) {
    List<ScaledRows> matrices = site.layers().stream().map(layer -> rows(layer, null)).toList();
    int in = matrices.getFirst().in();
    float[] values = samples.values(site.layer(), site.place());
    float[] magnitudes = LayerSamples.meanMagnitude(values, in);
    float[] squares = LayerSamples.meanSquare(values, in);
    if (site.place() == Place.OUTPUT) {
      shareHeads(magnitudes, files.config().text());
    }
    try (DeviceBuffer x = meter.upload(values, in)) {
      double[] whole = matrices.stream().mapToDouble(m -> meter.productSquares(m.out(), in, m, x)).toArray();
      double least = Double.POSITIVE_INFINITY;
      Candidate best = null;
      double exponent = 0;
      for (int e = 0; e <= GRID; e++) {
        Candidate candidate = candidate(site, magnitudes, (double) e / GRID);
        double error = 0;
        for (int m = 0; m < matrices.size(); m++) {
          error += error(site.layers().get(m), candidate, squares, x) / Math.max(whole[m], Double.MIN_NORMAL);
        }
        if (error < least) {
          least = error;
          best = candidate;
          exponent = (double) e / GRID;
        }
      }
      if (best != null && exponent > 0) {
        put(site, best, exponent, scaling);
      }
    }
  }

  private ScaledRows rows(String layer, float[] columns) {
    return new ScaledRows(files.directories().getFirst(), checkpoint.tensor(layer + ".weight"), columns, null);
  }

  private double error(String layer, Candidate candidate, float[] squares, DeviceBuffer x) {
    ScaledRows scaled = rows(layer, candidate.columns());
    EncodedMatrix encoded = EncodedMatrix.int4(layer, scaled.out(), scaled.in(), group, scaled, importance(squares, candidate.columns()));
    return meter.productSquares(scaled.out(), scaled.in(), scaled.loss(encoded), x);
  }

  /** Mean squares of the inputs behind the division by the factors. */
  static float[] importance(float[] squares, float[] columns) {
    float[] importance = squares.clone();
    for (int i = 0; columns != null && i < importance.length; i++) {
      importance[i] /= columns[i] * columns[i];
    }
    return importance;
  }

  /** Several query heads attend to the values of one head: an input of the output projection has the factor of the value that it is of. */
  private static void shareHeads(float[] magnitudes, TextConfig config) {
    int each = config.heads() / config.kvHeads();
    for (int i = 0; i < config.kvHeads() * config.headDim(); i++) {
      int first = i / config.headDim() * each * config.headDim() + i % config.headDim();
      float sum = 0;
      for (int head = 0; head < each; head++) {
        sum += magnitudes[first + head * config.headDim()];
      }
      for (int head = 0; head < each; head++) {
        magnitudes[first + head * config.headDim()] = sum / each;
      }
    }
  }

  private Candidate candidate(Site site, float[] magnitudes, double exponent) {
    float[] factors = new float[magnitudes.length];
    float largest = 0;
    float smallest = Float.POSITIVE_INFINITY;
    for (int i = 0; i < factors.length; i++) {
      factors[i] = Math.max((float) Math.pow(magnitudes[i], exponent), LEAST);
      largest = Math.max(largest, factors[i]);
      smallest = Math.min(smallest, factors[i]);
    }
    float middle = (float) Math.sqrt((double) largest * smallest);
    for (int i = 0; i < factors.length; i++) {
      factors[i] /= middle;
      factors[i] = site.norm() != null ? factors[i] : (float) Math.scalb(1.0, (int) Math.rint(Math.log(factors[i]) / Math.log(2)));
    }
    return site.norm() == null ? new Candidate(factors, null) : intoNorm(checkpoint.tensor(site.norm()), factors);
  }

  private static Candidate intoNorm(TensorView norm, float[] factors) {
    float[] values = new float[factors.length];
    float[] columns = new float[factors.length];
    for (int i = 0; i < factors.length; i++) {
      float before = norm.floatAt(i);
      float after = StoredVector.rounded(norm.type(), before / factors[i]);
      boolean possible = after != 0 && Float.isFinite(before / after);
      values[i] = possible ? after : before;
      columns[i] = possible ? before / after : 1;
    }
    return new Candidate(columns, values);
  }

  private void put(Site site, Candidate best, double exponent, Scaling scaling) {
    for (String layer : site.layers()) {
      scaling.columns().put(layer, best.columns());
      scaling.exponents().put(layer, exponent);
    }
    if (site.norm() != null) {
      scaling.vectors().put(site.norm(), best.values());
      return;
    }
    float[] divisors = site.place() == Place.OUTPUT ? ofValues(best.columns(), files.config().text()) : best.columns();
    scaling.divisors().put(site.before(), divisors);
    String bias = site.before() + ".bias";
    if (checkpoint.contains(bias)) {
      TensorView view = checkpoint.tensor(bias);
      float[] divided = new float[divisors.length];
      for (int i = 0; i < divided.length; i++) {
        divided[i] = view.floatAt(i) / divisors[i];
      }
      scaling.vectors().put(bias, divided);
    }
  }

  /** The factors of the values: of each group of query heads those of the first. */
  private static float[] ofValues(float[] columns, TextConfig config) {
    float[] values = new float[config.kvHeads() * config.headDim()];
    int each = config.heads() / config.kvHeads();
    for (int i = 0; i < values.length; i++) {
      values[i] = columns[i / config.headDim() * each * config.headDim() + i % config.headDim()];
    }
    return values;
  }
}
