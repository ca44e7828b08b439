// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.oracle.Rounding;
import dev.diffusionvl.prove.Findings;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * What kernel tests share: a device, random data that the dtype can hold exactly, and comparison by the worst row. The seed of a
 * failing test is in its message; {@code -Dtest.seed=N} sets it.
 */
@ExtendWith(Findings.class)
abstract class OpTest {
  /**
   * True on the check build, which inspects every memory access and runs each test in several schedules: a test that repeats one
   * path over many sizes or draws takes few of them there.
   */
  static final boolean SMALL = System.getProperty("dvl.emulated.build", "").equals("emulated-check");

  /** The nightly run and cuda/prove: f16 wherever bf16 is tested. */
  static final boolean F16_WHOLE = Boolean.getBoolean("test.f16");

  /**
   * Whether a test takes few sizes or draws now: on the check build, and where it runs once more ({@code PtxTest}, {@code GpuKindsTest});
   * there with all of them in the nightly run. Not a constant, because those run these tests in a JVM that also runs them as they are.
   */
  static boolean few() {
    return SMALL || !F16_WHOLE && Boolean.getBoolean("test.few");
  }

  /**
   * What inference runs in. The instances for f16 are those for bf16 with other conversions, so the check build looks at them in the
   * nightly run and in cuda/prove alone.
   */
  static final DType[] FLOATS = SMALL && !F16_WHOLE ? new DType[] {DType.BF16, DType.F32}
      : new DType[] {DType.BF16, DType.F32, DType.F16};

  static boolean withoutF16() {
    return !List.of(FLOATS).contains(DType.F16);
  }

  /** The same for long tests of what does not depend on the dtype. */
  static final DType[] MOST = F16_WHOLE ? FLOATS : new DType[] {DType.BF16, DType.F32};

  /** What is closed behind a test. */
  private interface Handle {
    void close();
  }

  /** What training runs in. */
  static final DType[] TRAINED = {DType.BF16, DType.F32};

  final long seed = Long.getLong("test.seed", 20261124L);
  SplittableRandom random = new SplittableRandom(seed);
  Device device;
  Stream stream;
  Kernels kernels;
  private final List<Handle> handles = new ArrayList<>();

  @BeforeEach
  void open() {
    device = Device.open(DeviceSpec.parse(System.getProperty("dvl.device", "auto")));
    stream = device.newStream();
    kernels = new Kernels(device);
  }

  @AfterEach
  void close() {
    handles.forEach(Handle::close);
    stream.close();
    device.close();
  }

  /** n normal numbers times scale, rounded to the dtype. */
  float[] normal(DType dtype, int n, double scale) {
    float[] values = new float[n];
    Rounding rounding = Rounding.of(dtype);
    for (int i = 0; i < n; i++) {
      values[i] = (float) rounding.of(random.nextGaussian() * scale);
    }
    return values;
  }

  DeviceBuffer buffer(DType dtype, float... values) {
    DeviceBuffer buffer = own(device.allocate("test data", dtype, values.length));
    buffer.set(stream, values);
    return buffer;
  }

  DeviceBuffer bytes(byte... values) {
    DeviceBuffer buffer = own(device.allocate("test bytes", DType.U8, values.length));
    try (Arena arena = Arena.ofConfined()) {
      stream.upload(arena.allocateFrom(ValueLayout.JAVA_BYTE, values), buffer);
    }
    return buffer;
  }

