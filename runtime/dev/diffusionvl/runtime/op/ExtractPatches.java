// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;

/** Cuts images into rows of pixels, one per patch, so that a matrix product does the patch convolution. */
public final class ExtractPatches extends Op {
  private static final int THREADS = 128;

  public ExtractPatches(Device device) {
    super(device, "extract_patches");
  }

  /**
   * @param images BF16, F16 or F32 [count, height, width, channels]
   * @param patches dtype of images [count · (height / patch) · (width / patch), patch, patch, channels], raster order; a remainder at
   *     the right and the bottom is left out
   */
  public void launch(Stream stream, DeviceBuffer images, DeviceBuffer patches, int count, int height, int width, int channels, int patch) {
    require(count >= 0, "count", count);
    require(height > 0, "height", height);
    require(width > 0, "width", width);
    require(channels > 0, "channels", channels);
    require(patch > 0 && patch <= Math.min(height, width), "patch", patch);
    long run = times((long) patch * patch, channels);
    require(run <= Integer.MAX_VALUE, "values of a patch", run);
    long rows = times((long) (height / patch) * (width / patch), count);
    require(rows <= Integer.MAX_VALUE, "number of patches", rows);
    checkFloat("images", images);
    check("images", images, images.dtype(), times(times((long) height * width, channels), count));
    check("patches", patches, images.dtype(), times(rows, run));
    stream.launch(instance(images.dtype()), (int) rows, 1, 1, THREADS, 0)
        .ptr(images).ptr(patches).i32(height).i32(width).i32(channels).i32(patch).go();
  }
}
