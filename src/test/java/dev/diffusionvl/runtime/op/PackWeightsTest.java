// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** pack_weights, byte by byte against the places that {@link PackedLayout} gives. */
class PackWeightsTest extends OpTest {
  @ParameterizedTest
  @EnumSource(value = WeightForm.class, names = {"FP8", "INT4"})
  void everyCodeComesToItsPlace(WeightForm form) {
    for (int columns : new int[] {8, 56, 64, 72, 136, 264}) {
      PackedLayout layout = new PackedLayout(form, PackedLayout.TILE, columns, false, PackedLayout.ONE_GROUP);
      PackedMatrix matrix = PackedMatrix.random(random, layout, 1, false);
      byte[] codes = new byte[matrix.codes().length];
      for (int i = 0; i < codes.length; i++) {
        codes[i] = (byte) matrix.codes()[i];
      }
      int size = Math.toIntExact(layout.codeBytes());
      DeviceBuffer units = empty(DType.U8, size + 16);
      kernels.packWeights.launch(stream, form, bytes(codes), columns, units);
      byte[] expected = Arrays.copyOf(bytes(matrix.on(this).codes()), size + 16);
      Arrays.fill(expected, size, size + 16, (byte) 0xff); // nothing else is written
      assertArrayEquals(expected, bytes(units), form + ", " + columns + " columns, seed " + seed);
    }
  }

  private byte[] bytes(DeviceBuffer buffer) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(buffer.bytes());
      stream.download(buffer, host);
      return host.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  @Test
  void refusals() {
    DeviceBuffer codes = empty(DType.U8, 128 * 64);
    DeviceBuffer units = empty(DType.U8, 8192);
    assertThrows(IllegalArgumentException.class, () -> kernels.packWeights.launch(stream, WeightForm.DENSE, codes, 64, units));
    assertThrows(IllegalArgumentException.class, () -> kernels.packWeights.launch(stream, WeightForm.FP8, codes, 60, units));
    assertThrows(IllegalArgumentException.class, () -> kernels.packWeights.launch(stream, WeightForm.FP8, codes, 72, units));
    assertThrows(IllegalArgumentException.class, () -> kernels.packWeights.launch(stream, WeightForm.FP8, codes, 0, units));
    DeviceBuffer few = units.slice(0, 4000);
    assertThrows(IllegalArgumentException.class, () -> kernels.packWeights.launch(stream, WeightForm.INT4, codes, 64, few));
    DeviceBuffer odd = units.slice(8, 8000);
    assertThrows(IllegalArgumentException.class, () -> kernels.packWeights.launch(stream, WeightForm.INT4, codes, 64, odd));
  }
}