  byte[] bytesOf(DeviceBuffer buffer) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(Math.max(1, buffer.bytes()));
      stream.download(buffer, host.asSlice(0, buffer.bytes()));
      return host.asSlice(0, buffer.bytes()).toArray(ValueLayout.JAVA_BYTE);
    }
  }

  DeviceBuffer ints(int... values) {
    DeviceBuffer buffer = own(device.allocate("test ints", DType.I32, values.length));
    buffer.set(stream, values);
    return buffer;
  }

  DeviceBuffer empty(DType dtype, long n) {
    DeviceBuffer buffer = own(device.allocate("test result", dtype, n));
    stream.fill(buffer, 0xff); // NaN: what a kernel forgets to write shows
    return buffer;
  }

  DeviceBuffer own(DeviceBuffer buffer) {
    handles.add(buffer::close);
    return buffer;
  }

  SampleWorkspace own(SampleWorkspace workspace) {
    handles.add(workspace::close);
    return workspace;
  }

  DeviceBuffer optional(DType dtype, float[] values) {
    return values == null ? null : buffer(dtype, values);
  }

  /** Sets of tokens on the device. @param legal [rows, vocab] */
  DeviceBuffer legal(boolean[] legal, int rows) {
    int vocab = legal.length / rows;
    int[] words = new int[rows * Confidence.legalWords(vocab)];
    for (int i = 0; i < legal.length; i++) {
      int id = i % vocab;
      words[i / vocab * Confidence.legalWords(vocab) + id / 32] |= legal[i] ? 1 << id : 0;
    }
    return ints(words);
  }

  /** About one in {@code each} tokens; at least one in each row. */
  boolean[] randomLegal(int rows, int vocab, int each) {
    boolean[] legal = new boolean[rows * vocab];
    for (int i = 0; i < legal.length; i++) {
      legal[i] = random.nextInt(each) == 0;
    }
    for (int r = 0; r < rows; r++) {
      legal[r * vocab + random.nextInt(vocab)] = true;
    }
    return legal;
  }

  /** Draws for one block of {@code rows} rows, before which {@code forwards} passes were counted. */
  void sample(DeviceBuffer logits, int rows, int vocab, Sample.Rule rule, int forwards, DeviceBuffer uniforms, boolean original,
      Predictions to) {
    sample(logits, rows, vocab, rule, forwards, uniforms, original, to, null);
  }

  /** The same among legal tokens. */
  void sample(DeviceBuffer logits, int rows, int vocab, Sample.Rule rule, int forwards, DeviceBuffer uniforms, boolean original,
      Predictions to, DeviceBuffer legal) {
    int[] words = Blocks.masked(rows, new Remask.Rule(false, 0, rows, 1, 0), rule, -7);
    words[Blocks.FORWARDS] = forwards;
    try (SampleWorkspace workspace = new SampleWorkspace(stream, rows)) {
      kernels.sample.launch(stream, workspace, logits, vocab, to, 0, rows, new Blocks(ints(words), 1, rows, 1), ints(0, 0, 1, 0), 1,
          uniforms, original, legal);
    }
  }

  /** Relative L2 error of every row at most {@code tolerance}. */
  void assertRows(String what, double[] expected, float[] actual, int rows, double tolerance) {
    int width = expected.length / Math.max(1, rows);
    for (int r = 0; r < rows; r++) {
      double error = 0;
      double norm = 0;
      for (int i = r * width; i < (r + 1) * width; i++) {
        error += Math.pow(actual[i] - expected[i], 2);
        norm += Math.pow(expected[i], 2);
      }
      double relative = Math.sqrt(error) / Math.max(Math.sqrt(norm), 1e-6);
      assertTrue(relative <= tolerance, "%s: row %d of %d: relative error %.3g (seed %d)".formatted(what, r, rows, relative, seed));
    }
  }

  /** The distance between neighbouring numbers of a dtype around x. */
  static double unit(DType dtype, double x) {
    return switch (dtype) {
      case BF16 -> Math.ulp((float) x) * 65536;
      case F16 -> Math.max(Math.ulp((float) x) * 8192, 0x1p-24);
      default -> Math.ulp((float) x);
    };
  }

  /** An error in proportion to what a dtype's numbers keep of a number: bf16 8 bits, f16 11. */
  static double tolerance(DType dtype, double bf16, double f32) {
    return switch (dtype) {
      case BF16 -> bf16;
      case F16 -> Math.max(bf16 / 8, f32);
      default -> f32;
    };
  }

  /** Every element within {@code ulps} units in the last place of the dtype. */
  void assertUlps(String what, double[] expected, float[] actual, DType dtype, double ulps) {
    for (int i = 0; i < expected.length; i++) {
      double unit = unit(dtype, expected[i]);
      assertTrue(Math.abs(actual[i] - expected[i]) <= ulps * unit,
          "%s: element %d is %s, should be %s (seed %d)".formatted(what, i, actual[i], expected[i], seed));
    }
  }
}
