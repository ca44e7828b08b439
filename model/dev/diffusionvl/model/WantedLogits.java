// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Predictions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Logits of single tokens that sequences want to know of a pass, and what makes probabilities of them, as the host knows them. */
final class WantedLogits {
  private final DType dtype;
  private final Predictions predictions;
  private final PinnedBuffer logits;
  private final PinnedBuffer rowMax;
  private final PinnedBuffer rowSum;
  private final Map<Integer, List<Integer>> rows = new HashMap<>(); // by a sequence's first row: the row of each of its edges
  private final Map<Integer, Integer> places = new HashMap<>(); // of a sequence's first edge
  private int count;

  /** @param owner of the host's memory */
  WantedLogits(DeviceScope owner, DType dtype, Predictions predictions, int slots) {
    this.dtype = dtype;
    this.predictions = predictions;
    logits = owner.allocatePinned("wanted logits", (long) slots * ChoiceTree.MAX_EDGES * dtype.bytes());
    rowMax = owner.allocatePinned("logit maximum", Math.max(4, predictions.rowMax().bytes()));
    rowSum = owner.allocatePinned("softmax denominator", Math.max(4, predictions.rowSumExp().bytes()));
  }

  /** A pass begins. */
  void clear() {
    rows.clear();
    places.clear();
    count = 0;
  }

  /**
   * Queues the copy of a sequence's wanted logits.
   *
   * @param all [rows from {@code group} on, vocab]
   * @param group the first row of the logits among all scored rows
   * @param first the sequence's first row among all scored rows
   */
  void download(Stream stream, DeviceBuffer all, int vocab, int group, int first, Sequence sequence) {
    List<Integer> rowOf = new ArrayList<>();
    places.put(first, count);
    for (ChoiceTree.Edge edge : sequence.edges()) {
      int row = first + edge.variant() * sequence.extent().blockRows() + edge.row();
      rowOf.add(row);
      stream.downloadAsync(all.slice((long) (row - group) * vocab + edge.token(), 1), logits, (long) count++ * dtype.bytes());
    }
    rows.put(first, rowOf);
  }

  /** Queues the copies of what all rows have in common; the host has everything once the stream is synchronised. */
  void download(Stream stream) {
    stream.downloadAsync(predictions.rowMax(), rowMax, 0);
    stream.downloadAsync(predictions.rowSumExp(), rowSum, 0);
  }

  double logProbability(int first, int edge) {
    int row = rows.get(first).get(edge);
    int at = places.get(first) + edge;
    float logit = dtype == DType.F32 ? logits.segment().getAtIndex(JAVA_FLOAT, at)
        : dtype.fromHalf(logits.segment().getAtIndex(JAVA_SHORT, at));
    return (double) logit - rowMax.segment().getAtIndex(JAVA_FLOAT, row) - Math.log(rowSum.segment().getAtIndex(JAVA_FLOAT, row));
  }
}
