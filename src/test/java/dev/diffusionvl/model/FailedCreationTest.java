// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.prove.Emulator;
import dev.diffusionvl.prove.FailingCreations;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Each creation of device memory, pinned memory, a stream, an event, a graph or a library's handle fails in turn, while a model is loaded,
 * a session opened and a question answered: nothing is left of what had been created before it. What takes its time is tried for some
 * creations; {@code -Ddvl.switches=all} tries it for all.
 */
class FailedCreationTest {
  private static final boolean ALL = System.getProperty("dvl.switches", "few").equals("all");
  private static final GenerationOptions OPTIONS = GenerationOptions.DEFAULTS.withGenLength(16).withSteps(2);

  @TempDir private static Path temp;
  private static Device device;
  private static FailingCreations creations;

  enum Family {
    QWEN_VL, SIGLIP;

    Path folder() {
      return this == QWEN_VL ? GoldenCase.MODEL : temp.resolve("tiny-siglip");
    }
  }

  @BeforeAll
  static void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    creations = new FailingCreations(device);
    SigLipCheckpoint.write(Family.SIGLIP.folder());
  }

  @AfterAll
  static void close() {
    device.close();
  }

  @AfterEach
  void nothingFailsAnyMore() {
    Emulator.failCreation(0);
  }

  @ParameterizedTest
  @EnumSource
  void load(Family family) {
    creations.each("load of " + family, () -> DiffusionVl.load(device, family.folder(), DType.BF16).close());
  }

  @ParameterizedTest
  @EnumSource
  void session(Family family) {
    try (DiffusionVl model = DiffusionVl.load(device, family.folder(), DType.BF16)) {
      for (GemmChoice gemm : List.of(GemmChoice.CUBLAS, GemmChoice.OWN)) {
        creations.each("session of " + family + " with " + gemm, () -> model.newSession(gemm).close());
        creations.each("probe of " + family + " with " + gemm, () -> {
          try (Session session = model.newSession(gemm)) {
            session.newForwardProbe(16, 2 * model.config().blockSize()).close();
          }
        });
      }
    }
  }

  /** The session answers the same question afterwards as if nothing had happened (of four failures one is tried). */
  @ParameterizedTest
  @EnumSource
  void generation(Family family) {
    Request request = Request.of("What colour is it?", new RgbImage(60, 56, new byte[3 * 60 * 56]));
    try (DiffusionVl model = DiffusionVl.load(device, family.folder(), DType.BF16)) {
      int[] expected;
      try (Session session = model.newSession(GemmChoice.CUBLAS)) {
        expected = session.generate(request, OPTIONS).tokenIds();
      }
      creations.each("generation of " + family, () -> {
        try (Session session = model.newSession(GemmChoice.CUBLAS)) {
          try {
            session.generate(request, OPTIONS);
          } catch (RuntimeException e) {
            if (ALL || Emulator.creations() % 4 == 0) {
              assertArrayEquals(expected, session.generate(request, OPTIONS).tokenIds());
            }
            throw e;
          }
        }
      });
    }
  }
}
