// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.diffusionvl.runtime.op.Kernels;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Capture and replay: what is recorded, what a replay sees, what is refused, and that failures leave the stream usable. */
class GraphTest {
  private Device device;
  private Stream stream;
  private Kernels kernels;
  private DeviceBuffer x;
  private DeviceBuffer y;
  private int openBefore;

  @BeforeEach
  void open() {
    openBefore = LeakTracker.openHandles();
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
    kernels = new Kernels(device);
    x = device.allocate("x", DType.F32, 8);
    y = device.allocate("y", DType.F32, 8);
    x.set(stream, 1, 2, 3, 4, 5, 6, 7, 8f);
    y.set(stream, new float[8]);
  }

  @AfterEach
  void close() {
    x.close();
    y.close();
    stream.close();
    device.close();
    assertEquals(openBefore, LeakTracker.openHandles(), () -> String.join("\n", LeakTracker.report()));
  }

  /** y += x */
  private void add() {
    kernels.residualAdd.launch(stream, y, x, null, 1, 8);
  }

  @Test
  void nothingRunsAtCaptureAndEverythingAtEachReplay() {
    try (Graph graph = Graph.capture(stream, () -> {
      for (int i = 0; i < 3; i++) {
        add();
      }
    })) {
      assertEquals(3, graph.nodes());
      assertArrayEquals(new float[8], y.getFloats(stream));
      graph.launch(stream);
      graph.launch(stream);
      assertArrayEquals(new float[] {6, 12, 18, 24, 30, 36, 42, 48}, y.getFloats(stream));
      x.set(stream, 1, 1, 1, 1, 1, 1, 1, 1f); // a replay reads what the memory holds now
      try (Stream other = device.newStream()) {
        graph.launch(other);
        other.synchronize();
      }
      assertArrayEquals(new float[] {9, 15, 21, 27, 33, 39, 45, 51}, y.getFloats(stream));
    }
  }

  /** The launch block of the stream is overwritten between capture and replay. */
  @Test
  void argumentsAreThoseOfTheCapture() {
    try (DeviceBuffer other = device.allocate("other", DType.F32, 8); Graph graph = Graph.capture(stream, this::add)) {
      other.set(stream, new float[8]);
      kernels.residualAdd.launch(stream, other, x, null, 1, 8);
      graph.launch(stream);
      assertArrayEquals(x.getFloats(stream), y.getFloats(stream));
      assertArrayEquals(x.getFloats(stream), other.getFloats(stream));
    }
  }

