// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.runtime.TensorMap.Swizzle;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Tensor maps: every argument arrives in the driver, and what the hardware cannot do is refused. */
class TensorMapTest {
  private static String bytes(TensorMap map) {
    return HexFormat.of().formatHex(map.segment().toArray(ValueLayout.JAVA_BYTE));
  }

  @Test
  void everyArgumentMakesADifference() {
    assumeTrue(JniKernels.available());
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")))) {
      assumeTrue(device.emulated() || device.computeCapability() >= 90);
      try (DeviceBuffer a = device.allocate("a", DType.BF16, 64, 128); DeviceBuffer b = device.allocate("b", DType.BF16, 128, 64);
          DeviceBuffer f = device.allocate("f", DType.F32, 64, 128);
          DeviceBuffer deep = device.allocate("deep", DType.BF16, 2, 3, 4, 5, 8)) {
        Set<String> seen = new HashSet<>();
        for (TensorMap map : new TensorMap[] {
            TensorMap.tiled(a, new int[] {64, 64}, Swizzle.BYTES_128), TensorMap.tiled(a, new int[] {64, 64}, Swizzle.NONE),
            TensorMap.tiled(a, new int[] {32, 64}, Swizzle.NONE), TensorMap.tiled(a, new int[] {64, 32}, Swizzle.NONE),
            TensorMap.tiled(b, new int[] {64, 64}, Swizzle.NONE), TensorMap.tiled(f, new int[] {64, 32}, Swizzle.NONE),
            TensorMap.tiled(a.slice(128, 63, 128), new int[] {64, 64}, Swizzle.NONE),
            TensorMap.tiled(deep, new int[] {1, 1, 2, 4, 8}, Swizzle.NONE)}) {
          assertTrue(seen.add(bytes(map)), "two maps are the same");
          map.close();
          map.close();
          assertThrows(IllegalStateException.class, map::segment);
        }
        TensorMap one = TensorMap.tiled(a, new int[] {64, 64}, Swizzle.BYTES_128);
        MemorySegment segment = one.segment();
        assertEquals(128, segment.byteSize());
        assertEquals(0, segment.address() % 64);
        assertNotEquals(0, segment.get(ValueLayout.JAVA_LONG, 0));
        a.close();
        IllegalStateException e = assertThrows(IllegalStateException.class, one::segment);
        assertTrue(e.getMessage().contains("'a'"), e.getMessage());
        one.close();
      }
    }
  }

  @Test
  void whatTheHardwareCannotDoIsRefusedByName() {
    assumeTrue(JniKernels.available());
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
        DeviceBuffer a = device.allocate("a", DType.BF16, 64, 128); DeviceBuffer odd = device.allocate("odd", DType.BF16, 64, 100);
        DeviceBuffer six = device.allocate("six", DType.BF16, 1, 1, 1, 1, 1, 8)) {
      refused(a, new int[] {64}, Swizzle.NONE, "as many of the box");
      refused(six, new int[] {1, 1, 1, 1, 1, 8}, Swizzle.NONE, "one to five dimensions");
      refused(a, new int[] {0, 64}, Swizzle.NONE, "1 to 256");
      refused(a, new int[] {257, 64}, Swizzle.NONE, "1 to 256");
      refused(a, new int[] {64, 4}, Swizzle.NONE, "rows are multiples of 16 bytes");
      refused(a, new int[] {64, 128}, Swizzle.BYTES_128, "no wider than the swizzle");
      refused(odd, new int[] {64, 64}, Swizzle.NONE, "strides that are multiples of 16");
      CudaException e = assertThrows(CudaException.class, () -> TensorMap.tiled(a.slice(4, 8, 128), new int[] {8, 64}, Swizzle.NONE));
      assertEquals("cuTensorMapEncodeTiled", e.call());
    }
  }

  private static void refused(DeviceBuffer buffer, int[] box, Swizzle swizzle, String why) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> TensorMap.tiled(buffer, box, swizzle));
    assertTrue(e.getMessage().contains(why) && e.getMessage().contains("buffer '"), e.getMessage());
  }
}
