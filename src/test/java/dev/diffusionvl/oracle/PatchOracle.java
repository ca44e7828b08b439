// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

/**
 * Patch embedding (docs/model.md, "SigLIP tower"): cutting images, positions; weighted rows (docs/model.md, "Image preprocessing: SigLIP").
 */
public final class PatchOracle {
  private PatchOracle() {}

  /** images [count][height][width][channels] to [count * gh * gw][patch][patch][channels]. */
  public static float[] extractPatches(float[] images, int count, int height, int width, int channels, int patch) {
    int gh = height / patch;
    int gw = width / patch;
    float[] patches = new float[count * gh * gw * patch * patch * channels];
    int at = 0;
    for (int n = 0; n < count; n++) {
      for (int gy = 0; gy < gh; gy++) {
        for (int gx = 0; gx < gw; gx++) {
          for (int y = 0; y < patch; y++) {
            for (int x = 0; x < patch; x++) {
              for (int c = 0; c < channels; c++) {
                patches[at++] = images[((n * height + gy * patch + y) * width + gx * patch + x) * channels + c];
              }
            }
          }
        }
      }
    }
    return patches;
  }

  /** T(T(patch + bias) + position), positions repeating. */
  public static double[] positionEmbedding(float[] patches, float[] bias, float[] position, int width, Rounding t) {
    double[] y = new double[patches.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = t.of(t.of(patches[i] + (double) bias[i % width]) + position[i % position.length]);
    }
    return y;
  }

  /** Sums of four weighted rows each, rounded once. */
  public static double[] blendRows(float[] table, int[] index, float[] weight, int width, Rounding t) {
    int rows = index.length / 4;
    double[] y = new double[rows * width];
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < width; i++) {
        double sum = 0;
        for (int k = 4 * r; k < 4 * r + 4; k++) {
          sum += weight[k] == 0 ? 0 : (double) weight[k] * table[index[k] * width + i];
        }
        y[r * width + i] = t.of(sum);
      }
    }
    return y;
  }
}
