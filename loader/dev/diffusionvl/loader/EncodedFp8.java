// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

import java.lang.foreign.ValueLayout;
import java.util.List;

/** E4M3 numbers, a scale per output. @param scales [out], bf16 */
record EncodedFp8(String layer, int out, int in, EncodedMatrix.Rows rows, short[] scales) implements EncodedMatrix {
  static EncodedFp8 of(String layer, int out, int in, Rows rows) {
    short[] scales = new short[out];
    Encoding.eachRow(out, row -> {
      float[] weights = new float[in];
      rows.read(row, weights);
      float largest = 0;
      for (float weight : weights) {
        largest = Math.max(largest, Math.abs(weight));
      }
      scales[row] = Encoding.scale(largest == 0 ? 1 : largest / E4m3.MAX);
    });
    return new EncodedFp8(layer, out, in, rows, scales);
  }

  @Override
  public List<SafetensorsWriter.Tensor> tensors() {
    return List.of(new SafetensorsWriter.Tensor(layer + ".weight", TensorType.F8_E4M3, new long[] {out, in},
        Encoding.codes(out, in, (row, target) -> {
          float[] weights = new float[in];
          rows.read(row, weights);
          float scale = Encoding.scaleOf(scales[row]);
          for (int i = 0; i < in; i++) {
            target.set(ValueLayout.JAVA_BYTE, i, E4m3.encode(weights[i] / scale));
          }
        })), Encoding.scales(layer, out, 1, scales));
  }

  @Override
  public void decode(int row, float[] weights, float[] decoded) {
    float scale = Encoding.scaleOf(scales[row]);
    for (int i = 0; i < in; i++) {
      decoded[i] = E4m3.decode(E4m3.encode(weights[i] / scale)) * scale;
    }
  }
}
