// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.Arrays;

/** Which rows of a pass came from which row of a table, for the way back; on the device. */
final class ScatterList implements AutoCloseable {
  private final DeviceScope scope;
  private final DeviceBuffer lists; // [targets | begins | sources]
  private final int targets;
  private final int sources;

  /** @param origin per row of the pass the row of the table that it came from; negative: from none */
  ScatterList(Device device, Stream stream, int[] origin) {
    long[] pairs = new long[origin.length]; // (row of the table, row of the pass): sorting puts them in a fixed order
    int count = 0;
    for (int row = 0; row < origin.length; row++) {
      if (origin[row] >= 0) {
        pairs[count++] = (long) origin[row] << 32 | row;
      }
    }
    Arrays.sort(pairs, 0, count);
    int[] target = new int[count];
    int[] begin = new int[count + 1];
    int[] source = new int[count];
    int distinct = 0;
    for (int i = 0; i < count; i++) {
      int id = (int) (pairs[i] >> 32);
      if (i == 0 || id != target[distinct - 1]) {
        target[distinct] = id;
        begin[distinct++] = i;
      }
      source[i] = (int) pairs[i];
    }
    begin[distinct] = count;
    targets = distinct;
    sources = count;
    int[] all = new int[2 * distinct + 1 + count];
    System.arraycopy(target, 0, all, 0, distinct);
    System.arraycopy(begin, 0, all, distinct, distinct + 1);
    System.arraycopy(source, 0, all, 2 * distinct + 1, count);
    try (DeviceScope own = new DeviceScope(device)) {
      lists = own.allocate("rows by origin", DType.I32, all.length);
      lists.set(stream, all);
      scope = own.keep();
    }
  }

  /** table[origin of row] += x[row] for all rows of the pass, F32. */
  void add(Kernels kernels, Stream stream, DeviceBuffer x, DeviceBuffer table, int width) {
    kernels.scatterAddRows.launch(stream, x, lists.slice(0, targets), lists.slice(targets, targets + 1),
        lists.slice(2L * targets + 1, sources), table, targets, width);
  }

  @Override
  public void close() {
    scope.close();
  }
}
