// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Order of closing, views of views, odd sizes and wrong uses of the runtime's handles. */
class LifecycleTest {
  private static Device open() {
    return Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  }

  @Test
  void theDeviceMayCloseBeforeItsBuffers() {
    Device device = open();
    Stream stream = device.newStream();
    DeviceBuffer buffer = device.allocate("late", DType.F32, 4);
    Gemm gemm = new Gemm(stream);
    device.close();
    IllegalStateException e = assertThrows(IllegalStateException.class, () -> stream.fill(buffer, 0));
    assertTrue(e.getMessage().contains("closed"), e.getMessage());
    assertThrows(IllegalStateException.class, device::newStream);
    assertThrows(IllegalStateException.class, () -> device.allocate("none", DType.F32, 1));
    gemm.close();
    gemm.close();
    buffer.close();
    stream.close();
  }

  @Test
  void aClosedStreamOrProductIsRefused() {
    try (Device device = open(); DeviceBuffer b = device.allocate("b", DType.F32, 4)) {
      Stream stream = device.newStream();
      Gemm gemm = new Gemm(stream);
      gemm.close();
      assertThrows(IllegalStateException.class, () -> gemm.multiply(b, b, b, 2, 2, 2));
      stream.close();
      assertThrows(IllegalStateException.class, stream::synchronize);
      assertThrows(IllegalStateException.class, () -> b.set(stream, 1f));
      assertThrows(IllegalStateException.class, () -> b.getFloats(stream));
    }
  }

  @Test
  void aDeviceOpenedTwiceOutlivesTheFirstClose() {
    Device first = open();
    try (Device second = open(); Stream stream = second.newStream();
        DeviceBuffer b = second.allocate("b", DType.F32, 2)) {
      first.close();
      b.set(stream, 3f, 4f);
      assertArrayEquals(new float[] {3, 4}, b.getFloats(stream));
    }
  }

  @Test
  void viewsOfViews() {
    try (Device device = open(); Stream stream = device.newStream()) {
      DeviceBuffer owner = device.allocate("owner", DType.I32, 3, 4);
      owner.set(stream, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
      DeviceBuffer row = owner.slice(4, 4);
      DeviceBuffer inner = row.slice(1, 2);
      assertArrayEquals(new int[] {5, 6}, inner.getInts(stream));
      inner.set(stream, -5, -6);
      assertArrayEquals(new int[] {4, -5, -6, 7}, row.getInts(stream));
      assertThrows(IllegalArgumentException.class, () -> row.slice(3, 2), "past the view, though inside its owner");
      inner.close(); // nothing to free
      row.close();
      assertEquals(11, owner.getInts(stream)[11]);
      owner.close();
      assertThrows(IllegalStateException.class, inner::address);
      assertThrows(IllegalStateException.class, () -> row.slice(0, 1));
    }
  }

  @Test
  void emptyBuffersAreBuffers() {
    try (Device device = open(); Stream stream = device.newStream();
        DeviceBuffer none = device.allocate("none", DType.F32, 0, 7)) {
      assertEquals(0, none.bytes());
      none.set(stream, new float[0]);
      stream.fill(none, 1);
      assertEquals(0, none.getFloats(stream).length);
      assertThrows(IllegalArgumentException.class, () -> device.allocate("negative", DType.F32, 2, -1));
      assertThrows(ArithmeticException.class, () -> device.allocate("beyond 64 bits", DType.F64, 1L << 31, 1L << 31));
      assertThrows(OutOfDeviceMemoryException.class, () -> device.allocate("vast", DType.U8, 1L << 60));
    }
  }

  @Test
  void valuesOfAnotherTypeAreRefused() {
    try (Device device = open(); Stream stream = device.newStream();
        DeviceBuffer ints = device.allocate("ints", DType.I32, 2);
        DeviceBuffer floats = device.allocate("floats", DType.BF16, 2); Arena arena = Arena.ofConfined()) {
      assertThrows(IllegalArgumentException.class, () -> ints.set(stream, 1f));
      assertThrows(IllegalArgumentException.class, () -> ints.set(stream, 1.0));
      assertThrows(IllegalArgumentException.class, () -> floats.set(stream, 1));
      assertThrows(IllegalArgumentException.class, () -> ints.getFloats(stream));
      assertThrows(IllegalArgumentException.class, () -> floats.getInts(stream));
      assertThrows(IllegalArgumentException.class, () -> stream.upload(MemorySegment.ofArray(new int[2]), ints));
      assertThrows(IllegalArgumentException.class, () -> stream.download(ints, MemorySegment.ofArray(new int[2])));
      assertThrows(IllegalArgumentException.class, () -> stream.upload(arena.allocate(12), ints));
      assertThrows(IllegalArgumentException.class, () -> stream.download(ints, arena.allocate(12)));
    }
  }

  /** Rows in the middle of a buffer, and m = 0. */
  @Test
  void productsOfViewsAndOfNothing() {
    try (Device device = open(); Stream stream = device.newStream(); Gemm gemm = new Gemm(stream);
        DeviceBuffer x = device.allocate("x", DType.F32, 3, 2); DeviceBuffer w = device.allocate("w", DType.F32, 2, 2);
        DeviceBuffer y = device.allocate("y", DType.F32, 3, 2)) {
      x.set(stream, 1f, 2f, 3f, 4f, 5f, 6f);
      w.set(stream, 1f, 10f, 100f, 1000f);
      stream.fill(y, 0);
      gemm.multiply(x.slice(2, 2, 2), w, y.slice(2, 2, 2), 2, 2, 2);
      gemm.multiply(x, w, y, 0, 2, 2);
      assertArrayEquals(new float[] {0, 0, 43, 4300, 65, 6500}, y.getFloats(stream));
      assertThrows(IllegalArgumentException.class, () -> gemm.multiply(x, w, y, 3, 2, 0));
      assertThrows(IllegalArgumentException.class, () -> gemm.multiply(x, w, y, -1, 2, 2));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"auto", "emulated", "gpu:0", "gpu:17"})
  void deviceSpecsPrintAsTheyParse(String text) {
    assertEquals(text, DeviceSpec.parse(text).toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "cpu", "gpu:-1", "gpu:1000", "gpu:x", "GPU", " gpu", "emulated:0"})
  void otherDeviceSpecsAreRefused(String text) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> DeviceSpec.parse(text));
    assertTrue(e.getMessage().contains("'" + text + "'"), e.getMessage());
  }
}
