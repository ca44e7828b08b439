// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What a model directory says on the preparation of images.
 *
 * @param remarks defaults that were taken, where they decide how many rows an image becomes; a line each
 */
record ImageSettings(long minPixels, long maxPixels, float[] mean, float[] std, List<String> remarks) {
  private static final long DEFAULT_MIN_PIXELS = 384 * 384;
  private static final long DEFAULT_MAX_PIXELS = 512 * 512;
  private static final float[] CLIP_MEAN = {0.48145466f, 0.4578275f, 0.40821073f};
  private static final float[] HALF = {0.5f, 0.5f, 0.5f};
  private static final float[] CLIP_STD = {0.26862954f, 0.26130258f, 0.27577711f};
  private static final long MAX_PIXELS = 100_000_000;

  /** Newer libraries keep these settings inside processor_config.json, which wins over the file of their own. Null if there are none. */
  private static JsonObject preprocessor(Path modelDir) {
    Path shared = modelDir.resolve("processor_config.json");
    JsonObject nested = InputFiles.present(shared) ? Json.readObject(shared, ConfigReader.MAX_FILE_BYTES).object("image_processor") : null;
    Path own = modelDir.resolve("preprocessor_config.json");
    return nested != null || !InputFiles.present(own) ? nested : Json.readObject(own, ConfigReader.MAX_FILE_BYTES);
  }

  /** Pixel limits of config.json win over the preprocessor's, which win over those of training. */
  static ImageSettings read(Path modelDir, JsonObject config, JsonObject visionOrNull, ModelFamily family) {
    boolean sigLip = family == ModelFamily.QWEN_SIGLIP;
    JsonObject preprocessor = preprocessor(modelDir);
    if (preprocessor != null && family != ModelFamily.QWEN_TEXT) {
      requireComputed(preprocessor, family == ModelFamily.QWEN_VL ? visionOrNull : null);
    }
    List<String> remarks = new ArrayList<>();
    long min = pixels("min_pixels", "shortest_edge", config, preprocessor);
    long max = pixels("max_pixels", "longest_edge", config, preprocessor);
    List<String> sizes = family == ModelFamily.QWEN_VL ? remarks : new ArrayList<>(); // nothing of the others depends on them
    min = min > 0 ? min : taken("min_pixels", DEFAULT_MIN_PIXELS, config, sizes);
    max = max > 0 ? max : taken("max_pixels", DEFAULT_MAX_PIXELS, config, sizes);
    if (sigLip && !config.has("image_aspect_ratio")) {
      remarks.add(config.file() + ": image_aspect_ratio: missing; pad is taken, which decides how many rows an image becomes");
    }
    if (min > max) {
      JsonObject holder = config.has("min_pixels") || preprocessor == null ? config : preprocessor;
      throw holder.error("min_pixels", min + " is above max_pixels " + max);
    }
    return new ImageSettings(min, max, channels(preprocessor, "image_mean", sigLip ? HALF : CLIP_MEAN, false),
        channels(preprocessor, "image_std", sigLip ? HALF : CLIP_STD, true), remarks);
  }

  /** Images are resized bicubically, scaled to 0..1, normalised, and cut as the tower takes them. All else is refused. */
  private static void requireComputed(JsonObject preprocessor, JsonObject towerOrNull) {
    for (String step : List.of("do_resize", "do_rescale", "do_normalize")) {
      preprocessor.requireComputed(step, true);
    }
    preprocessor.requireComputed("resample", 3.0);
    if (preprocessor.has("rescale_factor") && Math.abs(255 * preprocessor.number("rescale_factor", 0, 1e9) - 1) > 1e-5) {
      throw preprocessor.error("rescale_factor", preprocessor.fields().get("rescale_factor") + " is not supported, only 1/255 is");
    }
    if (towerOrNull != null) {
      Map.of("patch_size", "patch_size", "temporal_patch_size", "temporal_patch_size", "merge_size", "spatial_merge_size")
          .forEach((name, ofTower) -> requireEqual(preprocessor, name, towerOrNull, ofTower));
    }
  }

  private static void requireEqual(JsonObject preprocessor, String name, JsonObject tower, String ofTower) {
    if (preprocessor.has(name) && tower.has(ofTower)) {
      long size = preprocessor.integer(name, 1, 1024);
      long expected = tower.integer(ofTower, 1, 1024);
      if (size != expected) {
        throw preprocessor.error(name, size + " differs from the tower's " + ofTower + " " + expected);
      }
    }
  }

  /** 0 if no file says. */
  private static long pixels(String name, String sizeName, JsonObject config, JsonObject preprocessor) {
    if (config.has(name)) {
      return config.integer(name, 1, MAX_PIXELS);
    }
    JsonObject size = preprocessor == null ? null : preprocessor.object("size");
    if (preprocessor != null && preprocessor.has(name)) {
      return preprocessor.integer(name, 1, MAX_PIXELS);
    }
    if (size != null && size.has(name)) {
      return size.integer(name, 1, MAX_PIXELS);
    }
    return size != null && size.has(sizeName) ? size.integer(sizeName, 1, MAX_PIXELS) : 0;
  }

  private static long taken(String name, long value, JsonObject config, List<String> remarks) {
    remarks.add(config.file() + ": " + name + ": missing, in processor_config.json and preprocessor_config.json too; " + value
        + " is taken, which decides how many rows an image becomes");
    return value;
  }

  private static float[] channels(JsonObject preprocessor, String name, float[] absent, boolean positive) {
    List<?> list = preprocessor == null ? null : preprocessor.list(name);
    if (list == null) {
      return absent.clone();
    }
    float[] values = new float[3];
    for (int i = 0; i < 3; i++) {
      boolean usable = list.size() == 3 && list.get(i) instanceof Number n && Math.abs(n.doubleValue()) < 1e6
          && !(positive && n.doubleValue() <= 1e-6);
      if (!usable) {
        throw preprocessor.error(name, "expected three " + (positive ? "positive " : "") + "numbers");
      }
      values[i] = ((Number) list.get(i)).floatValue();
    }
    return values;
  }
}
