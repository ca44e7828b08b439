// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.ValueLayout;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Tensor maps: every argument arrives in the driver, what the hardware cannot do is refused, and so is a map whose buffer is closed. */
class TensorMapTest {
  private Device device;
  private DeviceBuffer a;

  @BeforeEach
  void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    a = device.allocate("a", DType.BF16, 64, 128);
    assumeTrue(device.copiesInBulk(), "no bulk copies on this device, or in this build");
  }

  @AfterEach
  void close() {
    a.close();
    device.close();
  }

  private static String bytes(TensorMap map) {
    return HexFormat.of().formatHex(map.bytes().toArray(ValueLayout.JAVA_BYTE));
  }

  @Test
  void everyArgumentMakesADifference() {
    try (DeviceBuffer f16 = device.allocate("f16", DType.F16, 64, 128)) {
      Set<String> seen = new HashSet<>();
      for (TensorMap map : new TensorMap[] {TensorMap.of(a, new long[] {64, 128}, new int[] {64, 64}),
          TensorMap.of(a, new long[] {64, 128}, new int[] {32, 64}), TensorMap.of(a, new long[] {63, 128}, new int[] {64, 64}),
          TensorMap.of(a, new long[] {64, 120}, new int[] {64, 64}), TensorMap.of(a, new long[] {2, 32, 128}, new int[] {2, 32, 64}),
          TensorMap.of(a.slice(128, 63, 128), new long[] {63, 128}, new int[] {64, 64}),
          TensorMap.of(f16, new long[] {64, 128}, new int[] {64, 64})}) {
        assertEquals(128, map.bytes().byteSize());
        assertEquals(0, map.bytes().address() % 64);
        assertNotEquals(0, map.bytes().get(ValueLayout.JAVA_LONG, 0));
        assertTrue(seen.add(bytes(map)), "two maps are the same");
      }
    }
  }

  @Test
  void whatTheHardwareCannotDoIsRefusedByName() {
    refused(a, new long[] {64, 128}, new int[] {64}, "as many of the box");
    refused(a, new long[] {8192}, new int[] {64}, "two to five dimensions");
    refused(a, new long[] {64, 128}, new int[] {257, 64}, "1 to 256");
    refused(a, new long[] {64, 128}, new int[] {0, 64}, "1 to 256");
    refused(a, new long[] {0, 128}, new int[] {64, 64}, "no empty dimension");
    refused(a, new long[] {64, 100}, new int[] {64, 64}, "multiples of 8");
    refused(a, new long[] {64, 128}, new int[] {64, 32}, "64 in the box");
    refused(a, new long[] {65, 128}, new int[] {64, 64}, "inside the buffer");
    refused(a, new long[] {1L << 40, 1L << 40}, new int[] {64, 64}, "inside the buffer");
    try (DeviceBuffer floats = device.allocate("floats", DType.F32, 64, 64)) {
      refused(floats, new long[] {64, 64}, new int[] {64, 64}, "16 bits");
    }
    CudaException e = assertThrows(CudaException.class,
        () -> TensorMap.of(a.slice(4, 8, 128), new long[] {8, 128}, new int[] {8, 64})); // not at a multiple of 16 bytes
    assertEquals("cuTensorMapEncodeTiled", e.call());
  }

  private static void refused(DeviceBuffer buffer, long[] shape, int[] box, String why) {
    String message = assertThrows(IllegalArgumentException.class, () -> TensorMap.of(buffer, shape, box)).getMessage();
    assertTrue(message.contains(why) && message.contains("buffer '"), message);
  }

  @Test
  void launchesRefuseASecondMapAndOneOfAClosedBuffer() {
    TensorMap map = TensorMap.of(a, new long[] {64, 128}, new int[] {64, 64});
    try (Stream stream = device.newStream()) {
      KernelFunction kernel = device.kernel("skinny_gemm_ring", "skinny_gemm_m8_bf16_ring");
      assertThrows(IllegalArgumentException.class, () -> stream.launch(kernel, 1, 1, 1, 288, 0).map(map).map(map));
      a.close();
      String message = assertThrows(IllegalStateException.class, () -> stream.launch(kernel, 1, 1, 1, 288, 0).map(map)).getMessage();
      assertTrue(message.contains("'a'"), message);
    }
  }
}
