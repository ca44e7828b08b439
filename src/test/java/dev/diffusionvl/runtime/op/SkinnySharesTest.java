// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.prove.Emulator;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.SkinnyWorkspace;
import dev.diffusionvl.runtime.op.WeightMatrix;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Skinny products in grids of fewer blocks than they have spans, which share the units evenly: the bits of one block per span. */
class SkinnySharesTest extends SkinnyBitsTest {
  // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, _MAX_THREADS_PER_MULTIPROCESSOR, _MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
  // _RESERVED_SHARED_MEMORY_PER_BLOCK
  private static final int MULTIPROCESSORS = 16;
  private static final int THREADS = 39;
  private static final int SHARED = 81;
  private static final int RESERVED_SHARED = 111;

  @BeforeEach
  void openWorkspaces() {
    assumeTrue(device.emulated() || device.computeCapability() < 90 || device.computeCapability() >= 110, "all blocks run at once");
    // Shares that begin and end within spans, between them, within tiles and between those; of many spans, and of hardly more than one.
    for (int blocks : few() ? new int[] {2, 5} : new int[] {1, 2, 3, 5, 7}) {
      others.add(new SkinnyWorkspace(stream, 64, true, false, blocks));
    }
  }

  /** In the first shape two blocks meet where a span has a second tile. */
  @Test
  void gemm() {
    gemm(new int[][] {{8, 800, 168}, {8, 200, 520}, {5, 391, 584}, {4, 70, 2056}, {16, 391, 584}, {20, 200, 520}, {64, 260, 712}});
  }

  @Test
  void residual() {
    residual(0, new int[][] {{8, 391, 584}});
    residual(9, new int[][] {{7, 391, 1000}});
  }

  @Test
  void swiglu() {
    swiglu(0, new int[][] {{8, 202, 520}, {16, 202, 520}});
    swiglu(8, new int[][] {{8, 260, 1096}});
  }

  @Test
  void qkv() {
    qkv(new int[][] {{8, 648}});
  }

  @Test
  void confidence() {
    confidence(new int[][] {{7, 391, 584}});
  }

  /** The counters of a workspace are zeros again behind each launch. */
  @Test
  void launchesRepeat() {
    int n = 391;
    int k = 584;
    DeviceBuffer x = buffer(DType.BF16, normal(DType.BF16, 8 * k, 1));
    WeightMatrix w = new WeightMatrix.Dense(buffer(DType.BF16, normal(DType.BF16, n * k, 1)), n, k);
    float[] expected = product(plain, x, w, 8);
    for (int i = 0; i < 3; i++) {
      for (SkinnyWorkspace few : others) {
        assertArrayEquals(expected, product(few, x, w, 8), 0f);
      }
    }
  }

  /** On 9.0 and 10.x a block for each span; elsewhere (GpuKindsTest) no more than the multiprocessors hold. */
  @Test
  void aGridIsOfWhatRunsAtOnce() {
    assumeTrue(Emulator.present(), "for the emulated device, which keeps a journal");
    int n = 1000;
    int k = 2056;
    DeviceBuffer x = buffer(DType.BF16, normal(DType.BF16, 8 * k, 1));
    WeightMatrix w = new WeightMatrix.Dense(buffer(DType.BF16, normal(DType.BF16, n * k, 1)), n, k);
    Emulator.keepJournal(true);
    product(plain, x, w, 8);
    String[] launch = Emulator.takeJournal().stream().filter(line -> line.contains("skinny_gemm")).findFirst().orElseThrow().split(" ");
    Emulator.keepJournal(false);
    int shared = Integer.parseInt(launch[launch.length - 1]) + device.attribute(RESERVED_SHARED);
    int held = Math.min(device.attribute(SHARED) / shared, device.attribute(THREADS) / Integer.parseInt(launch[6]));
    int spans = SkinnySplit.of(n, k, false).blocks();
    boolean all = device.computeCapability() >= 90 && device.computeCapability() < 110;
    assertEquals(all ? spans : Math.min(spans, held * device.attribute(MULTIPROCESSORS)), Integer.parseInt(launch[2]),
        () -> String.join(" ", launch));
  }

  @Test
  void fewerThanNoBlocksAreRefused() {
    String message = assertThrows(IllegalArgumentException.class, () -> new SkinnyWorkspace(stream, 8, false, false, -1)).getMessage();
    assertTrue(message.contains("blocks is -1"), message);
  }
}
