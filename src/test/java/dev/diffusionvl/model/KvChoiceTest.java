// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.ModelFiles;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Keys and values in 8 bits: what they take, what they change, and what they do not hide. */
class KvChoiceTest extends DemoModelTest {
  private static final Request QUESTION = Request.of("What do you see?");
  private static final GenerationOptions OPTIONS = GenerationOptions.DEFAULTS.withGenLength(24);

  /** 128 codes and a scale of 4 bytes, for 256 bytes. */
  @Test
  void theyTakeAboutHalfTheMemory() {
    try (ModelFiles files = ModelFiles.open(GoldenCase.MODEL)) {
      MemoryNeed numbers = MemoryNeed.of(files, DType.BF16, 1000);
      MemoryNeed codes = MemoryNeed.of(files, DType.BF16, KvChoice.FP8, 1000);
      assertEquals(numbers.weights(), codes.weights());
      assertEquals(numbers.cache() / 256 * 132, codes.cache());
    }
    long numbers = engineBytes(KvChoice.AUTO);
    long codes = engineBytes(KvChoice.FP8);
    long saved = 60_000L * 2 * 4 * (256 - 132); // rows, keys and values, layers of one kv head
    assertEquals(saved, numbers - codes, 0.02 * saved);
  }

  private static long engineBytes(KvChoice kv) {
    long free = device.memory().free();
    try (Engine engine = bf16.newEngine(EngineOptions.DEFAULTS.withSlots(2).withKvTokens(60_000).withKv(kv))) {
      assertFalse(engine.submit(QUESTION, OPTIONS, GenerationListener.NONE).await().text().isEmpty());
      return free - device.memory().free();
    }
  }

  /** By cuBLAS and by our own products the rows are written by different kernels, which give each other's codes. */
  @ParameterizedTest
  @EnumSource(names = {"CUBLAS", "OWN"})
  void theyChangeConfidencesAndFewTokens(GemmChoice gemm) {
    GoldenCase golden = cases().stream().filter(c -> c.name().startsWith("p4")).findFirst().orElseThrow();
    Trace numbers = new Trace(true);
    Trace codes = new Trace(true);
    try (Session plain = bf16.newSession(gemm); Session coded = bf16.newSession(gemm, true, KvChoice.FP8)) {
      plain.generate(golden.request(), golden.options(false), numbers);
      GenerationResult result = coded.generate(golden.request(), golden.options(false), codes);
      assertArrayEquals(golden.expectedIds(), result.tokenIds(), golden.name());
    }
    assertThrows(AssertionError.class, () -> codes.assertSameAs(numbers, 0, "the cache was not what was asked for"));
  }

  @Test
  void nanIsReported() {
    try (DiffusionVl broken = DiffusionVl.load(device, GoldenCase.MODEL, DType.BF16); Stream stream = device.newStream();
        Session session = broken.newSession(GemmChoice.AUTO, true, KvChoice.FP8)) {
      DeviceBuffer bias = broken.text().layers().getFirst().qkv().bias();
      float[] spoilt = bias.getFloats(stream);
      Arrays.fill(spoilt, spoilt.length - 1, spoilt.length, Float.NaN); // of the values alone
      bias.set(stream, spoilt);
      assertThrows(NumericalException.class, () -> session.generate(QUESTION, OPTIONS));
    }
  }

  @Test
  void refusedWhereThereIsNoKernel() {
    String message = assertThrows(IllegalArgumentException.class, () -> f32.newSession(GemmChoice.AUTO, true, KvChoice.FP8)).getMessage();
    assertEquals("kv fp8 goes with dtype bf16 and f16, not with f32", message);
    assertThrows(IllegalArgumentException.class, () -> f32.newEngine(EngineOptions.DEFAULTS.withKv(KvChoice.FP8)));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> KvChoice.parse("FP8")).getMessage().contains("auto and fp8"));
  }
}
