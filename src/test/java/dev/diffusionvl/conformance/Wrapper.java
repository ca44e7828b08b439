// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.conformance;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import java.util.Random;

/**
 * A kernel of cuda/proof/conformance.cu, inputs for it that never change, and the answer by PTX's definition in plain Java. Where the
 * definition leaves the last bits open, {@link #ulps} says how many units an answer may differ.
 */
enum Wrapper {
  /** Small integers: whatever the order of the sixteen additions, the sum is exact, so the bits show the layout of the fragments. */
  MMA(24, 10, 4, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return word < 6 ? Bits.pack(random.nextInt(17) - 8, random.nextInt(17) - 8) : Float.floatToRawIntBits(random.nextInt(201) - 100);
    }

    @Override
    int[] model(int[] in) {
      return Models.mma(in, blocks, Bits::half);
    }
  },
  MMA_F16(24, 10, 4, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return word < 6 ? Bits.packF16(random.nextInt(17) - 8, random.nextInt(17) - 8) : MMA.input(random, thread, word);
    }

    @Override
    int[] model(int[] in) {
      return Models.mma(in, blocks, Bits::halfF16);
    }
  },
  LDMATRIX(1, 4, 8, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return 2 * (thread * 4 + word) | (2 * (thread * 4 + word) + 1) << 16; // every 16-bit element is its own number
    }

    @Override
    int[] model(int[] in) {
      return Models.ldmatrix(in);
    }
  },
  CP_ASYNC(1, 4, 4, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return random.nextInt();
    }

    @Override
    int[] model(int[] in) {
      int[] out = new int[in.length];
      for (int i = 0; i < out.length; i++) {
        int from = 31 - i / 4;
        out[i] = from % 3 == 0 ? 0 : in[from * 4 + i % 4];
      }
      return out;
    }
  },
  BF16(64, 1, 4, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return Bits.interesting(random, thread);
    }

    @Override
    int[] model(int[] in) {
      return Models.rounded(in, Bits::bf16, bits -> bits << 16);
    }
  },
  F16(64, 1, 4, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return Bits.interestingF16(random, thread);
    }

    @Override
    int[] model(int[] in) {
      return Models.rounded(in, Bits::f16, Bits::fromF16);
    }
  },
  SHUFFLE(4, 1, 5, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return random.nextInt();
    }

    @Override
    int[] model(int[] in) {
      return Models.shuffle(in);
    }
  },
  REDUCE(16, 1, 6, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return Float.floatToRawIntBits((float) (random.nextGaussian() * Math.pow(2, random.nextInt(20)))); // order shows
    }

    @Override
    int[] model(int[] in) {
      return Models.reduce(in);
    }
  },
  ARITHMETIC(64, 2, 5, 0) {
    @Override
    int input(Random random, int thread, int word) {
      return Bits.interesting(random, thread / 3 + word * (thread % 5)); // pairs of special values, and ordinary ones
    }

    @Override
    int[] model(int[] in) {
      return Models.arithmetic(in);
    }
  },
  /** exp2_fast flushes results below 2^-126 to 0 on a GPU: inputs stay above. */
  FUNCTIONS(64, 1, 5, 4) {
    @Override
    int input(Random random, int thread, int word) {
      float[] special = {0f, -0f, Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY, Float.NaN, 1f, -1f, 100f, -80f};
      return Float.floatToRawIntBits(thread < special.length ? special[thread] : (float) (random.nextGaussian() * Math.pow(4,
          random.nextInt(6) - 3)
          % 80));
    }

    @Override
    int[] model(int[] in) {
      return Models.functions(in);
    }
  };

  /** Blocks of 32 threads. */
  final int blocks;

  /** Words of output a thread. */
  final int outputs;

  /** Units in the last place of a float by which an answer may differ; 0: not a bit. */
  final int ulps;

  private final int inputs;

  Wrapper(int blocks, int inputs, int outputs, int ulps) {
    this.blocks = blocks;
    this.inputs = inputs;
    this.outputs = outputs;
    this.ulps = ulps;
  }

  abstract int input(Random random, int thread, int word);

  /** The answer to {@link #inputs()} by definition. */
  abstract int[] model(int[] in);

  /** Name of the kernel and of the file with a GPU's answer. */
  String kernel() {
    return "conformance_" + name().toLowerCase();
  }

  int[] inputs() {
    Random random = new Random(1); // java.util.Random: its numbers are specified for ever
    int[] in = new int[blocks * 32 * inputs];
    for (int i = 0; i < in.length; i++) {
      in[i] = input(random, i / inputs, i % inputs);
    }
    return in;
  }

  /** The device's answer. */
  int[] run(Device device, Stream stream) {
    int[] in = inputs();
    try (DeviceBuffer input = device.allocate("conformance input", DType.I32, in.length);
        DeviceBuffer output = device.allocate("conformance output", DType.I32, (long) blocks * 32 * outputs)) {
      input.set(stream, in);
      stream.launch(device.kernel("proof/conformance", kernel()), blocks, 1, 1, 32, 0).ptr(input).ptr(output).go();
      return output.getInts(stream);
    }
  }

  /** The first difference that is more than {@link #ulps} allows, or null. */
  String difference(int[] expected, int[] actual) {
    if (expected.length != actual.length) {
      return expected.length + " words, not " + actual.length;
    }
    for (int i = 0; i < expected.length; i++) {
      if (expected[i] != actual[i] && !close(Float.intBitsToFloat(expected[i]), Float.intBitsToFloat(actual[i]))) {
        return "thread %d, output %d: %08x (%s), should be %08x (%s)".formatted(i / outputs, i % outputs, actual[i],
            Float.intBitsToFloat(actual[i]), expected[i], Float.intBitsToFloat(expected[i]));
      }
    }
    return null;
  }

  private boolean close(float expected, float actual) {
    if (Float.isNaN(expected)) { // which NaN arithmetic gives, a CPU and a GPU do not agree on
      return (this == ARITHMETIC || this == FUNCTIONS) && Float.isNaN(actual);
    }
    return ulps > 0 && Math.abs(expected - actual) <= ulps * Math.ulp(expected);
  }
}
