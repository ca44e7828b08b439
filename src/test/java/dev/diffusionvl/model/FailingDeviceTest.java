// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.diffusionvl.prove.BrokenDevice;
import dev.diffusionvl.prove.Emulator;
import dev.diffusionvl.runtime.CudaException;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.LeakTracker;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A device that fails under an engine: everybody is told, with one cause, nothing more is taken, and nothing is left of it. */
class FailingDeviceTest {
  private static final Request QUESTION = Request.of("What do you see?");
  private static final GenerationOptions LONG = GenerationOptions.DEFAULTS.withGenLength(512).withSampling(2, 0, 1);
  private static final EngineOptions OPTIONS = EngineOptions.DEFAULTS.withSlots(2).withQueue(8).withKvTokens(2048);

  @BeforeEach
  void emulated() {
    try (Device device = open()) {
      assumeTrue(Emulator.present(), () -> "not broken on purpose: " + device);
    }
  }

  private static Device open() {
    return Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
  }

  /** @param requests how many; 0: the engine is idle when its device fails, and one that comes later meets it */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 6})
  void endsAllGenerationsWithOneCause(int requests) throws Exception {
    int handles = LeakTracker.openHandles();
    List<String> before = Emulator.createdObjects();
    try (Device device = open(); DiffusionVl model = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
        Engine engine = model.newEngine(OPTIONS)) {
      assertNull(engine.failure());
      List<Generation> all = submitted(engine, requests);
      BrokenDevice.make(device);
      if (requests == 0) {
        all.add(engine.submit(QUESTION, LONG, GenerationListener.NONE));
      }
      Set<Throwable> causes = new HashSet<>();
      for (Generation generation : all) {
        EngineException e = assertThrows(EngineException.Closed.class, generation::await);
        assertTrue(e.getMessage().startsWith("the engine's device has failed: c"), e.getMessage()); // the call of CUDA that met it first
        causes.add(e.getCause());
      }
      assertEquals(1, causes.size(), causes.toString());
      Throwable cause = causes.iterator().next();
      assertInstanceOf(CudaException.class, cause);
      assertSame(cause, engine.failure());
      var refused = assertThrows(EngineException.Closed.class, () -> engine.submit(QUESTION, LONG, GenerationListener.NONE));
      assertSame(cause, refused.getCause());
      assertTrue(engine.drain(Duration.ofSeconds(10)), "nothing is open any more");
      assertEquals(0, engine.stats().running() + engine.stats().waiting());
      assertEquals(all.size(), engine.stats().failed());
    }
    assertEquals(handles, LeakTracker.openHandles(), () -> String.join("\n", LeakTracker.report()));
    assertEquals(before, Emulator.createdObjects());
    assertEquals(0, Emulator.reportLeaks(), "bytes of the device");
  }

  /** Requests of which the first has begun. */
  private static List<Generation> submitted(Engine engine, int requests) throws InterruptedException {
    CountDownLatch begun = new CountDownLatch(Math.min(requests, 1));
    List<Generation> all = new ArrayList<>();
    for (int i = 0; i < requests; i++) {
      all.add(engine.submit(QUESTION, LONG.withSeed(i), new GenerationListener() {
        @Override
        public void onStep(int block, int step, List<Commit> committed) {
          begun.countDown();
        }
      }));
    }
    begun.await();
    return all;
  }

  /** A session says what failed, and a device that is opened anew works. */
  @Test
  void aDeviceThatIsOpenedAnewWorks() {
    int[] expected;
    try (Device device = open(); DiffusionVl model = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
        Session session = model.newSession()) {
      expected = session.generate(QUESTION, LONG).tokenIds();
      BrokenDevice.make(device);
      CudaException e = assertThrows(CudaException.class, () -> session.generate(QUESTION, LONG));
      assertEquals("CUDA_ERROR_ILLEGAL_ADDRESS", e.status());
      assertThrows(CudaException.class, model::newSession);
      assertThrows(CudaException.class, () -> model.newEngine(OPTIONS));
    }
    try (Device device = open(); DiffusionVl model = DiffusionVl.load(device, GoldenCase.MODEL, DType.F32);
        Session session = model.newSession()) {
      assertArrayEquals(expected, session.generate(QUESTION, LONG).tokenIds());
    }
  }
}
