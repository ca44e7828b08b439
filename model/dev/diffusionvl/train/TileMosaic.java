// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.ImageTiles;
import dev.diffusionvl.loader.RowBlend;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.util.stream.IntStream;

/**
 * From a table of the features of all tiles, with the newline vector behind them, to the features of the image, and back (docs/model.md,
 * "Image preprocessing: SigLIP"). Every method waits for the device.
 *
 * @param positions rows of a tile
 * @param hidden H
 */
record TileMosaic(Kernels kernels, Stream stream, int positions, int hidden) {

  /** @param table [tiles · positions + 1, H] @param target gets the features [image rows, H] */
  void assemble(ImageTiles tiles, DeviceBuffer table, DeviceBuffer target) {
    blend(tiles.rows(), table, target, tiles.tiles() * positions + 1);
  }

  /**
   * @param dFeatures F32 [image rows, H]
   * @param dTable F32 [tiles · positions, H], gets the gradient of the tiles' rows
   */
  void backward(ImageTiles tiles, DeviceBuffer dFeatures, DeviceBuffer dTable) {
    blend(tiles.rows().transposed(tiles.tiles() * positions), dFeatures, dTable, tiles.rows().rows());
  }

  private void blend(RowBlend rows, DeviceBuffer table, DeviceBuffer target, int tableRows) {
    Device device = stream.device();
    try (DeviceBuffer index = device.allocate("rows to blend", DType.I32, rows.index().length);
        DeviceBuffer weight = device.allocate("their weights", DType.F32, rows.weight().length)) {
      index.set(stream, rows.index());
      weight.set(stream, rows.weight());
      kernels.blendRows.launch(stream, table, index, weight, target, rows.rows(), hidden, tableRows);
      stream.synchronize();
    }
  }

  /** @param dNewline F32 [H]: the gradient of the newline vector is added to it */
  void addNewline(ImageTiles tiles, DeviceBuffer dFeatures, DeviceBuffer dNewline) {
    int newline = tiles.tiles() * positions;
    int[] index = tiles.rows().index();
    int[] origin = IntStream.range(0, tiles.rows().rows()).map(row -> index[row * RowBlend.TERMS] == newline ? 0 : -1).toArray();
    addRows(origin, dFeatures, dNewline, hidden);
  }

  /** @param dx [tiles · positions, width] of some tiles @param dPositions F32 [positions, width]: the tiles' sum is added to it */
  void addPositions(DeviceBuffer dx, DeviceBuffer dPositions, int rows, int width) {
    addRows(IntStream.range(0, rows).map(row -> row % positions).toArray(), dx, dPositions, width);
  }

  /** table[origin of row] += x[row]. */
  private void addRows(int[] origin, DeviceBuffer x, DeviceBuffer table, int width) {
    try (ScatterList list = new ScatterList(stream.device(), stream, origin)) {
      list.add(kernels, stream, x, table, width);
      stream.synchronize();
    }
  }
}
