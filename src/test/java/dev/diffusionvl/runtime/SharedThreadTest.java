// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.Test;

/** What a process's other code may do beside this library, and what this library asks of the driver so that it cannot matter. */
class SharedThreadTest {
  private static CUcontext current() {
    CUcontext context = new CUcontext();
    assertEquals(0, JCudaDriver.cuCtxGetCurrent(context));
    return context;
  }

  /** Another library makes its own context current between two of our calls: each of ours finds its own again. */
  @Test
  void anotherContextMadeCurrentByOthers() {
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto"))); Stream stream = device.newStream();
        DeviceBuffer buffer = device.allocate("b", DType.F32, 4)) {
      CUcontext ours = current();
      CUcontext others = new CUcontext();
      CUdevice handle = new CUdevice();
      assertEquals(0, JCudaDriver.cuDeviceGet(handle, 0));
      assertEquals(0, JCudaDriver.cuCtxCreate(others, 0, handle));
      assertEquals(others, current());
      assertNotEquals(ours, others);
      buffer.set(stream, 1f, 2f, 3f, 4f);
      assertEquals(ours, current());
      for (CUcontext made : new CUcontext[] {others, new CUcontext()}) {
        JCudaDriver.cuCtxSetCurrent(made);
        assertArrayEquals(new float[] {1, 2, 3, 4}, buffer.getFloats(stream));
        assertEquals(ours, current());
        JCudaDriver.cuCtxSetCurrent(made);
        try (DeviceBuffer another = device.allocate("another", DType.F32, 4)) {
          stream.copy(buffer, another);
          assertArrayEquals(new float[] {1, 2, 3, 4}, another.getFloats(stream));
        }
      }
      JCudaDriver.cuCtxDestroy(others);
      device.makeCurrent();
      assertEquals(ours, current());
    }
  }

  /** Kernels that divide a multiprocessor's memory differently cannot share it; all of ours want it the same way. */
  @Test
  void kernelsPreferSharedMemory() {
    try (Device device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")))) {
      int[] percent = new int[1];
      KernelFunction kernel = device.kernel("read_sum", "read_sum_f32");
      int attribute = CUfunction_attribute.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
      assertEquals(0, JCudaDriver.cuFuncGetAttribute(percent, attribute, kernel.handle()));
      assertEquals(100, percent[0]);
    }
  }

  @Test
  void whatVersionsOfPtxNeed() {
    assertEquals(13000, DriverVersion.cudaOfPtx("//\n.version 9.0\n.target sm_80\n"));
    assertEquals(13010, DriverVersion.cudaOfPtx(".version 9.1\n"));
    assertEquals(12090, DriverVersion.cudaOfPtx(".version 8.8\n"));
    assertEquals(12050, DriverVersion.cudaOfPtx(".version 8.5\n"));
    assertEquals(0, DriverVersion.cudaOfPtx("no PTX"));
    assertEquals("CUDA 12.9 (driver r575)", DriverVersion.text(12090));
    assertEquals("CUDA 13.7", DriverVersion.text(13070));
  }

  /**
   * JDK 25.0.0 to 25.0.2 may move an array that native code holds. Nothing here hands one over: no pointer to an array, no access by
   * critical sections, no linker option that gives a call the heap.
   */
  @Test
  void noArrayOfTheHeapIsHandedToNativeCode() throws IOException {
    List<String> forbidden = List.of("Pointer.to(", "cuModuleLoadData(", "Linker.Option.critical", "PrimitiveArrayCritical");
    for (String root : List.of("runtime", "model", "loader", "samples", "jni-kernels")) {
      try (java.util.stream.Stream<Path> files = Files.walk(Path.of(root))) {
        for (Path file : files.filter(f -> f.toString().matches(".*\\.(java|cpp|h)")).toList()) {
          String text = Files.readString(file);
          for (String use : forbidden) {
            assertFalse(text.contains(use), file + ": " + use);
          }
        }
      }
    }
    assertTrue(Files.readString(Path.of("runtime/dev/diffusionvl/runtime/Stream.java")).contains("isNative()"));
  }
}
