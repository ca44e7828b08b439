// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.oracle;

import dev.diffusionvl.loader.BicubicResize;
import dev.diffusionvl.loader.RgbImage;
import dev.diffusionvl.loader.SigLipConfig;
import java.util.ArrayList;
import java.util.List;

/**
 * From an image to its embeddings in float64, step by step (docs/model.md, "Image preprocessing: SigLIP" and "SigLIP tower"): tiles as
 * pictures, features as a mosaic [h][w][H] that is really cut and resized.
 */
public final class SigLipOracle {
  private final SigLipConfig config;
  private final TensorMap weights;
  private final int side;
  private final int grid;

  public SigLipOracle(SigLipConfig config, TensorMap weights) {
    this.config = config;
    this.weights = weights;
    this.side = config.imageSize();
    this.grid = side / config.patchSize();
  }

  /** Width and height of the canvas in tiles, candidates up to 6 x 6. */
  public int[] bestCanvas(int w, int h) {
    int[] best = null;
    int bestEff = 0;
    double bestWaste = Double.POSITIVE_INFINITY;
    for (int i = 1; i <= 6; i++) {
      for (int j = 1; j <= 6; j++) {
        int cw = side * i;
        int ch = side * j;
        double s = Math.min(cw / (double) w, ch / (double) h);
        int eff = Math.min((int) (w * s) * (int) (h * s), w * h);
        int waste = cw * ch - eff;
        if (eff > bestEff || eff == bestEff && waste < bestWaste) {
          best = new int[] {i, j};
          bestEff = eff;
          bestWaste = waste;
        }
      }
    }
    return best;
  }

  /** Thumbnail and tiles, each [side][side][3] in [-1, 1]. */
  public List<double[]> anyresTiles(RgbImage image) {
    int w = image.width();
    int h = image.height();
    int[] canvas = bestCanvas(w, h);
    int cw = canvas[0] * side;
    int ch = canvas[1] * side;
    int nw = cw;
    int nh = ch;
    if (cw / (double) w < ch / (double) h) {
      nh = Math.min((int) Math.ceil(h * (cw / (double) w)), ch);
    } else {
      nw = Math.min((int) Math.ceil(w * (ch / (double) h)), cw);
    }
    RgbImage resized = BicubicResize.resize(image, nw, nh);
    List<double[]> tiles = new ArrayList<>();
    RgbImage thumbnail = BicubicResize.resize(image, side, side);
    tiles.add(tile(thumbnail, 0, 0));
    for (int ty = 0; ty < canvas[1]; ty++) {
      for (int tx = 0; tx < canvas[0]; tx++) {
        tiles.add(tile(resized, ty * side - (ch - nh) / 2, tx * side - (cw - nw) / 2));
      }
    }
    return tiles;
  }

  /** The image centred on a grey square, resized. */
  public double[] padTile(RgbImage image) {
    int longer = Math.max(image.width(), image.height());
    byte[] rgb = new byte[3 * longer * longer];
    int top = (longer - image.height()) / 2;
    int left = (longer - image.width()) / 2;
    for (int y = 0; y < longer; y++) {
      for (int x = 0; x < longer; x++) {
        for (int c = 0; c < 3; c++) {
          rgb[(y * longer + x) * 3 + c] = (byte) pixel(image, y - top, x - left, c, 127);
        }
      }
    }
    return tile(BicubicResize.resize(new RgbImage(longer, longer, rgb), side, side), 0, 0);
  }

  private static int pixel(RgbImage image, int y, int x, int c, int outside) {
    boolean inside = y >= 0 && x >= 0 && y < image.height() && x < image.width();
    return inside ? image.rgb()[(y * image.width() + x) * 3 + c] & 0xFF : outside;
  }

  private double[] tile(RgbImage image, int top, int left) {
    double[] tile = new double[side * side * 3];
    for (int i = 0; i < tile.length; i++) {
      tile[i] = (pixel(image, top + i / 3 / side, left + i / 3 % side, i % 3, 0) / 255.0 - 0.5) / 0.5;
    }
    return tile;
  }

