// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static dev.diffusionvl.runtime.op.Segments.Own.CAUSAL;
import static dev.diffusionvl.runtime.op.Segments.Own.NONE;
import static dev.diffusionvl.runtime.op.Segments.Own.SELF;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.diffusionvl.runtime.op.AttentionPass.Form;
import dev.diffusionvl.runtime.op.AttentionPass.Part;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Graph;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.AttentionWorkspace;
import dev.diffusionvl.runtime.op.Segments;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What must not change a bit of a row: the rest of the pass, where the keys lie, by which way they are visible, the run. */
class AttentionInvarianceTest extends OpTest {
  private static float[] rows(float[] all, AttentionPass pass, int from, int to) {
    return Arrays.copyOfRange(all, from * pass.rowWidth(), to * pass.rowWidth());
  }

  private static void copySlot(AttentionPass pass, int kvHeads, int slots, int dim, int from, int to) {
    for (int h = 0; h < kvHeads; h++) {
      for (float[] cache : new float[][] {pass.k, pass.v}) {
        System.arraycopy(cache, (h * slots + from) * dim, cache, (h * slots + to) * dim, dim);
      }
    }
  }

  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void resultsDoNotDependOnTheBatch(Form form) {
    int slots = 320;
    AttentionPass pass = new AttentionPass(this, form, 4, 2, form.dim(80), slots, 15);
    Part[] parts = {new Part(5, 140, 0, 140, SELF), new Part(5, 310, 150, 300, SELF), new Part(5, 145, 0, 0, CAUSAL)};
    float[] together = pass.run(form, parts);
    for (int i = 0; i < 3; i++) {
      Part p = parts[i];
      float[] queries = rows(pass.q, pass, 5 * i, 5 * i + 5);
      float[] alone = pass.runFrom(form, queries, new Part(5, p.slot(), p.contextBegin(), p.contextEnd(), p.own()));
      assertArrayEquals(rows(together, pass, 5 * i, 5 * i + 5), alone, form + ": segment " + i + ", seed " + seed);
    }
  }

  /** A block's rows are the same with the finished block in the cache, and with it as a segment of the same pass (fused store). */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void storedAndVisibleSlotsAreTheSameKeys(Form form) {
    for (int context : new int[] {0, 56, 100, 249}) {
      int slots = context + 20;
      AttentionPass pass = new AttentionPass(this, form, 6, 2, form.dim(80), slots, 16);
      float[] fused = pass.run(form, new Part(8, context, 0, context, SELF), new Part(8, context + 8, 0, context + 8, SELF));
      float[] first = pass.runFrom(form, rows(pass.q, pass, 0, 8), new Part(8, context, 0, context, SELF));
      float[] second = pass.runFrom(form, rows(pass.q, pass, 8, 16), new Part(8, context + 8, 0, context + 8, SELF));
      float[] stored = pass.runFrom(form, rows(pass.q, pass, 8, 16), new Part(8, context + 8, 0, context + 16, NONE));
      assertArrayEquals(first, rows(fused, pass, 0, 8), form + ": first block, context " + context + ", seed " + seed);
      assertArrayEquals(second, rows(fused, pass, 8, 16), form + ": second block, context " + context + ", seed " + seed);
      assertArrayEquals(stored, second, form + ": all stored, context " + context + ", seed " + seed);
    }
  }

