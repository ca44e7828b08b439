// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.oracle.Rounding;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Devices, buffers, products: life cycle, checks and messages. */
class RuntimeTest {
  private Device device;
  private Stream stream;
  private int openBefore;

  @BeforeEach
  void open() {
    openBefore = LeakTracker.openHandles();
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
  }

  @AfterEach
  void close() {
    stream.close();
    stream.close();
    device.close();
    device.close();
    assertEquals(openBefore, LeakTracker.openHandles(), () -> String.join("\n", LeakTracker.report()));
  }

  @Test
  void aClosedBufferNamesItself() {
    DeviceBuffer buffer = device.allocate("weights of layer 3", DType.BF16, 4, 5);
    DeviceBuffer slice = buffer.slice(5, 5);
    assertEquals(buffer.address() + 10, slice.address());
    buffer.close();
    buffer.close();
    for (DeviceBuffer dead : List.of(buffer, slice)) {
      IllegalStateException e = assertThrows(IllegalStateException.class, dead::address);
      assertTrue(e.getMessage().contains("weights of layer 3") && e.getMessage().contains("closed"), e.getMessage());
    }
    assertThrows(IllegalStateException.class, () -> buffer.set(stream, 1f));
  }

  @Test
  void slicesStayInside() {
    try (DeviceBuffer buffer = device.allocate("b", DType.F32, 10)) {
      assertThrows(IllegalArgumentException.class, () -> buffer.slice(8, 3));
      assertThrows(IllegalArgumentException.class, () -> buffer.slice(-1, 3));
      assertThrows(IllegalArgumentException.class, () -> buffer.slice(0, -1));
      assertThrows(IllegalArgumentException.class, () -> buffer.set(stream, new float[11]));
      assertThrows(IllegalArgumentException.class, () -> buffer.set(stream, 1, 2));
      assertEquals(0, buffer.slice(10, 0).elements());
    }
  }

  @Test
  void copiesKeepValues() {
    try (DeviceBuffer a = device.allocate("a", DType.BF16, 3); DeviceBuffer b = device.allocate("b", DType.BF16, 2, 3);
        DeviceBuffer ints = device.allocate("ints", DType.I32, 3)) {
      a.set(stream, 1f, -2.5f, Float.NaN);
      stream.fill(b, 0);
      stream.copy(a, b.slice(3, 3));
      assertArrayEquals(new float[] {0, 0, 0, 1, -2.5f, Float.NaN}, b.getFloats(stream));
      ints.set(stream, 7, -8, 9);
      assertArrayEquals(new int[] {7, -8, 9}, ints.getInts(stream));
      assertThrows(IllegalArgumentException.class, () -> stream.copy(b, a));
      assertThrows(IllegalArgumentException.class, () -> stream.copy(ints, a));
    }
  }

  @Test
  void rowsAreCopiedIntoLongerOnes() {
    try (DeviceBuffer source = device.allocate("narrow", DType.F32, 2, 3);
        DeviceBuffer target = device.allocate("wide", DType.F32, 3, 4);
        DeviceBuffer half = device.allocate("half", DType.BF16, 3, 4)) {
      source.set(stream, 1, 2, 3, 4, 5, 6f);
      target.set(stream, new float[] {-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12});
      stream.copyRows(source, target);
      assertArrayEquals(new float[] {1, 2, 3, -4, 4, 5, 6, -8, -9, -10, -11, -12}, target.getFloats(stream));
      assertThrows(IllegalArgumentException.class, () -> stream.copyRows(target, source));
      assertThrows(IllegalArgumentException.class, () -> stream.copyRows(source, half));
      assertThrows(IllegalArgumentException.class, () -> stream.copyRows(source, target.slice(0, 12)));
    }
  }

  @Test
  void tooMuchMemorySaysNeedFreeAndTotal() {
    long total = device.memory().total();
    OutOfDeviceMemoryException e = assertThrows(OutOfDeviceMemoryException.class,
        () -> device.allocate("far too large", DType.F32, total));
    assertEquals(4 * total, e.need());
    assertEquals(total, e.total());
    assertTrue(e.free() <= total && e.free() > 0);
    assertTrue(e.getMessage().contains("far too large"), e.getMessage());
  }

  @Test
  void memoryComesBack() {
    long free = device.memory().free();
    for (int i = 0; i < 50; i++) {
      device.allocate("short-lived", DType.U8, 1 << 20).close();
    }
    assertEquals(free, device.memory().free());
  }

  @Test
  void aLeakIsReportedWithItsStack() {
    assumeTrue(LeakTracker.enabled());
    DeviceBuffer leaked = device.allocate("forgotten", DType.F32, 8);
    assertTrue(LeakTracker.report().stream().anyMatch(r -> r.contains("forgotten") && r.contains("aLeakIsReportedWithItsStack")));
    leaked.close();
    assertFalse(LeakTracker.report().stream().anyMatch(r -> r.contains("forgotten")));
  }