  /** The residual stream after the last layer in use: [grid * grid][C]. */
  public double[] tower(double[] tile) {
    int c = config.hiddenSize();
    int p = config.patchSize();
    double[] kernel = weights.get("siglip.embeddings.patch_embedding.weight"); // [C][3][p][p]
    double[] bias = weights.get("siglip.embeddings.patch_embedding.bias");
    double[] x = weights.get("siglip.embeddings.position_embedding.weight").clone();
    for (int row = 0; row < grid * grid; row++) {
      for (int o = 0; o < c; o++) {
        double sum = bias[o];
        for (int channel = 0; channel < 3; channel++) {
          for (int y = 0; y < p; y++) {
            for (int dx = 0; dx < p; dx++) {
              int at = ((row / grid * p + y) * side + row % grid * p + dx) * 3 + channel;
              sum += tile[at] * kernel[((o * 3 + channel) * p + y) * p + dx];
            }
          }
        }
        x[row * c + o] += sum;
      }
    }
    for (int i = 0; i < config.layers(); i++) {
      String name = "siglip.encoder.layers." + i + ".";
      double[] n = layerNorm(name + "layer_norm1", x);
      double[] attended = TensorMap.attention(weights.linear(name + "self_attn.q_proj", n, c), weights.linear(name + "self_attn.k_proj", n,
          c),
          weights.linear(name + "self_attn.v_proj", n, c), config.heads(), config.heads(), c / config.heads(), (query, key) -> true);
      TensorMap.add(x, weights.linear(name + "self_attn.out_proj", attended, c));
      double[] inner = weights.linear(name + "mlp.fc1", layerNorm(name + "layer_norm2", x), c);
      for (int j = 0; j < inner.length; j++) {
        double z = inner[j];
        inner[j] = 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z * z * z)));
      }
      TensorMap.add(x, weights.linear(name + "mlp.fc2", inner, config.intermediateSize()));
    }
    return x;
  }

  private double[] layerNorm(String name, double[] x) {
    double[] weight = weights.get(name + ".weight");
    double[] bias = weights.get(name + ".bias");
    int width = weight.length;
    double[] y = new double[x.length];
    for (int r = 0; r < x.length; r += width) {
      double mean = 0;
      double variance = 0;
      for (int i = 0; i < width; i++) {
        mean += x[r + i] / width;
      }
      for (int i = 0; i < width; i++) {
        variance += (x[r + i] - mean) * (x[r + i] - mean) / width;
      }
      for (int i = 0; i < width; i++) {
        y[r + i] = (x[r + i] - mean) / Math.sqrt(variance + config.layerNormEps()) * weight[i] + bias[i];
      }
    }
    return y;
  }

  /** The projector over rows of C: [rows][H]. */
  public double[] project(double[] x) {
    double[] up = weights.linear("projector.0", x, config.hiddenSize());
    for (int i = 0; i < up.length; i++) {
      up[i] = 0.5 * up[i] * (1 + ElementwiseOracle.erf(up[i] / Math.sqrt(2)));
    }
    return weights.linear("projector.2", up, weights.get("projector.0.bias").length);
  }

  private double[] features(double[] tile) {
    return project(tower(tile));
  }

  /** A picture whose pixels are vectors. */
  private record Picture(int height, int width, double[][] pixels) {
    double[] at(int y, int x) {
      return pixels[y * width + x];
    }
  }

  private double[] row(double[] rows, int index) {
    int h = weights.get("image_newline").length;
    double[] row = new double[h];
    System.arraycopy(rows, index * h, row, 0, h);
    return row;
  }

  /** Rows of a single image, and of one among several. */
  public double[][] embed(RgbImage image, boolean single, int maxTiles) {
    List<double[]> rows = new ArrayList<>();
    if (!single) {
      double[] f = features(padTile(image));
      for (int i = 0; i < grid * grid; i++) {
        rows.add(row(f, i));
      }
      rows.add(weights.get("image_newline"));
      return rows.toArray(double[][]::new);
    }
    List<double[]> f = anyresTiles(image).stream().map(this::features).toList();
    for (int i = 0; i < grid * grid; i++) {
      rows.add(row(f.getFirst(), i));
    }
    int[] canvas = bestCanvas(image.width(), image.height());
    int h0 = canvas[1] * grid;
    int w0 = canvas[0] * grid;
    double[][] mosaic = new double[h0 * w0][];
    for (int ty = 0; ty < canvas[1]; ty++) {
      for (int tx = 0; tx < canvas[0]; tx++) {
        for (int r = 0; r < grid; r++) {
          for (int c = 0; c < grid; c++) {
            mosaic[(ty * grid + r) * w0 + tx * grid + c] = row(f.get(1 + ty * canvas[0] + tx), r * grid + c);
          }
        }
      }
    }
    Picture picture = shrink(unpad(new Picture(h0, w0, mosaic), image.width(), image.height()), maxTiles);
    for (int y = 0; y < picture.height(); y++) {
      for (int x = 0; x < picture.width(); x++) {
        rows.add(picture.at(y, x));
      }
      rows.add(weights.get("image_newline"));
    }
    return rows.toArray(double[][]::new);
  }

  private static Picture unpad(Picture p, int w, int h) {
    int top = 0;
    int left = 0;
    if (w / (double) h > p.width() / (double) p.height()) {
      top = (p.height() - (int) (h * (p.width() / (double) w))) / 2;
    } else {
      left = (p.width() - (int) (w * (p.height() / (double) h))) / 2;
    }
    List<double[]> kept = new ArrayList<>();
    for (int y = top; y < p.height() - top; y++) {
      for (int x = left; x < p.width() - left; x++) {
        kept.add(p.at(y, x));
      }
    }
    return new Picture(p.height() - 2 * top, p.width() - 2 * left, kept.toArray(double[][]::new));
  }

  private Picture shrink(Picture p, int maxTiles) {
    double t = Math.sqrt(p.height() * p.width() / (double) (maxTiles * grid * grid));
    if (t <= 1.1) {
      return p;
    }
    int height = (int) Math.floor(p.height() / t);
    int width = (int) Math.floor(p.width() / t);
    double[][] out = new double[height * width][];
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        double sy = Math.max(0, (y + 0.5) * p.height() / height - 0.5);
        double sx = Math.max(0, (x + 0.5) * p.width() / width - 0.5);
        double[] value = new double[p.at(0, 0).length];
        for (int i = 0; i < value.length; i++) {
          double above = mix(p, (int) sy, sx, i);
          double below = mix(p, Math.min((int) sy + 1, p.height() - 1), sx, i);
          value[i] = above + (below - above) * (sy - (int) sy);
        }
        out[y * width + x] = value;
      }
    }
    return new Picture(height, width, out);
  }

  private static double mix(Picture p, int y, double sx, int i) {
    double a = p.at(y, (int) sx)[i];
    double b = p.at(y, Math.min((int) sx + 1, p.width() - 1))[i];
    return a + (b - a) * (sx - (int) sx);
  }
}
