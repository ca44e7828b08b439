// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Predictions;
import dev.diffusionvl.runtime.op.Remask;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Loops that the device runs by itself: how often, what stops them, what may be inside. */
class GraphLoopTest {
  private static final int BLOCK = 8;
  private static final int MASK_ID = 99;

  private Device device;
  private Stream stream;
  private Kernels kernels;
  private final List<DeviceBuffer> buffers = new ArrayList<>();
  private DeviceBuffer ids;
  private DeviceBuffer status;
  private DeviceBuffer iterations;
  private int openBefore;

  @BeforeEach
  void open() {
    assumeTrue(JniKernels.available());
    openBefore = LeakTracker.openHandles();
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
    kernels = new Kernels(device);
    ids = ints("ids", new int[BLOCK]);
    status = ints("status", new int[Remask.STATUS_FIELDS]);
    reset();
    iterations = ints("iterations", -1);
  }

  @AfterEach
  void close() {
    if (device == null) {
      return;
    }
    buffers.forEach(DeviceBuffer::close);
    stream.close();
    device.close();
    assertEquals(openBefore, LeakTracker.openHandles(), () -> String.join("\n", LeakTracker.report()));
  }

  private DeviceBuffer ints(String name, int... values) {
    DeviceBuffer buffer = device.allocate(name, DType.I32, values.length);
    buffers.add(buffer);
    buffer.set(stream, values);
    return buffer;
  }

  private DeviceBuffer floats(String name, float... values) {
    DeviceBuffer buffer = device.allocate(name, DType.F32, values.length);
    buffers.add(buffer);
    buffer.set(stream, values);
    return buffer;
  }

  /** Commits {@code quota} of the block's masks, the most confident first; status says how many are left. */
  private Runnable step(int quota) {
    DeviceBuffer token = ints("token", 10, 11, 12, 13, 14, 15, 16, 17);
    DeviceBuffer quotas = ints("quota", quota, quota, quota, quota, quota, quota, quota, quota);
    DeviceBuffer stepOf = ints("step of", -1, -1, -1, -1, -1, -1, -1, -1);
    DeviceBuffer sure = floats("confidence", new float[BLOCK]);
    DeviceBuffer probability = floats("probability", .1f, .9f, .2f, .8f, .3f, .7f, .4f, .6f);
    Remask.Rule rule = new Remask.Rule(false, 0, MASK_ID);
    return () -> kernels.remask.launch(stream, new Predictions(token, probability), new Remask.Block(ids, stepOf, sure, status), quotas,
        BLOCK, 1, 0, rule);
  }

  private DeviceBuffer left() {
    return status.slice(Remask.MASKED, 1);
  }

  private void reset() {
    int[] masks = new int[BLOCK];
    Arrays.fill(masks, MASK_ID);
    ids.set(stream, masks);
    int[] fields = new int[Remask.STATUS_FIELDS];
    fields[Remask.MASKED] = BLOCK;
    status.set(stream, fields);
  }

  /** The denoising of a block as one launch: as many steps as it takes. */
  @Test
  void runsUntilNothingIsLeft() {
    for (int quota : new int[] {1, 3, 8}) {
      try (Graph graph = Graph.captureLoop(stream, left(), iterations, 100, step(quota))) {
        for (int launch = 0; launch < 2; launch++) {
          reset();
          graph.launch(stream);
          assertArrayEquals(new int[] {10, 11, 12, 13, 14, 15, 16, 17}, ids.getInts(stream));
          assertEquals((BLOCK + quota - 1) / quota, iterations.getInts(stream)[0], "quota " + quota + ", launch " + launch);
        }
      }
    }
  }

  @Test
  void theBodyRunsAtLeastOnceAndAtMostLimitTimes() {
    try (Graph graph = Graph.captureLoop(stream, left(), iterations, 3, step(1))) {
      graph.launch(stream);
      assertArrayEquals(new int[] {MASK_ID, 11, MASK_ID, 13, MASK_ID, 15, MASK_ID, MASK_ID}, ids.getInts(stream));
      assertEquals(3, iterations.getInts(stream)[0]);
      assertEquals(5, left().getInts(stream)[0]);
      ids.set(stream, new int[BLOCK]); // nothing to do
      left().set(stream, 0);
      graph.launch(stream);
      assertEquals(1, iterations.getInts(stream)[0]);
    }
  }

  @Test
  void copiesFillsProductsAndGraphsMayBeInside() {
    DeviceBuffer x = floats("x", 1, 1, 0, 1);
    DeviceBuffer y = floats("y", 1, 0, 0, 1);
    DeviceBuffer w = floats("w", 2, 0, 0, 2);
    Runnable commit = step(2);
    try (Gemm gemm = new Gemm(stream); Graph inner = Graph.capture(stream, commit);
        Graph graph = Graph.captureLoop(stream, left(), iterations, 100, () -> {
          gemm.multiply(y, w, x, 2, 2, 2); // x = 2 y
          stream.copy(x, y);
          stream.fill(x, 0);
          inner.launch(stream);
        })) {
      graph.launch(stream);
      assertEquals(4, iterations.getInts(stream)[0]);
      assertArrayEquals(new float[] {16, 0, 0, 16}, y.getFloats(stream));
      assertArrayEquals(new float[4], x.getFloats(stream));
      IllegalStateException e = assertThrows(IllegalStateException.class, () -> Graph.capture(stream, () -> graph.launch(stream)));
      assertTrue(e.getMessage().contains("loop"), e.getMessage());
    }
  }

  @Test
  void wrongLoopsAreRefused() {
    Runnable body = step(1);
    DeviceBuffer floats = floats("floats", 1);
    assertThrows(IllegalArgumentException.class, () -> Graph.captureLoop(stream, status, iterations, 0, body));
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> Graph.captureLoop(stream, floats, iterations, 1, body));
    assertTrue(e.getMessage().contains("floats"), e.getMessage());
    assertThrows(IllegalStateException.class, () -> Graph.captureLoop(stream, status, iterations, 1, stream::synchronize));
    RuntimeException planned = new RuntimeException("planned");
    assertSame(planned, assertThrows(RuntimeException.class, () -> Graph.captureLoop(stream, status, iterations, 1, () -> {
      body.run();
      throw planned;
    })));
    body.run();
    stream.synchronize(); // the stream is as usable as before
  }

  @Test
  void aLoopDoesNotOutliveItsCounters() {
    DeviceBuffer own = device.allocate("own counter", DType.I32, 1);
    try (Graph graph = Graph.captureLoop(stream, left(), own, 5, step(4))) {
      own.close();
      IllegalStateException e = assertThrows(IllegalStateException.class, () -> graph.launch(stream));
      assertTrue(e.getMessage().contains("own counter"), e.getMessage());
    }
  }
}
