// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;

/** One row of logits on the host, which changes some of them and gives them back. */
final class HostLogits {
  private final DType dtype;
  private final PinnedBuffer row;

  /** @param owner of the host's memory @param vocab logits of a row */
  HostLogits(DeviceScope owner, DType dtype, int vocab) {
    this.dtype = dtype;
    row = owner.allocatePinned("a row of logits", (long) vocab * dtype.bytes());
  }

  /** Fetches a row, lets its sequence change it and queues the way back. Waits for the stream. */
  void weigh(Stream stream, DeviceBuffer logits, Sequence sequence) {
    stream.downloadAsync(logits, row, 0);
    stream.synchronize();
    sequence.weigh(this);
    stream.uploadAsync(row, 0, logits);
  }

  float get(int id) {
    return dtype == DType.F32 ? row.segment().getAtIndex(JAVA_FLOAT, id)
        : dtype.fromHalf(row.segment().getAtIndex(JAVA_SHORT, id));
  }

  /** Rounds to the row's type, ties to even. */
  void set(int id, float logit) {
    if (dtype == DType.F32) {
      row.segment().setAtIndex(JAVA_FLOAT, id, logit);
    } else {
      row.segment().setAtIndex(JAVA_SHORT, id, dtype.toHalf(logit));
    }
  }
}
