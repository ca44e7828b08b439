// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.train.PassRows;
import java.util.List;

/**
 * What an optimiser step of the language model over one pass cannot avoid, known before it is run.
 *
 * @param modelFlops of forward and backward; what is computed twice to save memory counts once
 * @param flops all of them
 * @param activationBytes that elementwise kernels read and write
 * @param optimizerBytes of weights, masters, moments and gradients that a step reads and writes
 * @param launches of kernels
 */
record TrainingCost(long modelFlops, long flops, long activationBytes, long optimizerBytes, int launches) {
  static final String FORMULA = "flop/(0.7 gemm) + activations/(0.8 copy) + optimizer/(0.9 copy) + launches*4 us: "
      + "large products near their best, elementwise kernels near copy";

  private static final int LAYER_LAUNCHES = 41; // forward 13, backward 21, AdamW 7

  static TrainingCost of(TextConfig c, PassRows pass, DType dtype, boolean recompute) {
    long size = dtype.bytes();
    long q = (long) c.heads() * c.headDim();
    long kv = 2L * c.kvHeads() * c.headDim();
    long inputs = c.hiddenSize() * (q + kv);
    long rest = q * c.hiddenSize() + 3L * c.hiddenSize() * c.intermediateSize();
    long rows = pass.rows();
    int firstTarget = pass.targets().getFirst().row();
    List<PassRows.Span> learnt = pass.spans().stream().filter(span -> firstTarget < span.row() + span.rows()).toList();
    long learning = learnt.stream().mapToLong(PassRows.Span::rows).sum();
    long pairs = pairs(pass.spans());
    long last = pairs(learnt);
    int layers = c.layers();
    // The last layer takes rows that only serve as context no further than their keys and values.
    long products = 2 * (layers * rows * inputs + ((layers - 1) * rows + learning) * rest);
    long attention = 4 * q * ((layers - 1) * pairs + last);
    long head = 2L * pass.targets().size() * c.vocabSize() * c.hiddenSize();
    long model = 3 * (products + head) + attention + attention * 5 / 2;
    long again = recompute ? products + attention : 0;
    long parameters = layers * (inputs + rest + q + kv + 2L * c.hiddenSize())
        + (c.tieWordEmbeddings() ? 1L : 2L) * c.vocabSize() * c.hiddenSize();
    long perRow = 9L * c.hiddenSize() + 2 * (q + kv) + 3L * c.intermediateSize(); // kept, and about what is written again on the way back
    long activations = size * layers * rows * 3 * perRow;
    boolean masters = dtype != DType.F32;
    long optimizer = parameters * (4 + 4 + 8 + 8 + 4 + 4 + 4 + (masters ? size : 0)); // zeros, norm, moments, masters, gradient, weight
    return new TrainingCost(model, model + again, activations, optimizer, layers * LAYER_LAUNCHES);
  }

  /** Of a query and a key. */
  private static long pairs(List<PassRows.Span> spans) {
    return spans.stream().mapToLong(span -> (long) span.rows() * (span.contextEnd() - span.contextBegin() + span.rows())).sum();
  }

  double floorMillis(Ceilings ceilings) {
    return (flops / ceilings.flopsPerSecond() + optimizerBytes / ceilings.copyBytesPerSecond()) * 1e3;
  }

  double predictedMillis(Ceilings ceilings) {
    double copy = ceilings.copyBytesPerSecond();
    return (flops / (0.7 * ceilings.flopsPerSecond()) + activationBytes / (0.8 * copy) + optimizerBytes / (0.9 * copy)) * 1e3
        + launches * 4e-3;
  }
}
