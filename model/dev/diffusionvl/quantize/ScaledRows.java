// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.quantize;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.loader.EncodedMatrix;
import dev.diffusionvl.loader.TensorView;
import java.nio.file.Path;

/**
 * A stored matrix [out, in] whose inputs are multiplied and whose outputs are divided by factors.
 *
 * @param folder named in errors
 * @param columns [in]; null: all are 1
 * @param divisors [out]; null: all are 1
 */
record ScaledRows(Path folder, TensorView view, float[] columns, float[] divisors) implements EncodedMatrix.Rows {
  int out() {
    return (int) view.shape()[0];
  }

  int in() {
    return (int) view.shape()[1];
  }

  @Override
  public void read(int row, float[] target) {
    plain(row, target);
    for (int i = 0; columns != null && i < target.length; i++) {
      target[i] *= columns[i];
    }
    for (int i = 0; divisors != null && i < target.length; i++) {
      target[i] /= divisors[row];
    }
  }

  /** The row as it is stored. @throws BadInputException if a weight is no finite number */
  void plain(int row, float[] target) {
    long from = (long) row * target.length;
    for (int i = 0; i < target.length; i++) {
      target[i] = view.floatAt(from + i);
      if (!Float.isFinite(target[i])) {
        throw BadInputException.of(folder, view.name(), "element [" + row + ", " + i + "] is " + target[i]);
      }
    }
  }

  /** What is lost: the decoded row, with the factors taken away again, less the stored one. */
  EncodedMatrix.Rows loss(EncodedMatrix encoded) {
    return (row, target) -> {
      float[] scaled = new float[target.length];
      float[] plain = new float[target.length];
      read(row, scaled);
      plain(row, plain);
      encoded.decode(row, scaled, target);
      for (int i = 0; i < target.length; i++) {
        float column = columns == null ? 1 : columns[i];
        float divisor = divisors == null ? 1 : divisors[row];
        target[i] = target[i] / column * divisor - plain[i];
      }
    };
  }
}
