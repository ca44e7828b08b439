// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;

/** adamw_8bit: a step against the formula, codes that lose nothing on average, and a descent beside the one in f32. */
class Adamw8bitTest extends OpTest {
  private static final double FIRST_STEP = 16.0 / 126; // octaves from level to level
  private static final double SECOND_STEP = 24.0 / 254;
  private static final float[] NO_CLIP = {1};

  private static Adamw.Settings settings(float rate, int step) {
    return new Adamw.Settings(rate, 0.9f, 0.999f, 1e-8f, 0.01f, step);
  }

  private static double first(int code) {
    int level = code & 127;
    return level == 0 ? 0 : (code < 128 ? 1 : -1) * Math.pow(2, (level - 127) * FIRST_STEP);
  }

  private static double second(int code) {
    return code == 0 ? 0 : Math.pow(2, (code - 255) * SECOND_STEP);
  }

  private byte[] bytes(DeviceBuffer buffer) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(buffer.elements());
      stream.download(buffer, host);
      return host.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  private DeviceBuffer codes(byte[] values) {
    DeviceBuffer buffer = own(device.allocate("codes", DType.U8, values.length));
    try (Arena arena = Arena.ofConfined()) {
      stream.upload(arena.allocateFrom(ValueLayout.JAVA_BYTE, values), buffer);
    }
    return buffer;
  }

  private Adamw8bit.Moments zeros(int n) {
    int scales = (int) Adamw8bit.scales(n);
    return new Adamw8bit.Moments(codes(new byte[n]), buffer(DType.F32, new float[scales]), codes(new byte[n]),
        buffer(DType.F32, new float[scales]));
  }

  @Test
  void oneStep() {
    for (DType dtype : TRAINED) {
      for (int n : new int[] {1, 7, 256, 2048, 2313}) {
        int blocks = (int) Adamw8bit.scales(n);
        byte[] m = new byte[n];
        byte[] v = new byte[n];
        random.nextBytes(m);
        random.nextBytes(v);
        float[] mScale = new float[blocks];
        float[] vScale = new float[blocks];
        for (int b = 0; b < blocks; b++) {
          mScale[b] = (float) Math.exp(random.nextGaussian());
          vScale[b] = (float) Math.exp(random.nextGaussian());
        }
        float[] w = normal(DType.F32, n, 1);
        float[] g = normal(DType.F32, n, 1);
        Adamw8bit.Moments moments = new Adamw8bit.Moments(codes(m), buffer(DType.F32, mScale), codes(v), buffer(DType.F32, vScale));
        DeviceBuffer master = buffer(DType.F32, w);
        DeviceBuffer weight = dtype == DType.F32 ? master : empty(dtype, n);
        kernels.adamw8bit.launch(stream, master, weight, moments, buffer(DType.F32, g), buffer(DType.F32, 0.5f), settings(1e-2f, 3), 5);
        double[] firsts = new double[n];
        double[] seconds = new double[n];
        double[] expected = new double[n];
        for (int i = 0; i < n; i++) {
          firsts[i] = 0.9 * first(m[i] & 255) * mScale[i / 256] + 0.1 * 0.5 * g[i];
          seconds[i] = 0.999 * second(v[i] & 255) * vScale[i / 256] + 0.001 * 0.25 * g[i] * g[i];
          expected[i] = w[i] * (1 - 1e-2 * 0.01)
              - 1e-2 * (firsts[i] / (1 - Math.pow(0.9, 3))) / (Math.sqrt(seconds[i] / (1 - Math.pow(0.999, 3))) + 1e-8);
        }
        String what = "adamw_8bit " + dtype + " of " + n;
        float[] exact = master.getFloats(stream);
        assertRows(what + " master", expected, exact, 1, 3e-6);
        double[] rounded = new double[n];
        Arrays.setAll(rounded, i -> Rounding.of(dtype).of(exact[i]));
        assertUlps(what + " weight", rounded, weight.getFloats(stream), dtype, 0);
        checkMoment(what + " m", firsts, moments.firstScale(), bytes(moments.first()), Adamw8bitTest::first, FIRST_STEP, true);
        checkMoment(what + " v", seconds, moments.secondScale(), bytes(moments.second()), Adamw8bitTest::second, SECOND_STEP, false);
      }
    }
  }

  /** The scale is the largest magnitude; a code is one of the two levels around its moment, or the lowest. */
  private void checkMoment(String what, double[] moment, DeviceBuffer scale, byte[] codes, IntToDoubleFunction value, double step,
      boolean zeroIsALevel) {
    float[] scales = scale.getFloats(stream);
    for (int i = 0; i < moment.length; i++) {
      int begin = i / 256 * 256;
      double most = Arrays.stream(moment, begin, Math.min(begin + 256, moment.length)).map(Math::abs).max().orElseThrow();
      String where = what + " element " + i + " (seed " + seed + ")";
      assertEquals(most, scales[i / 256], most * 3e-5, where); // 1 - 0.999 in f32
      double part = moment[i] / most;
      double coded = value.applyAsDouble(codes[i] & 255);
      double lowest = value.applyAsDouble(1);
      if (Math.abs(part) < lowest) {
        assertTrue(Math.abs(coded) <= lowest * 1.0001 && (zeroIsALevel || coded > 0), where + ": " + part + " became " + coded);
      } else {
        double octaves = Math.abs(Math.log(coded / part) / Math.log(2));
        assertTrue(coded * part > 0 && octaves <= step * 1.001, where + ": " + part + " became " + coded);
      }
    }
  }

