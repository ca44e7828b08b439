// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
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

  /** A kind of handle: how one is made, and what its user does with it. */
  private record Kind(String name, Function<Stream, AutoCloseable> make, BiConsumer<AutoCloseable, Stream> use) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static List<Kind> kinds() {
    return List.of(new Kind("stream", s -> s.device().newStream(), (h, s) -> ((Stream) h).synchronize()),
        new Kind("event", s -> s.device().newEvent(false), (h, s) -> ((Event) h).record(s)),
        new Kind("graph", s -> Graph.capture(s, () -> {}), (h, s) -> ((Graph) h).launch(s)),
        new Kind("module", s -> s.device().loadModule(Path.of("samples/kernels/vector_add.ptx")),
            (h, s) -> ((KernelModule) h).function("vector_add")),
        new Kind("pinned buffer", s -> s.device().allocatePinned("pinned", 8), (h, s) -> ((PinnedBuffer) h).segment().fill((byte) 1)),
        new Kind("device buffer", s -> s.device().allocate("buffer", DType.F32, 4), (h, s) -> ((DeviceBuffer) h).address()),
        new Kind("cuBLAS", Gemm::new, (h, s) -> multiply((Gemm) h, s)),
        new Kind("cuDNN", s -> Conv.available() ? new Conv(s) : new Gemm(s), LifecycleTest::convolve));
  }

  private static void multiply(Gemm gemm, Stream stream) {
    try (DeviceBuffer b = stream.device().allocate("b", DType.F32, 4)) {
      gemm.multiply(b, b, b, 0, 2, 2);
    }
  }

  private static void convolve(AutoCloseable handle, Stream stream) {
    if (handle instanceof Gemm gemm) { // a machine without cuDNN
      multiply(gemm, stream);
      return;
    }
    try (DeviceBuffer b = stream.device().allocate("b", DType.F32, 4)) {
      ((Conv) handle).forward(b, b, b, 0, 1, 1, 1, 1, 1, 1);
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aClosedHandleIsRefusedAndClosedOnce(Kind kind) throws Exception {
    try (Device device = open(); Stream stream = device.newStream()) {
      int before = LeakTracker.openHandles();
      AutoCloseable handle = kind.make.apply(stream);
      kind.use.accept(handle, stream);
      stream.synchronize();
      handle.close();
      handle.close();
      assertEquals(before, LeakTracker.openHandles());
      assertRefused(kind, handle, stream);
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aHandleOfAClosedDeviceIsRefused(Kind kind) throws Exception {
    int before = LeakTracker.openHandles();
    Device device = open();
    Stream stream = device.newStream();
    AutoCloseable handle = kind.make.apply(stream);
    Thread other = new Thread(device::close, "closes the device");
    other.start();
    other.join();
    assertRefused(kind, handle, stream);
    handle.close();
    handle.close();
    assertRefused(kind, handle, stream);
    stream.close();
    assertEquals(before, LeakTracker.openHandles());
  }

  private static void assertRefused(Kind kind, AutoCloseable handle, Stream stream) {
    IllegalStateException e = assertThrows(IllegalStateException.class, () -> kind.use.accept(handle, stream));
    assertTrue(e.getMessage().contains("closed"), e.getMessage());
  }

  /** Host memory that a program still holds when the device closes: writing there would be writing to freed memory. */
  @Test
  void pinnedMemoryEndsWithItsDevice() {
    Device device = open();
    PinnedBuffer pinned = device.allocatePinned("pinned", 64);
    MemorySegment kept = pinned.segment();
    kept.fill((byte) 7);
    device.close();
    assertThrows(IllegalStateException.class, () -> kept.fill((byte) 1));
    assertThrows(IllegalStateException.class, pinned::segment);
    pinned.close();
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
