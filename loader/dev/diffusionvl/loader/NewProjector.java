// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;

/**
 * A projector that has not learnt anything, and an image newline, as the reference begins with (docs/model.md, "Training objective"):
 * weights and biases of a linear layer of n inputs uniform within ±1/√n, the newline normal with deviation 1/√H.
 */
final class NewProjector {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT.withOrder(ByteOrder.LITTLE_ENDIAN);

  private NewProjector() {}

  /** F32 tensors by canonical name; a tensor's numbers depend on seed, name and width of its layer alone. */
  static Map<String, TensorView> tensors(ModelConfig config, long seed) {
    Map<String, TensorView> tensors = new LinkedHashMap<>();
    ModelShapes.of(config).forEach((name, shape) -> {
      int hidden = config.text().hiddenSize();
      if (name.startsWith("projector.")) {
        double bound = 1 / Math.sqrt(name.startsWith("projector.0.") ? config.sigLip().hiddenSize() : hidden);
        tensors.put(name, tensor(name, shape, seed, random -> random.nextDouble(-bound, bound)));
      } else if (name.equals("image_newline")) {
        tensors.put(name, tensor(name, shape, seed, random -> random.nextGaussian() / Math.sqrt(hidden)));
      }
    });
    return tensors;
  }

  private static TensorView tensor(String name, long[] shape, long seed, ToDoubleFunction<SplittableRandom> number) {
    long elements = Arrays.stream(shape).reduce(1, Math::multiplyExact);
    MemorySegment data = Arena.ofAuto().allocate(elements * Float.BYTES, Float.BYTES);
    SplittableRandom random = new SplittableRandom(new SplittableRandom(seed).nextLong() + name.hashCode());
    for (long i = 0; i < elements; i++) {
      data.setAtIndex(FLOAT, i, (float) number.applyAsDouble(random));
    }
    return new TensorView(name, TensorType.F32, shape, data.byteSize(), data);
  }
}
