// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A program's own modules; parameters checked against the kernel; launches that overlap. */
class LaunchTest {
  private static final int N = 300;

  @TempDir private Path temp;
  private Device device;
  private Stream stream;
  private KernelModule module;
  private KernelFunction add;
  private DeviceBuffer x;
  private DeviceBuffer y;
  private DeviceBuffer sum;
  private int openBefore;

  @BeforeEach
  void open() {
    openBefore = LeakTracker.openHandles();
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
    module = device.loadModule(NativeFiles.of("samples/vector_add.ptx"));
    add = module.function("vector_add");
    x = device.allocate("x", DType.F32, N);
    y = device.allocate("y", DType.F32, N);
    sum = device.allocate("sum", DType.F32, N);
    float[] values = new float[N];
    for (int i = 0; i < N; i++) {
      values[i] = i;
    }
    x.set(stream, values);
    y.set(stream, values);
    stream.fill(sum, 0);
  }

  @AfterEach
  void close() {
    x.close();
    y.close();
    sum.close();
    module.close();
    module.close();
    stream.close();
    device.close();
    assertEquals(openBefore, LeakTracker.openHandles(), () -> String.join("\n", LeakTracker.report()));
  }

  private Launch launch() {
    return stream.launch(add, 3, 1, 1, 128, 0);
  }

  private void assertAdded(int until) {
    float[] result = sum.getFloats(stream);
    for (int i = 0; i < N; i++) {
      assertEquals(i < until ? 2f * i : 0f, result[i], "element " + i);
    }
  }

  @Test
  void ownKernelsRun() {
    launch().ptr(x).ptr(y).ptr(sum).i32(N).go();
    assertAdded(N);
    assertEquals("vector_add", add.name());
    assertTrue(add.registers() > 0);
  }

  @Test
  void blocksAtOnce() {
    int multiprocessors = device.attribute(16); // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
    int many = add.blocksAtOnce(256, 0);
    int few = add.blocksAtOnce(256, 40 << 10); // two or more of them in the 100 KB or more of a multiprocessor
    assertTrue(many % multiprocessors == 0 && few % multiprocessors == 0, many + " and " + few + " on " + multiprocessors);
    assertTrue(many > few && few >= 2 * multiprocessors, many + " and " + few + " on " + multiprocessors);
  }

  @Test
  void parametersThatAreNotTheKernelsAreRefused() {
    assumeTrue(JniKernels.available());
    for (Runnable wrong : new Runnable[] {
        () -> launch().ptr(x).ptr(y).ptr(sum).go(),
        () -> launch().ptr(x).ptr(y).ptr(sum).i32(N).i32(0).go(),
        () -> launch().ptr(x).ptr(y).ptr(sum).i64(N).go(),
        () -> launch().ptr(x).i32(N).ptr(y).ptr(sum).go()}) {
      IllegalArgumentException e = assertThrows(IllegalArgumentException.class, wrong::run);
      assertTrue(e.getMessage().contains("vector_add takes 4 parameters of [8, 8, 8, 4] bytes"), e.getMessage());
    }
    assertAdded(0);
  }

  /** An int for a float and the like have the right size. The emulated device knows the kinds, a GPU's driver does not. */
  @Test
  void parametersOfAnotherKindAreRefused() {
    assumeTrue(JniKernels.available() && device.emulated());
    String kernel = ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .f32 a, .param .s32 b, .param .u64 c, "
        + ".param .b32 d) { ret; }\n";
    refused("vector_add: parameter 3 is an integer, the launch has a floating-point number", () -> launch().ptr(x).ptr(y).ptr(sum).f32(N));
    try (KernelModule own = device.loadModule("kinds", kernel.getBytes(StandardCharsets.UTF_8))) {
      KernelFunction k = own.function("k");
      stream.launch(k, 1, 1, 1, 1, 0).f32(1).i32(2).i64(3).f32(4).go();
      stream.launch(k, 1, 1, 1, 1, 0).f32(1).i32(2).ptr(x).i32(4).go();
      refused("k: parameter 0 is a floating-point number, the launch has an integer",
          () -> stream.launch(k, 1, 1, 1, 1, 0).i32(1).i32(2).i64(3).f32(4));
      refused("k: parameter 1 is an integer, the launch has a floating-point number",
          () -> stream.launch(k, 1, 1, 1, 1, 0).f32(1).f32(2).i64(3).f32(4));
    }
    KernelFunction norm = device.kernel("rms_norm", "rms_norm_f32"); // x, weight, y, rows, width, epsilon
    refused("rms_norm_f32: parameter 5 is a floating-point number, the launch has an integer",
        () -> stream.launch(norm, 1, 1, 1, 32, 0).ptr(x).ptr(y).ptr(sum).i32(1).i32(N).i32(0));
    refused("rms_norm_f32: parameter 1 is a pointer, the launch has an integer",
        () -> stream.launch(norm, 1, 1, 1, 32, 0).ptr(x).i64(0).ptr(sum).i32(1).i32(N).f32(0));
  }

