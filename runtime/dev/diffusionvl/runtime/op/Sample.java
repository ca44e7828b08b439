// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/**
 * Draws tokens with temperature, top-k and top-p by inverse CDF in vocabulary order (docs/model.md, "Sampling"). One launch draws for the
 * blocks of many sequences, each by its own rule.
 */
public final class Sample extends Op {
  private static final int THREADS = 512;

  private final Instances maximum;

  /**
   * What is drawn from, and with which numbers.
   *
   * @param temperature 0: the sequence is never drawn for
   * @param topK 0: off
   * @param topP 1: off
   * @param excluded an id that counts as −∞, or −1
   * @param seed of the counter generator, whose numbers are keyed by (seed, passes so far, row of the block)
   * @param given the numbers are given instead
   */
  public record Rule(float temperature, int topK, float topP, int excluded, long seed, boolean given) {
    public Rule {
      refuseUnless(temperature >= 0 && temperature < Float.POSITIVE_INFINITY, "temperature", temperature);
      refuseUnless(topK >= 0, "top-k", topK);
      refuseUnless(topP > 0, "top-p", topP);
    }

    private static void refuseUnless(boolean ok, String name, Object value) {
      if (!ok) {
        throw new IllegalArgumentException("sample: " + name + " is " + value);
      }
    }
  }

  public Sample(Device device) {
    super(device, "sample");
    maximum = new Instances(device, "sample", "sample_maximum", FLOATS);
  }

  /** The same where all tokens are legal. */
  public void launch(Stream stream, SampleWorkspace workspace, DeviceBuffer logits, int vocab, Predictions to, int first, int predicted,
      Blocks blocks, DeviceBuffer tasks, int count, DeviceBuffer uniforms, boolean originalConfidence) {
    launch(stream, workspace, logits, vocab, to, first, predicted, blocks, tasks, count, uniforms, originalConfidence, null);
  }

  /**
   * Two launches: the largest logits, then all else.
   *
   * @param workspace for at least {@code count} times a block's rows
   * @param logits BF16, F16 or F32 [predicted − first, vocab]: of the predictions from {@code first} on
   * @param to token and probability [predicted]; those of the tasks are written
   * @param blocks their rules' temperatures are above 0 where a task draws
   * @param tasks I32 [count, {@value Blocks#TASK_FIELDS}]: the blocks to draw, one variant each; rows of their predictions must lie in
   *     [first, predicted)
   * @param uniforms F64 [slots, rows] in [0, 1): the numbers of sequences whose numbers are given; null when there is none
   * @param originalConfidence probability under the unmodified softmax (SigLIP family) instead of the filtered one
   * @param legal sets of tokens of the predictions from {@code first} on, as of {@link Confidence}; nothing else is drawn
   */
  public void launch(Stream stream, SampleWorkspace workspace, DeviceBuffer logits, int vocab, Predictions to, int first, int predicted,
      Blocks blocks, DeviceBuffer tasks, int count, DeviceBuffer uniforms, boolean originalConfidence, DeviceBuffer legal) {
    require(first >= 0 && predicted >= first, "first", first);
    require(vocab > 0, "vocab", vocab);
    require(count >= 0, "count", count);
    checkFloat("logits", logits);
    check("logits", logits, logits.dtype(), times((long) predicted - first, vocab));
    checkLegal(legal, (long) predicted - first, vocab);
    checkOptional("uniforms", uniforms, DType.F64, times(blocks.slots(), blocks.rows()));
    check("token", to.token(), DType.I32, predicted);
    check("probability", to.probability(), DType.F32, predicted);
    check("table", blocks.table(), DType.I32, times(blocks.slots(), blocks.stride()));
    check("tasks", tasks, DType.I32, (long) count * Blocks.TASK_FIELDS);
    long rows = times(blocks.rows(), count);
    require(rows <= workspace.rows(), "rows, more than those of the workspace,", rows);
    int slices = workspace.slices(rows, vocab);
    int grid = Math.multiplyExact(blocks.rows(), slices);
    stream.launch(maximum.of(logits.dtype()), grid, count, 1, THREADS, 0)
        .ptr(logits).ptr(blocks.table()).ptr(tasks).ptr(workspace.parts()).i32(blocks.stride()).i32(vocab).i32(first).i32(slices)
        .ptrOrNull(legal).go();
    stream.launch(instance(logits.dtype()), grid, count, 1, THREADS, 0)
        .ptr(logits).ptr(blocks.table()).ptr(tasks).ptrOrNull(uniforms).ptr(to.token()).ptr(to.probability()).ptr(workspace.parts())
        .ptr(workspace.arrived()).i32(blocks.stride()).i32(vocab).i32(first).i32(slices).i32(originalConfidence ? 1 : 0)
        .ptrOrNull(legal).go();
  }
}
