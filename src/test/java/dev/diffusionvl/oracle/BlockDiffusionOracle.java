// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

import dev.diffusionvl.loader.TextConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The language model and its decoding in float64 (docs/model.md, "Language model" and "Block-diffusion generation"): no cache, every step
 * computes the whole sequence under the block-causal mask.
 */
public final class BlockDiffusionOracle {
  private final TextConfig config;
  private final TensorMap weights;
  private final int maskId;
  private final int eosId;

  public BlockDiffusionOracle(TextConfig config, TensorMap weights, int maskId, int eosId) {
    this.config = config;
    this.weights = weights;
    this.maskId = maskId;
    this.eosId = eosId;
  }

  /** A row of the embedding table. */
  public double[] embedding(int id) {
    int h = config.hiddenSize();
    return Arrays.copyOfRange(weights.get("embed_tokens.weight"), id * h, (id + 1) * h);
  }

  /** Logits of the last {@code rows} of the embeddings. */
  public double[][] logits(List<double[]> embeddings, int blockSize, int rows) {
    int h = config.hiddenSize();
    int length = embeddings.size();
    double[] x = new double[length * h];
    for (int i = 0; i < length; i++) {
      System.arraycopy(embeddings.get(i), 0, x, i * h, h);
    }
    for (int i = 0; i < config.layers(); i++) {
      String name = "layers." + i + ".";
      double[] n = rmsNorm(name + "input_layernorm.weight", x);
      double[] q = rotate(weights.linear(name + "self_attn.q_proj", n, h), config.heads());
      double[] k = rotate(weights.linear(name + "self_attn.k_proj", n, h), config.kvHeads());
      double[] v = weights.linear(name + "self_attn.v_proj", n, h);
      double[] attended = TensorMap.attention(q, k, v, config.heads(), config.kvHeads(), config.headDim(),
          (query, key) -> key / blockSize <= query / blockSize);
      TensorMap.add(x, weights.linear(name + "self_attn.o_proj", attended, config.heads() * config.headDim()));
      n = rmsNorm(name + "post_attention_layernorm.weight", x);
      double[] gate = weights.linear(name + "mlp.gate_proj", n, h);
      double[] up = weights.linear(name + "mlp.up_proj", n, h);
      for (int j = 0; j < gate.length; j++) {
        up[j] *= gate[j] / (1 + Math.exp(-gate[j]));
      }
      TensorMap.add(x, weights.linear(name + "mlp.down_proj", up, config.intermediateSize()));
    }
    double[] last = rmsNorm("norm.weight", Arrays.copyOfRange(x, (length - rows) * h, length * h));
    double[] flat = weights.linear("lm_head", last, h);
    double[][] logits = new double[rows][];
    for (int r = 0; r < rows; r++) {
      logits[r] = Arrays.copyOfRange(flat, r * config.vocabSize(), (r + 1) * config.vocabSize());
    }
    return logits;
  }

  private double[] rmsNorm(String name, double[] x) {
    double[] weight = weights.get(name);
    double[] y = new double[x.length];
    for (int r = 0; r < x.length; r += weight.length) {
      double squares = 0;
      for (int i = 0; i < weight.length; i++) {
        squares += x[r + i] * x[r + i] / weight.length;
      }
      for (int i = 0; i < weight.length; i++) {
        y[r + i] = x[r + i] / Math.sqrt(squares + config.rmsNormEps()) * weight[i];
      }
    }
    return y;
  }

  /** RoPE with positions 0, 1, 2, …; pairs (i, i + D/2). */
  private double[] rotate(double[] x, int heads) {
    int dim = config.headDim();
    double[] y = new double[x.length];
    for (int at = 0; at < x.length; at += dim) {
      int position = at / (heads * dim);
      for (int j = 0; j < dim / 2; j++) {
        double angle = position * Math.pow(config.ropeTheta(), -2.0 * j / dim);
        y[at + j] = x[at + j] * Math.cos(angle) - x[at + j + dim / 2] * Math.sin(angle);
        y[at + j + dim / 2] = x[at + j + dim / 2] * Math.cos(angle) + x[at + j] * Math.sin(angle);
      }
    }
    return y;
  }

  /** What a step commits: position, token and confidence. */
  public record Commit(int position, int token, double confidence) {}

  /** Result of a run: the ids of the answer and, for each step, what it committed in order of position. */
  public record Run(int[] ids, List<List<Commit>> steps) {}

  /** Chooses a token for a row: number of the denoise forward, row in the block, its logits. */
  public interface Sampler {
    SamplingOracle.Choice choose(int forward, int row, float[] logits);
  }

  /** The most likely token but the mask. */
  public Sampler greedy() {
    return (forward, row, logits) -> SamplingOracle.mostLikely(logits, maskId);
  }

  /** Static remasking; {@code quotaOf} is what the schedule spreads over the steps of a block. */
  public Run generate(List<double[]> prompt, int genLength, int steps, int blockSize, int quotaOf, Sampler sampler) {
    int length = prompt.size();
    boolean full = blockSize >= length + genLength;
    int total = full ? length + genLength : (length + genLength + blockSize - 1) / blockSize * blockSize;
    List<double[]> embeddings = new ArrayList<>(prompt);
    int[] ids = new int[total];
    Arrays.fill(ids, maskId);
    for (int i = length; i < total; i++) {
      embeddings.add(embedding(maskId));
    }
    List<List<Commit>> log = new ArrayList<>();
    int forward = 0;
    for (int begin = full ? 0 : length / blockSize * blockSize; begin < total; begin += blockSize) {
      int end = Math.min(begin + blockSize, total);
      for (int step = 0; step <= steps && open(ids, begin, end, length) > 0; step++) {
        int quota = quotaOf / steps + (step < quotaOf % steps ? 1 : 0);
        double[][] logits = logits(embeddings.subList(0, end), blockSize, end - begin);
        List<Commit> candidates = new ArrayList<>();
        for (int i = begin; i < end; i++) {
          SamplingOracle.Choice choice = sampler.choose(forward, i - begin, floats(logits[i - begin]));
          if (i >= length && ids[i] == maskId) {
            candidates.add(new Commit(i, choice.token(), choice.probability()));
          }
        }
        forward++;
        candidates.sort((a, b) -> a.confidence() == b.confidence() ? a.position() - b.position()
            : Double.compare(b.confidence(), a.confidence()));
        List<Commit> taken = new ArrayList<>(candidates.subList(0, Math.min(quota, candidates.size())));
        taken.sort((a, b) -> a.position() - b.position());
        for (Commit commit : taken) {
          ids[commit.position()] = commit.token();
          embeddings.set(commit.position(), embedding(commit.token()));
        }
        if (!taken.isEmpty()) {
          log.add(taken);
        }
      }
      if (Arrays.stream(ids, Math.max(begin, length), end).anyMatch(id -> id == eosId)) {
        break;
      }
    }
    return new Run(Arrays.copyOfRange(ids, length, length + genLength), log);
  }

  private int open(int[] ids, int begin, int end, int length) {
    return (int) Arrays.stream(ids, Math.max(begin, length), Math.max(end, length)).filter(id -> id == maskId).count();
  }

  private static float[] floats(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }
}