  @Test
  void productsCopiesFillsAndOtherGraphsAreCaptured() {
    try (Gemm gemm = new Gemm(stream); DeviceBuffer z = device.allocate("z", DType.F32, 4);
        PinnedBuffer in = device.allocatePinned("in", 64); PinnedBuffer out = device.allocatePinned("out", 64);
        Graph adds = Graph.capture(stream, this::add);
        Graph graph = Graph.capture(stream, () -> {
          stream.uploadAsync(in, 32, x); // x <- the second half of the pinned memory
          stream.fill(y, 0);
          adds.launch(stream); // y = x
          stream.copy(y, x);
          gemm.multiply(x, y, z, 2, 2, 4); // z = x yᵀ of two rows each
          stream.downloadAsync(z, out, 16);
        })) {
      assertTrue(graph.nodes() >= 6, "a product may be more than one node: " + graph.nodes());
      for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 16; i++) {
          in.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, i < 8 ? Float.NaN : round * (i - 7));
        }
        graph.launch(stream);
        stream.synchronize();
        float square = round * round;
        float[] expected = {30 * square, 70 * square, 70 * square, 174 * square};
        for (int i = 0; i < 4; i++) {
          assertEquals(expected[i], out.segment().getAtIndex(ValueLayout.JAVA_FLOAT, 4 + i), "round " + round + ", element " + i);
        }
      }
    }
  }

  @Test
  void kernelsMayBeUsedForTheFirstTimeInACapture() {
    try (Device fresh = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto"))); Stream s = fresh.newStream();
        DeviceBuffer a = fresh.allocate("a", DType.F32, 2)) {
      a.set(s, 3f, 4f);
      try (Graph graph = Graph.capture(s, () -> new Kernels(fresh).residualAdd.launch(s, a, a, null, 1, 2))) {
        graph.launch(s);
        assertArrayEquals(new float[] {6, 8}, a.getFloats(s));
      }
    }
  }

  @Test
  void aFailureInTheWorkLeavesTheStreamUsable() {
    RuntimeException planned = new RuntimeException("planned");
    assertSame(planned, assertThrows(RuntimeException.class, () -> Graph.capture(stream, () -> {
      add();
      throw planned;
    })));
    add();
    assertArrayEquals(x.getFloats(stream), y.getFloats(stream));
  }

  @Test
  void workThatWaitsIsRefusedByName() {
    for (Runnable work : new Runnable[] {stream::synchronize, () -> y.getFloats(stream), () -> x.set(stream, 1f)}) {
      IllegalStateException e = assertThrows(IllegalStateException.class, () -> Graph.capture(stream, work));
      assertTrue(e.getMessage().contains("captured"), e.getMessage());
      add();
      stream.synchronize();
    }
    assertArrayEquals(new float[] {3, 6, 9, 12, 15, 18, 21, 24}, y.getFloats(stream));
    IllegalStateException nested = assertThrows(IllegalStateException.class,
        () -> Graph.capture(stream, () -> Graph.capture(stream, this::add)));
    assertTrue(nested.getMessage().contains("captured already"), nested.getMessage());
  }

  @Test
  void allocationSpoilsACaptureAndNothingElse() {
    CudaException e = assertThrows(CudaException.class,
        () -> Graph.capture(stream, () -> device.allocate("inside", DType.F32, 4).close()));
    assertEquals("cuMemAlloc", e.call());
    assertThrows(CudaException.class, () -> Graph.capture(stream, () -> {
      try {
        device.allocate("inside", DType.F32, 4).close();
      } catch (CudaException swallowed) {
        add();
      }
    }));
    add();
    assertArrayEquals(x.getFloats(stream), y.getFloats(stream));
  }

  @Test
  void aGraphDoesNotOutliveItsBuffers() {
    DeviceBuffer owner = device.allocate("short-lived", DType.F32, 16);
    PinnedBuffer pinned = device.allocatePinned("staging", 32);
    try (Graph graph = Graph.capture(stream, () -> stream.copy(owner.slice(8, 8), y));
        Graph upload = Graph.capture(stream, () -> stream.uploadAsync(pinned, 0, y));
        Graph both = Graph.capture(stream, () -> {
          graph.launch(stream);
          upload.launch(stream);
        })) {
      both.launch(stream);
      stream.synchronize();
      owner.close();
      for (Graph stale : new Graph[] {graph, both}) {
        IllegalStateException e = assertThrows(IllegalStateException.class, () -> stale.launch(stream));
        assertTrue(e.getMessage().contains("short-lived"), e.getMessage());
      }
      pinned.close();
      IllegalStateException e = assertThrows(IllegalStateException.class, () -> upload.launch(stream));
      assertTrue(e.getMessage().contains("staging"), e.getMessage());
      stream.synchronize();
    }
  }

  @Test
  void closedGraphsAndOtherDevicesAreRefused() {
    Graph graph = Graph.capture(stream, this::add);
    try (Device second = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto"))); Stream foreign = second.newStream()) {
      assertThrows(IllegalArgumentException.class, () -> graph.launch(foreign));
      assertThrows(IllegalArgumentException.class, () -> Graph.capture(foreign, () -> foreign.copy(x, y)));
    }
    graph.close();
    graph.close();
    assertThrows(IllegalStateException.class, () -> graph.launch(stream));
    try (Graph empty = Graph.capture(stream, () -> {})) {
      assertEquals(0, empty.nodes());
      empty.launch(stream);
      stream.synchronize();
    }
  }

  @Test
  void eventsOrderStreams() {
    try (Stream other = device.newStream(); Event ready = device.newEvent(false)) {
      add();
      ready.record(stream);
      other.waitFor(ready);
      other.copy(y, x);
      other.synchronize();
      assertArrayEquals(y.getFloats(stream), x.getFloats(stream));
    }
  }

  @Test
  void pinnedMemoryIsCheckedAndDiesOnClose() {
    PinnedBuffer pinned = device.allocatePinned("p", 40);
    assertEquals(40, pinned.bytes());
    var segment = pinned.segment();
    assertTrue(segment.isNative());
    assertThrows(IllegalArgumentException.class, () -> stream.uploadAsync(pinned, 12, x));
    assertThrows(IllegalArgumentException.class, () -> stream.uploadAsync(pinned, -8, x));
    assertThrows(IllegalArgumentException.class, () -> stream.downloadAsync(x, pinned, 9));
    assertThrows(IllegalArgumentException.class, () -> device.allocatePinned("none", 0));
    stream.downloadAsync(x, pinned, 8);
    stream.synchronize();
    assertEquals(8f, segment.getAtIndex(ValueLayout.JAVA_FLOAT, 9));
    pinned.close();
    pinned.close();
    assertThrows(IllegalStateException.class, pinned::segment);
    assertThrows(IllegalStateException.class, () -> segment.get(ValueLayout.JAVA_FLOAT, 0));
    IllegalStateException e = assertThrows(IllegalStateException.class, () -> stream.uploadAsync(pinned, 0, x));
    assertTrue(e.getMessage().contains("'p'"), e.getMessage());
  }

  @Test
  void aReplayAllocatesNothing() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long thread = Thread.currentThread().threadId();
    try (Graph graph = Graph.capture(stream, this::add)) {
      for (int i = 0; i < 2000; i++) {
        graph.launch(stream);
      }
      long before = threads.getThreadAllocatedBytes(thread);
      for (int i = 0; i < 1000; i++) {
        graph.launch(stream);
      }
      long bytes = threads.getThreadAllocatedBytes(thread) - before;
      assertTrue(bytes < 1000, bytes + " bytes in 1000 launches");
      assertFalse(y.getFloats(stream)[0] == 0);
    }
  }
}
