// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Confidence;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** The tokens that may stand in the rows that a pass scores, a bit each, on the device. */
final class LegalTokens {
  /** Writes the set of tokens of a row: {@link Confidence#legalWords} words from {@code at} on. */
  interface Row {
    void write(int[] words, int at);
  }

  /** Takes the rows of one sequence. */
  interface Writer {
    /** @param row of the block */
    void row(int row, Row set);
  }

  private final int words;
  private final DeviceBuffer buffer;
  private final PinnedBuffer host;
  private final int[] scratch;

  /**
   * @param owner of the memory
   * @param rows that a pass scores at most
   */
  LegalTokens(DeviceScope owner, Stream stream, long rows, int vocab) {
    words = Confidence.legalWords(vocab);
    buffer = owner.allocate("legal tokens", DType.I32, Math.max(1, rows), words);
    host = owner.allocatePinned("legal tokens", buffer.bytes());
    stream.fill(buffer, 0); // rows that fill up a pass have none
    scratch = new int[words];
  }

  /** Queues the copy of what may stand in the rows of these parts. The copies of the pass before have run. */
  void upload(Stream stream, PassPlan plan, List<Part> parts) {
    for (Part part : parts) {
      if (part.variants() > 0 && part.sequence().restricted()) {
        int first = plan.firstScored(part.sequence());
        part.sequence().legal((row, set) -> {
          set.write(scratch, 0);
          MemorySegment.copy(scratch, 0, host.segment(), JAVA_INT, bytes(first + row), words);
          stream.uploadAsync(host, bytes(first + row), rows(first + row, 1));
        });
      }
    }
  }

  private long bytes(int row) {
    return 4L * row * words;
  }

  /** I32 [count, words]. */
  DeviceBuffer rows(int first, int count) {
    return buffer.slice((long) first * words, (long) count * words);
  }
}