  private static void refused(String message, Supplier<Launch> launch) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, () -> launch.get().go()).getMessage());
  }

  @Test
  void nullClosedAndForeignBuffersAreNamed() {
    IllegalArgumentException none = assertThrows(IllegalArgumentException.class, () -> launch().ptr(x).ptr(null));
    assertTrue(none.getMessage().contains("parameter 1 of vector_add"), none.getMessage());
    try (Device second = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
        DeviceBuffer foreign = second.allocate("foreign", DType.F32, N); Stream other = second.newStream()) {
      IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> launch().ptr(foreign));
      assertTrue(e.getMessage().contains("parameter 0 of vector_add") && e.getMessage().contains("foreign"), e.getMessage());
      assertThrows(IllegalArgumentException.class, () -> other.launch(add, 1, 1, 1, 32, 0));
    }
    DeviceBuffer freed = device.allocate("freed", DType.F32, N);
    freed.close();
    IllegalStateException e = assertThrows(IllegalStateException.class, () -> launch().ptr(freed));
    assertTrue(e.getMessage().contains("freed"), e.getMessage());
    assertThrows(IllegalArgumentException.class, () -> {
      Launch launch = launch();
      for (int i = 0; i <= Launch.MAX_PARAMETERS; i++) {
        launch.i32(i);
      }
    });
  }

  @Test
  void aClosedModuleIsNamed() {
    KernelModule own = device.loadModule(NativeFiles.of("samples/vector_add.ptx"));
    KernelFunction f = own.function("vector_add");
    Graph graph = Graph.capture(stream, () -> stream.launch(f, 3, 1, 1, 128, 0).ptr(x).ptr(y).ptr(sum).i32(N).go());
    own.close();
    for (Runnable use : new Runnable[] {() -> stream.launch(f, 1, 1, 1, 32, 0), () -> graph.launch(stream),
        () -> own.function("vector_add"), f::registers}) {
      IllegalStateException e = assertThrows(IllegalStateException.class, use::run);
      assertTrue(e.getMessage().contains("vector_add"), e.getMessage());
    }
    graph.close();
  }

  @Test
  void modulesOfTheWrongKindAreRefusedClearly() throws IOException {
    byte[] ptx = Files.readAllBytes(NativeFiles.of("samples/vector_add.ptx"));
    byte[] host = Files.readAllBytes(NativeFiles.of("samples/vector_add.so"));
    byte[] cubin = host.clone();
    cubin[18] = (byte) 190; // e_machine: CUDA
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class,
        () -> device.loadModule("mine", device.emulated() ? cubin : host));
    assertTrue(e.getMessage().contains(device.emulated() ? "mine is a cubin, which the emulated device cannot run"
        : "mine is a host module"),
        e.getMessage());
    device.loadModule(Files.write(temp.resolve("lonely.ptx"), ptx)).close();
    String unknown = new String(ptx, StandardCharsets.UTF_8).replace("add.f32", "addd.f32");
    CudaException refused = assertThrows(CudaException.class, () -> device.loadModule("typo", unknown.getBytes(StandardCharsets.UTF_8)));
    assertTrue(refused.getMessage().contains("typo"), refused.getMessage());
    assertTrue(!device.emulated() || refused.getMessage().contains("line 31: instruction 'addd.f32' is not one that this device knows"),
        refused.getMessage());
    assertThrows(IllegalArgumentException.class, () -> device.loadModule(temp.resolve("none.ptx")));
    assertThrows(IllegalArgumentException.class, () -> device.loadModule("empty", new byte[0]));
    CudaException missing = assertThrows(CudaException.class, () -> module.function("vector_sub"));
    assertTrue(missing.getMessage().contains("vector_sub in module"), missing.getMessage());
    assertEquals(ModuleImage.PTX, ModuleImage.of(ptx));
    assertEquals(ModuleImage.HOST_MODULE, ModuleImage.of(host));
  }

  @Test
  void launchesMayOverlap() {
    assumeTrue(JniKernels.available() && (device.emulated() || device.computeCapability() >= 90));
    launch().overlapping().ptr(x).ptr(y).ptr(sum).i32(100).go();
    assertAdded(100);
    launch().ptr(x).ptr(x).ptr(sum).i32(0).go(); // does not overlap any more
    CudaException tooLarge = assertThrows(CudaException.class,
        () -> stream.launch(add, 1, 1, 1, 64, 64, 1, 0).overlapping().ptr(x).ptr(y).ptr(sum).i32(N).go());
    assertTrue(tooLarge.getMessage().contains("cuLaunchKernelEx"), tooLarge.getMessage());
    assertTrue(tooLarge.getMessage().contains("block 64 x 64 x 1"), tooLarge.getMessage());
  }
}