  /** Many elements with one moment: codes differ, and their mean is the moment. A step or a seed on, other codes; again, the same. */
  @Test
  void roundingByChanceLosesNothing() {
    int n = 64 * 256;
    float[] g = new float[n];
    for (int i = 0; i < n; i++) {
      g[i] = i % 256 == 0 ? 1 : 0.3f;
    }
    byte[][] made = new byte[4][];
    for (int run = 0; run < 4; run++) {
      Adamw8bit.Moments moments = zeros(n);
      DeviceBuffer master = buffer(DType.F32, new float[n]);
      kernels.adamw8bit.launch(stream, master, master, moments, buffer(DType.F32, g), buffer(DType.F32, NO_CLIP),
          settings(1e-3f, run == 1 ? 2 : 1), run == 2 ? 8 : 7);
      byte[] m = bytes(moments.first());
      made[run] = bytes(moments.second());
      double first = 0;
      double second = 0;
      for (int i = 0; i < n; i++) {
        first += i % 256 == 0 ? 0 : first(m[i] & 255) / (n - n / 256);
        second += i % 256 == 0 ? 0 : second(made[run][i] & 255) / (n - n / 256);
      }
      assertEquals(0.3, first, 0.3 * 2e-3, "mean of m");
      assertEquals(0.09, second, 0.09 * 2e-3, "mean of v");
    }
    assertFalse(Arrays.equals(made[0], made[1]), "another step");
    assertFalse(Arrays.equals(made[0], made[2]), "another seed");
    assertArrayEquals(made[0], made[3], "the same seed and step");
  }

  /** Gradients far below the largest one of their block: the step is never divided by a second moment that was rounded to nothing. */
  @Test
  void smallSecondMomentsStay() {
    int n = 300;
    float[] g = new float[n];
    Arrays.fill(g, 1e-5f);
    g[9] = 1;
    Adamw8bit.Moments moments = zeros(n);
    DeviceBuffer master = buffer(DType.F32, new float[n]);
    DeviceBuffer gradient = buffer(DType.F32, g);
    for (int step = 1; step <= 5; step++) {
      kernels.adamw8bit.launch(stream, master, master, moments, gradient, buffer(DType.F32, NO_CLIP), settings(1e-2f, step), 3);
      for (byte code : bytes(moments.second())) {
        assertTrue(code != 0, "a second moment is 0 after step " + step);
      }
    }
    for (float w : master.getFloats(stream)) {
      assertTrue(w <= 0 && w >= -0.051, "five steps of at most the rate each: " + w);
    }
  }

  /** 200 steps down a noisy bowl of very different curvatures, beside the optimiser in f32 with the same noise. */
  @Test
  void staysCloseToF32() {
    int n = 1000;
    float[] curvature = new float[n];
    for (int i = 0; i < n; i++) {
      curvature[i] = (float) Math.pow(10, -2.0 * (i % 7) / 6);
    }
    float[] start = normal(DType.F32, n, 1);
    float[][] noise = new float[200][];
    Arrays.setAll(noise, step -> normal(DType.F32, n, 0.1));
    DeviceBuffer exact = buffer(DType.F32, start);
    DeviceBuffer coded = buffer(DType.F32, start);
    DeviceBuffer m = buffer(DType.F32, new float[n]);
    DeviceBuffer v = buffer(DType.F32, new float[n]);
    Adamw8bit.Moments moments = zeros(n);
    DeviceBuffer clip = buffer(DType.F32, NO_CLIP);
    DeviceBuffer gradient = empty(DType.F32, n);
    for (int step = 1; step <= noise.length; step++) {
      Adamw.Settings settings = settings(1e-2f, step);
      gradient.set(stream, gradient(exact.getFloats(stream), curvature, noise[step - 1]));
      kernels.adamw.launch(stream, exact, exact, m, v, gradient, clip, settings);
      gradient.set(stream, gradient(coded.getFloats(stream), curvature, noise[step - 1]));
      kernels.adamw8bit.launch(stream, coded, coded, moments, gradient, clip, settings, 1);
    }
    double before = loss(start, curvature);
    double there = loss(exact.getFloats(stream), curvature);
    double here = loss(coded.getFloats(stream), curvature);
    assertTrue(there < 0.1 * before, "f32 descends: " + before + " to " + there);
    assertEquals(there, here, 0.01 * before, "loss in 8 bits");
    float[] a = exact.getFloats(stream);
    float[] b = coded.getFloats(stream);
    double apart = 0;
    double way = 0;
    for (int i = 0; i < n; i++) {
      apart += Math.pow(a[i] - b[i], 2);
      way += Math.pow(a[i] - start[i], 2);
    }
    assertTrue(Math.sqrt(apart / way) < 0.05, "weights apart by " + Math.sqrt(apart / way) + " of the way");
  }

  private static float[] gradient(float[] w, float[] curvature, float[] noise) {
    float[] g = new float[w.length];
    for (int i = 0; i < g.length; i++) {
      g[i] = curvature[i] * (w[i] + noise[i]);
    }
    return g;
  }

  private static double loss(float[] w, float[] curvature) {
    double loss = 0;
    for (int i = 0; i < w.length; i++) {
      loss += 0.5 * curvature[i] * w[i] * w[i];
    }
    return loss;
  }
}
