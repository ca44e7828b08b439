// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** The most extreme shape of an image that is processed: that of the Qwen2.5-VL processor, for both families. */
final class AspectRatio {
  private static final int MAX = 200;

  private AspectRatio() {}

  /** @throws BadInputException if one side is more than 200 times the other */
  static void check(int width, int height, String name) {
    if (Math.max(height, width) > (long) MAX * Math.min(height, width)) {
      throw new BadInputException(name + ": size: " + width + " x " + height + " pixels; the longer side may be "
          + "at most " + MAX + " times the shorter one");
    }
  }
}