  @Test
  void failuresNameTheCall() {
    CudaException e = assertThrows(CudaException.class, () -> device.kernel("rms_norm", "no_such_kernel"));
    assertEquals("cuModuleGetFunction", e.call());
    assertEquals("CUDA_ERROR_NOT_FOUND", e.status());
    assertTrue(e.getMessage().contains("no_such_kernel"), e.getMessage());
    KernelFunction f = device.kernel("rms_norm", "rms_norm_f32");
    try (DeviceBuffer one = device.allocate("operand", DType.F32, 1)) {
      CudaException tooLarge = assertThrows(CudaException.class,
          () -> stream.launch(f, 1, 1, 1, 2048, 0).ptr(one).ptr(one).ptr(one).i32(1).i32(1).f32(1).go());
      assertEquals(1, tooLarge.code());
      assertTrue(tooLarge.getMessage().contains("rms_norm_f32") && tooLarge.getMessage().contains("2048"), tooLarge.getMessage());
    }
  }

  @Test
  void productsAgainstFloat64() {
    SplittableRandom random = new SplittableRandom(5);
    int[][] shapes = {{1, 1, 1}, {3, 5, 7}, {8, 256, 1024}, {17, 33, 129}, {64, 100, 36}};
    try (Gemm gemm = new Gemm(stream)) {
      for (DType in : new DType[] {DType.BF16, DType.F16, DType.F32}) {
        for (DType out : new DType[] {in, DType.F32}) {
          for (int[] s : shapes) {
            product(gemm, random, in, out, s[0], s[1], s[2]);
          }
        }
      }
    }
  }

  private void product(Gemm gemm, SplittableRandom random, DType in, DType out, int m, int n, int k) {
    float[] x = random(random, in, m * k);
    float[] w = random(random, in, n * k);
    try (DeviceBuffer dx = device.allocate("x", in, m, k); DeviceBuffer dw = device.allocate("w", in, n, k);
        DeviceBuffer dy = device.allocate("y", out, m, n)) {
      dx.set(stream, x);
      dw.set(stream, w);
      stream.fill(dy, 0xff);
      gemm.multiply(dx, dw, dy, m, n, k);
      float[] y = dy.getFloats(stream);
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          double sum = 0;
          double size = 0;
          for (int l = 0; l < k; l++) {
            double term = (double) x[i * k + l] * w[j * k + l];
            sum += term;
            size += Math.abs(term);
          }
          double tolerance = 1e-6 * size + (out == DType.BF16 ? Math.abs(sum) / 256 : out == DType.F16 ? Math.abs(sum) / 2048 : 0);
          assertEquals(sum, y[i * n + j], tolerance, in + " to " + out + " " + m + "x" + n + "x" + k);
        }
      }
      assertThrows(IllegalArgumentException.class, () -> gemm.multiply(dx, dw, dy, m + 1, n, k));
    }
  }

  private static float[] random(SplittableRandom random, DType dtype, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      float v = (float) random.nextGaussian();
      values[i] = (float) Rounding.of(dtype).of(v);
    }
    return values;
  }

  @Test
  void jcublasCanBePointedAtCuda13() throws IOException {
    try (InputStream in = getClass().getClassLoader().getResourceAsStream("lib/libJCublas2-12.6.0-linux-x86_64.so")) {
      byte[] elf = in.readAllBytes();
      assertEquals(0, NativePatch.renameDependency(elf.clone(), "libcublas.so.99", "libcublas.so.13"));
      assertTrue(NativePatch.renameDependency(elf, "libcublas.so.12", "libcublas.so.13") >= 2);
      assertEquals(0, NativePatch.renameDependency(elf, "libcublas.so.12", "libcublas.so.13"), "nothing is left to rename");
    }
  }

  @Test
  void deviceNames() {
    assertEquals(DeviceSpec.AUTO, DeviceSpec.parse("auto"));
    assertEquals(new DeviceSpec(DeviceSpec.Kind.GPU, 3), DeviceSpec.parse("gpu:3"));
    assertThrows(IllegalArgumentException.class, () -> DeviceSpec.parse("gpu:"));
    assertThrows(IllegalArgumentException.class, () -> DeviceSpec.parse("GPU:-1"));
  }

  @Test
  void bf16RoundsToNearestEven() {
    assertEquals((short) 0x3f80, DType.toBf16(1f));
    assertEquals((short) 0x3f80, DType.toBf16(Float.intBitsToFloat(0x3f808000))); // halfway, even below
    assertEquals((short) 0x3f82, DType.toBf16(Float.intBitsToFloat(0x3f818000))); // halfway, even above
    assertTrue(Float.isNaN(DType.fromBf16(DType.toBf16(Float.intBitsToFloat(0x7f800001)))));
    assertEquals(Float.POSITIVE_INFINITY, DType.fromBf16(DType.toBf16(Float.MAX_VALUE)));
  }
}