  /** Eight variants of a block over one context, each as if it were alone (speculation); of many heads, two tiles of rows share a block. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void variantsAreAsIfAlone(Form form) {
    variants(form, 2, 1, 8, form.dim(80));
    if (form.split()) {
      variants(form, 16, 2, 5, 128); // three tiles
      if (!few()) {
        variants(form, 16, 2, 8, form.dim(80));
      }
    }
  }

  private void variants(Form form, int heads, int kvHeads, int count, int dim) {
    int context = 203;
    int slots = context + 8 * count;
    AttentionPass pass = new AttentionPass(this, form, heads, kvHeads, dim, slots, 8 * count);
    Part[] parts = new Part[8];
    for (int i = 0; i < 8; i++) {
      parts[i] = new Part(count, context + count * i, 0, context, SELF);
    }
    float[] together = pass.run(form, parts);
    for (int i = 0; i < 8; i++) {
      for (int r = 0; r < count; r++) {
        copySlot(pass, kvHeads, slots, dim, context + count * i + r, context + r);
      }
      float[] alone = pass.runFrom(form, rows(pass.q, pass, count * i, count * (i + 1)), new Part(count, context, 0, context, SELF));
      assertArrayEquals(rows(together, pass, count * i, count * (i + 1)), alone, form + ": variant " + i + " of " + heads + " heads, seed "
          + seed);
    }
  }

  /** A row is the same alone, and among as many rows as fill several tiles. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void rowsDoNotDependOnTheirNeighbours(Form form) {
    AttentionPass pass = new AttentionPass(this, form, 7, 1, form.dim(80), 150, 21);
    float[] together = pass.run(form, new Part(21, 0, 0, 150, NONE));
    for (int row : new int[] {0, 1, 8, 9, 20}) {
      float[] alone = pass.runFrom(form, rows(pass.q, pass, row, row + 1), new Part(1, 0, 0, 150, NONE));
      assertArrayEquals(rows(together, pass, row, row + 1), alone,
          form + ": row " + row + ", seed " + seed);
    }
  }

  /** A causal row is the same as one row that sees all keys up to itself, and in whatever pieces its segment is cut. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void causalRowsAreAsIfAlone(Form form) {
    causalRows(form, 7, 1, 50, 30); // tiles of two rows and a part of one, and a tile of keys that begins
    if (form.split()) {
      causalRows(form, 32, 32, 250, few() ? 12 : 20); // 4 ranges: behind 256 keys they have two tiles
      causalRows(form, 64, 4, 1017, few() ? 12 : 20); // a fifth range behind 1024 keys
      causalRows(form, 16, 2, 50, 40); // two tiles of rows share a block
    }
    if (!few()) {
      causalRows(form, 3, 1, 0, 140);
    }
  }

  private void causalRows(Form form, int heads, int kvHeads, int context, int count) {
    AttentionPass pass = new AttentionPass(this, form, heads, kvHeads, form.dim(80), context + count, count);
    float[] together = pass.run(form, new Part(count, context, 0, context, CAUSAL));
    String what = form + ", " + heads + "/" + kvHeads + " heads, context " + context + ", seed " + seed;
    for (int row = 0; row < count; row += few() ? 3 : Math.max(1, count / 15)) {
      float[] query = rows(pass.q, pass, row, row + 1);
      int at = context + row;
      float[] alone = pass.runFrom(form, query, new Part(1, at, 0, at, CAUSAL));
      assertArrayEquals(alone, rows(together, pass, row, row + 1), what + ": row " + row);
      assertArrayEquals(pass.runFrom(form, query, new Part(1, 0, 0, at + 1, NONE)), alone, what + ": row " + row + ", all in the context");
    }
    for (int cut : new int[] {1, count / 2, count - 3}) {
      float[] inTwo = pass.run(form, new Part(cut, context, 0, context, CAUSAL),
          new Part(count - cut, context + cut, 0, context + cut, CAUSAL));
      assertArrayEquals(together, inTwo, what + ": cut behind row " + cut);
    }
  }

  /** Launches one after another leave a workspace as they found it, whatever their shapes; streams have their own. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void workspacesAreUsedAgainAndAgain(Form form) {
    AttentionPass pass = new AttentionPass(this, form, 4, 2, form.dim(80), 400, 16);
    try (Stream other = device.newStream();
        Segments large = pass.segments(new Part(8, 380, 0, 380, SELF), new Part(8, 388, 0, 200, CAUSAL));
        Segments small = pass.segments(new Part(3, 11, 4, 70, NONE));
        AttentionWorkspace mine = form.split() ? pass.workspace(2, 8) : null;
        AttentionWorkspace its = form.split() ? new AttentionWorkspace(other, 4, 2, form.dim(80), 2, 8, 400) : null) {
      float[] largeOut = pass.run(pass.q, large, mine);
      float[] smallOut = pass.run(pass.q, small, mine);
      DeviceBuffer q = buffer(form.dtype, pass.q);
      KeyValues kv = pass.keyValues();
      DeviceBuffer[] outs = {empty(form.dtype, pass.q.length), empty(form.dtype, pass.q.length), empty(form.dtype, 3 * pass.rowWidth())};
      stream.synchronize();
      float scale = (float) (1 / Math.sqrt(form.dim(80)));
      for (int round = 0; round < 3; round++) {
        kernels.attention.launch(stream, q, kv, large, outs[0], scale, mine);
        kernels.attention.launch(other, q, kv, large, outs[1], scale, its);
        kernels.attention.launch(stream, q, kv, small, outs[2], scale, mine);
      }
      other.synchronize();
      assertArrayEquals(largeOut, outs[0].getFloats(stream), form.name());
      assertArrayEquals(largeOut, outs[1].getFloats(stream), form.name());
      assertArrayEquals(smallOut, outs[2].getFloats(stream), form.name());
    }
  }

  /** A captured launch follows the segments in device memory: other lengths, other numbers of ranges, the same grid. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void aGraphSeesSegmentsOfItsTime(Form form) {
    AttentionPass pass = new AttentionPass(this, form, 4, 2, form.dim(80), 500, 8);
    DeviceBuffer q = buffer(form.dtype, pass.q);
    KeyValues kv = pass.keyValues();
    DeviceBuffer out = empty(form.dtype, pass.q.length);
    try (Segments segments = pass.segments(new Part(8, 0, 0, 0, SELF)); AttentionWorkspace workspace = pass.workspace(1, 8)) {
      AttentionWorkspace used = form.split() ? workspace : null;
      float scale = (float) (1 / Math.sqrt(form.dim(80)));
      try (Graph graph = Graph.capture(stream,
          () -> kernels.attention.launch(stream, q, kv, segments, out, scale, used))) {
        for (int context : new int[] {0, 3, 56, 57, 300, 492, 120}) {
          segments.clear();
          segments.add(0, 8, 0, context, 0, context, SELF);
          segments.upload(stream);
          graph.launch(stream);
          float[] replayed = out.getFloats(stream);
          assertArrayEquals(pass.run(form, new Part(8, context, 0, context, SELF)), replayed, form + ": context " + context);
        }
      }
    }
  }

  /** A running maximum that rises late, and one that falls: both ends of the online softmax. */
  @ParameterizedTest
  @MethodSource(AttentionPass.FORMS)
  void theLargestScoreMayStandInAnyTile(Form form) {
    int slots = 390;
    AttentionPass pass = new AttentionPass(this, form, 1, 1, form.dim(80), slots, 1);
    for (int at : new int[] {0, 63, 64, 127, 128, 255, 256, 389}) {
      Arrays.fill(pass.q, 0f);
      Arrays.fill(pass.k, 0f);
      pass.q[0] = 16;
      for (int slot = 0; slot < slots; slot++) {
        pass.k[slot * form.dim(80)] = slot == at ? 60 : -40 + slot % 5;
      }
      // the others weigh e^-170 or less: nothing in f32
      float[] actual = pass.run(form, new Part(1, 0, 0, slots, NONE));
      for (int d = 0; d < form.dim(80); d++) {
        assertEquals(pass.v[at * form.dim(80) + d], actual[d], 1e-6f, form + ": key " + at);
      }
    }
  }
}
