// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.ChatPrompt;
import java.util.List;

/**
 * Time, row and column of each row of a prompt and of what follows it (docs/model.md, "Autoregressive base").
 *
 * @param axes [3][rows]
 */
record MropePositions(int[][] axes) {
  /**
   * @param tokens of the prompt, with {@link ChatPrompt#IMAGE} for each image
   * @param rows of prompt and answer; those behind the prompt count on
   */
  static MropePositions of(int[] tokens, List<ImageEncoder.Input> images, int rows) {
    int[][] axes = new int[3][rows];
    int row = 0;
    int next = 0; // position
    int image = 0;
    for (int i = 0; row < rows; i++) {
      if (i >= tokens.length || tokens[i] != ChatPrompt.IMAGE) {
        axes[0][row] = next;
        axes[1][row] = next;
        axes[2][row++] = next++;
        continue;
      }
      ImageEncoder.Input input = images.get(image++);
      int columns = input.columns();
      for (int r = 0; r < input.rows() && row < rows; r++) {
        axes[0][row] = next;
        axes[1][row] = next + r / columns;
        axes[2][row++] = next + r % columns;
      }
      next += Math.max(columns, input.rows() / columns);
    }
    return new MropePositions(axes);
  }
}
