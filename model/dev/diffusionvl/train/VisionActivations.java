// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.op.Heads;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.LayerNormBackward;
import java.util.ArrayList;
import java.util.List;

/**
 * What a training pass over a vision tower and its projector keeps for the way back, and what it works on. A row is a patch; a feature is
 * what the projector makes of {@code unit} rows.
 */
final class VisionActivations implements AutoCloseable {
  /**
   * Sizes of a tower and its projector.
   *
   * @param width D, of the residual stream
   * @param inner I, of the MLP
   * @param pixels values of a patch
   * @param unit rows that make a feature
   * @param projected P, width within the projector
   * @param features H
   */
  record Shape(int layers, int width, int heads, int inner, int pixels, int unit, int projected, int features) {}

  /** What is kept of the tower. */
  enum Keep {
    /** Everything that the way back needs. */
    ALL,
    /** What goes into the layers; the rest is computed again on the way back. */
    LAYER_INPUTS,
    /** What comes out of the last layer: nothing goes back through the tower. */
    OUTPUT
  }

  /**
   * What a layer keeps. Unless everything is kept, all layers share one of these.
   *
   * @param query [rows, heads, D / heads], rotated
   * @param keys [heads, rows, D / heads]
   * @param values as keys
   * @param context [rows, D]: attention output
   * @param logSumExp F32 [rows, heads]: of the attention's scores
   * @param middle [rows, D]: the residual stream between attention and MLP
   * @param mlp Qwen: gate and up [rows, 2 I]; SigLIP: before the activation and behind it [2, rows, I]
   */
  record Layer(DeviceBuffer query, DeviceBuffer keys, DeviceBuffer values, DeviceBuffer context, DeviceBuffer logSumExp,
      DeviceBuffer middle, DeviceBuffer mlp) {}

  private final DeviceScope scope;
  private final Shape shape;
  private final int rows;
  private final List<DeviceBuffer> inputs = new ArrayList<>();
  private final List<Layer> layers = new ArrayList<>();
  final DeviceBuffer pixels; // [rows, pixels]
  final DeviceBuffer accumulators; // F32, of a product
  final DeviceBuffer normed; // [rows, D]
  final DeviceBuffer activated; // [rows, I]
  final DeviceBuffer projected; // [features, P], before the projector's activation
  final DeviceBuffer projectedActivated; // [features, P], behind it
  final DeviceBuffer features; // [features, H]
  final DeviceBuffer dProjected;
  final DeviceBuffer dHidden;
  final DeviceBuffer dNormed;
  final DeviceBuffer scratch;
  final DeviceBuffer dActivated; // this and the rest: null unless the tower goes back
  final DeviceBuffer dContext;
  final DeviceBuffer dQuery;
  final DeviceBuffer dKeys;
  final DeviceBuffer dValues;
  final DeviceBuffer dQkv;
  final DeviceBuffer delta;

  /** @param rows most rows of a pass, a multiple of the unit */
  VisionActivations(TrainingMemory memory, DType dtype, Shape shape, int rows, Keep keep) {
    this.shape = shape;
    this.rows = rows;
    int d = shape.width();
    int inner = shape.inner();
    int features = rows / shape.unit();
    try (memory) {
      for (int i = 0; i <= shape.layers(); i++) {
        inputs.add(i > 0 && keep == Keep.OUTPUT ? inputs.getFirst() : memory.own("vision layer input", dtype, rows, d));
      }
      for (int i = 0; i < shape.layers(); i++) {
        layers.add(i > 0 && keep != Keep.ALL ? layers.getFirst() : layer(memory, dtype));
      }
      pixels = memory.own("pixels", dtype, rows, shape.pixels());
      int projector = (Math.max(shape.projected(), shape.features()) + shape.unit() - 1) / shape.unit();
      accumulators = memory.own("vision accumulators", DType.F32, rows,
          Math.max(Math.max(3 * d, 2 * inner), Math.max(shape.pixels(), projector)));
      normed = memory.own("normalised patches", dtype, rows, d);
      activated = memory.own("vision MLP activations", dtype, rows, inner);
      projected = memory.own("projector, before the activation", dtype, features, shape.projected());
      projectedActivated = memory.own("projector, behind the activation", dtype, features, shape.projected());
      this.features = memory.own("image features", dtype, features, shape.features());
      dProjected = memory.own("gradient within the projector", dtype, features, shape.projected());
      dHidden = memory.own("gradient of the vision residual stream", dtype, rows, d);
      dNormed = memory.own("gradient behind a vision norm", dtype, rows, d);
      scratch = memory.own("vision norm scratch", DType.F32, LayerNormBackward.scratch(rows, d)); // more than RMSNorm's
      boolean back = keep != Keep.OUTPUT;
      dActivated = back ? memory.own("gradient of the vision MLP", dtype, rows, inner) : null;
      dContext = back ? memory.own("gradient of the vision attention output", dtype, rows, d) : null;
      dQuery = back ? memory.own("gradient of the vision queries", dtype, rows, d) : null;
      dKeys = back ? memory.own("gradient of the vision keys", dtype, rows, d) : null;
      dValues = back ? memory.own("gradient of the vision values", dtype, rows, d) : null;
      dQkv = back ? memory.own("gradient of vision queries, keys and values", dtype, rows, 3L * d) : null;
      delta = back ? memory.own("vision attention delta", DType.F32, rows, shape.heads()) : null;
      scope = memory.keep();
    }
  }

  private Layer layer(TrainingMemory memory, DType dtype) {
    int d = shape.width();
    return new Layer(memory.own("vision queries", dtype, rows, d), memory.own("vision keys", dtype, rows, d),
        memory.own("vision values", dtype, rows, d), memory.own("vision attention output", dtype, rows, d),
        memory.own("vision log-sum-exp", DType.F32, rows, shape.heads()), memory.own("middle of the vision layer", dtype, rows, d),
        memory.own("vision MLP", dtype, 2L * rows, shape.inner()));
  }

  /** What goes into a layer [rows, D]; at the number of layers, what comes out of the last one. */
  DeviceBuffer input(int layer) {
    return inputs.get(layer);
  }

  Layer layer(int layer) {
    return layers.get(layer);
  }

  /** Most rows of a pass. */
  int rows() {
    return rows;
  }

  /** Keys and values, or their gradients, of a pass of {@code count} rows. */
  KeyValues keyValues(DeviceBuffer keys, DeviceBuffer values, int count) {
    return new KeyValues(keys, values, new Heads(shape.heads(), shape.heads(), shape.width() / shape.heads()), count);
  }

  @Override
  public void close() {
    scope.close();
  }
}
