// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Class loaders with a copy of this library each share the driver. */
class ProcessDeviceTest {
  private static final String BUILD = "dvl.process.emulated";

  /** What a class loader of its own runs. */
  public static final class Copy implements Runnable {
    @Override
    public void run() {
      try (Device device = Device.open(DeviceSpec.AUTO); Stream stream = device.newStream();
          DeviceBuffer buffer = device.allocate("buffer", DType.I32, 3)) {
        assertTrue(device.emulated());
        stream.fill(buffer, 0);
        stream.synchronize();
        JCudaNatives.loadCudnn();
        assertTrue(JniKernels.available());
      }
    }
  }

  private static URLClassLoader copy() throws MalformedURLException {
    List<URL> path = new ArrayList<>();
    for (String entry : System.getProperty("java.class.path").split(":")) {
      path.add(Path.of(entry).toUri().toURL());
    }
    return new URLClassLoader(path.toArray(URL[]::new), ClassLoader.getPlatformClassLoader());
  }

  private static void run(ClassLoader loader) throws ReflectiveOperationException {
    Class<?> type = loader.loadClass(Copy.class.getName());
    assertTrue(type != Copy.class);
    ((Runnable) type.getConstructor().newInstance()).run();
  }

  @Test
  void everyClassLoaderOpensTheDevice() throws IOException, ReflectiveOperationException {
    new Copy().run();
    for (int i = 0; i < 3; i++) {
      try (URLClassLoader loader = copy()) {
        run(loader);
      }
    }
    new Copy().run();
  }

  @Test
  void anotherBuildOfTheEmulatedDeviceIsRefused() throws IOException, ReflectiveOperationException {
    new Copy().run();
    String loaded = System.getProperty(BUILD);
    assertNotNull(loaded);
    assertFalse(ProcessDevice.needsEmulated(loaded));
    System.setProperty(BUILD, "another");
    try (URLClassLoader loader = copy()) {
      IllegalStateException refusal = assertThrows(IllegalStateException.class, () -> run(loader));
      assertTrue(refusal.getMessage().startsWith("another class loader of this process has loaded another build"), refusal.getMessage());
    } finally {
      System.setProperty(BUILD, loaded);
    }
  }

  @Test
  void theDeviceIsChosenOnceForAllClassLoaders() {
    new Copy().run();
    assertEquals(DeviceSpec.Kind.EMULATED, ProcessDevice.chosen());
    assertThrows(IllegalStateException.class, () -> Device.open(DeviceSpec.parse("gpu")));
  }
}
