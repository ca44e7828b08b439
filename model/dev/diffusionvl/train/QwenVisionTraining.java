// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.PixelValues;
import dev.diffusionvl.loader.VisionConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Linear;
import dev.diffusionvl.model.RopeTable;
import dev.diffusionvl.model.VisionWeights;
import dev.diffusionvl.model.WindowOrder;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.BiasActivation;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.KeyValues;
import dev.diffusionvl.runtime.op.Segments;
import dev.diffusionvl.train.VisionActivations.Keep;

/**
 * The Qwen vision tower and its merger, forward and back, layer by layer (docs/model.md, "Qwen vision tower").
 *
 * <pre>
 *   forward   x = patches · patch embedding, in window order
 *             per layer:  m = x + projection attention(rotary(QKV norm(x)))      x' = m + down swiglu(gate, up of norm(m))
 *             features = down gelu(up norm(x)), four rows side by side, in raster order
 *   backward  the same lines from the last to the first
 * </pre>
 */
final class QwenVisionTraining implements VisionTraining {
  private static final float EPS = 1e-6f;

  /** Where the patches of an image stand and what they see. */
  private record Geometry(WindowOrder order, RopeTable rope, Segments windows, Segments whole, DeviceBuffer toRaster,
      DeviceBuffer toWindows, DeviceScope scope) implements AutoCloseable {
    static Geometry of(Device device, Stream stream, VisionConfig config, PixelValues pixels) {
      WindowOrder order = WindowOrder.of(pixels.gridHeight(), pixels.gridWidth(), config.spatialMergeSize(),
          config.windowSize() / config.spatialMergeSize() / config.patchSize());
      int units = order.unitOrder().length;
      try (DeviceScope scope = new DeviceScope(device)) {
        DeviceBuffer toRaster = scope.allocate("raster order", DType.I32, units);
        toRaster.set(stream, order.inverseUnitOrder());
        DeviceBuffer toWindows = scope.allocate("window order", DType.I32, units);
        toWindows.set(stream, order.unitOrder());
        RopeTable rope = scope.own(RopeTable.vision(device, stream, order.y(), order.x(), config.hiddenSize() / config.heads()));
        Segments windows = scope.own(WindowOrder.segments(device, stream, order.windowBounds()));
        Segments whole = scope.own(WindowOrder.segments(device, stream, 0, order.y().length));
        return new Geometry(order, rope, windows, whole, toRaster, toWindows, scope.keep());
      }
    }

    @Override
    public void close() {
      scope.close();
    }
  }

  private final Device device;
  private final DType dtype;
  private final ModelConfig config;
  private final VisionConfig tower;
  private final VisionWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final Gemm gemm;
  private final Twin gradients;
  private final LinearTraining linear;
  private final Keep keep;
  private final FeatureCache cache; // null: none
  private final int d;
  private final int inner;
  private final float scale;
  private VisionActivations a;
  private Geometry geometry;
  private PreparedImage held; // whose activations are in memory
  private int patches;

  QwenVisionTraining(DiffusionVl model, VisionWeights weights, Stream stream, Gemm gemm, Twin gradients, boolean recompute,
      FeatureCache cache) {
    this.device = stream.device();
    this.dtype = model.dtype();
    this.config = model.config();
    this.tower = config.vision();
    this.weights = weights;
    this.kernels = model.kernels();
    this.stream = stream;
    this.gemm = gemm;
    this.gradients = gradients;
    this.linear = new LinearTraining(kernels, stream, gemm, gradients);
    this.keep = VisionTraining.keep(gradients.of(weights.patchEmbedding()) != null, recompute);
    this.cache = cache;
    this.d = tower.hiddenSize();
    this.inner = weights.blocks().getFirst().down().in();
    this.scale = (float) (1 / Math.sqrt((double) d / tower.heads()));
  }

  private static VisionActivations.Shape shape(ModelConfig config) {
    VisionConfig tower = config.vision();
    int unit = tower.spatialMergeSize() * tower.spatialMergeSize();
    return new VisionActivations.Shape(tower.depth(), tower.hiddenSize(), tower.heads(), VisionWeights.inner(tower),
        tower.inChannels() * tower.temporalPatchSize() * tower.patchSize() * tower.patchSize(), unit, unit * tower.hiddenSize(),
        tower.outHiddenSize());
  }

  /** See {@link VisionTraining#bytes}. */
  static long bytes(ModelConfig config, DType dtype, int patches, Keep keep) {
    TrainingMemory memory = TrainingMemory.counting();
    new VisionActivations(memory, dtype, shape(config), patches, keep);
    VisionConfig tower = config.vision();
    long rope = 2L * patches * (tower.hiddenSize() / tower.heads() / 2) * DType.F32.bytes();
    long order = 2L * patches / (tower.spatialMergeSize() * tower.spatialMergeSize()) * DType.I32.bytes();
    return memory.bytes() + rope + order;
  }

  @Override
  public void reserve(int size) {
    if (a == null || a.rows() < size) {
      closeActivations(); // before the allocation: both at once may not fit
      a = new VisionActivations(TrainingMemory.on(device), dtype, shape(config), size, keep);
    }
  }

  @Override
  public void features(PreparedImage image, DeviceBuffer target) {
    forward(image);
    int rows = image.rows();
    kernels.gatherRows.launch(stream, a.features, geometry.toRaster(), null, target, rows, tower.outHiddenSize(), rows);
  }

  /** Everything up to the features in window order. */
  private void forward(PreparedImage image) {
    PixelValues pixels = ((PreparedImage.Patches) image).pixels();
    prepare(pixels);
    if (cache == null) {
      tower(pixels);
    } else {
      cache.fill(pixels.values(), 0, pixels.values().length, pixels.gridHeight() + "x" + pixels.gridWidth(),
          a.input(tower.depth()).slice(0, patches, d), () -> tower(pixels));
    }
    int rows = image.rows();
    Linear.Dense up = weights.mergerUp();
    Linear.Dense down = weights.mergerDown();
    norm(a.input(tower.depth()), weights.mergerNorm());
    up.multiply(gemm, a.normed, a.accumulators, rows);
    kernels.biasActivation.launch(stream, a.accumulators, up.bias(), a.projected, rows, up.out(), BiasActivation.NONE);
    kernels.biasActivation.launch(stream, a.accumulators, up.bias(), a.projectedActivated, rows, up.out(), BiasActivation.GELU_ERF);
    down.multiply(gemm, a.projectedActivated, a.accumulators, rows);
    kernels.biasActivation.launch(stream, a.accumulators, down.bias(), a.features, rows, down.out(), BiasActivation.NONE);
    held = image;
  }

  private void prepare(PixelValues pixels) {
    held = null;
    closeGeometry();
    geometry = Geometry.of(device, stream, tower, pixels);
    patches = pixels.gridHeight() * pixels.gridWidth();
    reserve(patches);
  }

  /** From the pixels to the residual stream behind the last layer. */
  private void tower(PixelValues pixels) {
    int width = pixels.values().length / patches;
    int[] order = geometry.order().patchOrder();
    float[] ordered = new float[pixels.values().length];
    for (int i = 0; i < patches; i++) {
      System.arraycopy(pixels.values(), order[i] * width, ordered, i * width, width);
    }
    a.accumulators.set(stream, ordered);
    kernels.biasActivation.launch(stream, a.accumulators, null, a.pixels, patches, width, BiasActivation.NONE); // rounds
    gemm.multiply(a.pixels, weights.patchEmbedding(), a.input(0), patches, d, width);
    for (int i = 0; i < tower.depth(); i++) {
      forward(i);
    }
  }

  private Segments segments(int layer) {
    return tower.fullAttentionBlocks().contains(layer) ? geometry.whole() : geometry.windows();
  }

  private void forward(int index) {
    VisionWeights.Block w = weights.blocks().get(index);
    VisionActivations.Layer kept = a.layer(index);
    KeyValues kv = a.keyValues(kept.keys(), kept.values(), patches);
    DeviceBuffer x = a.input(index);
    norm(x, w.norm1());
    w.qkv().multiply(gemm, a.normed, a.accumulators, patches);
    kernels.visionRotary.launch(stream, a.accumulators, w.qkv().bias(), geometry.rope().buffers(), kept.query(), kv);
    kernels.attention.launchForTraining(stream, kept.query(), kv, segments(index), kept.context(), kept.logSumExp(), scale);
    addProduct(x, w.projection(), kept.context(), kept.middle());

    norm(kept.middle(), w.norm2());
    w.gateUp().multiply(gemm, a.normed, a.accumulators, patches);
    kernels.biasActivation.launch(stream, a.accumulators, w.gateUp().bias(), kept.mlp(), patches, 2 * inner, BiasActivation.NONE);
    kernels.swiglu.launch(stream, kept.mlp(), null, a.activated, patches, inner);
    addProduct(kept.middle(), w.down(), a.activated, a.input(index + 1));
  }

  /** out = x + w(branch). */
  private void addProduct(DeviceBuffer x, Linear.Dense w, DeviceBuffer branch, DeviceBuffer out) {
    w.multiply(gemm, branch, a.accumulators, patches);
    long elements = (long) patches * d;
    stream.copy(x.slice(0, elements), out.slice(0, elements));
    kernels.residualAdd.launch(stream, out, a.accumulators, w.bias(), patches, d);
  }

  private void norm(DeviceBuffer x, DeviceBuffer weight) {
    kernels.rmsNorm.launch(stream, x, weight, a.normed, patches, d, EPS);
  }

  @Override
  public void backward(PreparedImage image, DeviceBuffer dFeatures) {
    if (keep == Keep.OUTPUT && gradients.of(weights.mergerNorm()) == null) {
      return; // all is frozen
    }
    if (held != image) {
      forward(image);
    }
    held = null; // some of what was kept is overwritten
    backwardMerger(image.rows(), dFeatures);
    if (keep == Keep.OUTPUT) {
      return;
    }
    for (int i = tower.depth() - 1; i >= 0; i--) {
      if (keep == Keep.LAYER_INPUTS && i < tower.depth() - 1) {
        forward(i);
      }
      backward(i);
    }
    gemm.addWeightGradient(a.dHidden, a.pixels, gradients.of(weights.patchEmbedding()), patches, d, shape(config).pixels());
  }

  private void backwardMerger(int rows, DeviceBuffer dFeatures) {
    int h = tower.outHiddenSize();
    kernels.gatherRows.launch(stream, dFeatures, geometry.toWindows(), null, a.accumulators, rows, h, rows);
    kernels.biasActivation.launch(stream, a.accumulators, null, a.features, rows, h, BiasActivation.NONE); // rounds
    linear.backward(weights.mergerDown(), a.projectedActivated, a.features, a.dProjected, rows);
    kernels.activationBackward.launch(stream, a.projected, a.dProjected, a.dProjected, (long) rows * weights.mergerUp().out(),
        BiasActivation.GELU_ERF);
    DeviceBuffer x = a.input(tower.depth());
    norm(x, weights.mergerNorm());
    linear.backward(weights.mergerUp(), a.normed, a.dProjected, a.dNormed, rows);
    stream.fill(a.dHidden, 0);
    normBackward(x, weights.mergerNorm());
  }

  private void backward(int index) {
    VisionWeights.Block w = weights.blocks().get(index);
    VisionActivations.Layer kept = a.layer(index);
    kernels.swiglu.launch(stream, kept.mlp(), null, a.activated, patches, inner);
    linear.backward(w.down(), a.activated, a.dHidden, a.dActivated, patches);
    kernels.swigluBackward.launch(stream, kept.mlp(), a.dActivated, kept.mlp(), patches, inner);
    norm(kept.middle(), w.norm2());
    linear.backward(w.gateUp(), a.normed, kept.mlp(), a.dNormed, patches);
    normBackward(kept.middle(), w.norm2());

    linear.backward(w.projection(), kept.context(), a.dHidden, a.dContext, patches);
    KeyValues dKv = a.keyValues(a.dKeys, a.dValues, patches);
    KeyValues kv = a.keyValues(kept.keys(), kept.values(), patches);
    kernels.attentionBackward.launch(stream, kept.query(), kv, segments(index), kept.context(),
        kept.logSumExp(), a.dContext, a.dQuery, dKv, a.delta, scale);
    kernels.ropeBackward.launch(stream, a.dQuery, dKv, geometry.rope().buffers(), geometry.whole(), a.dQkv);
    norm(a.input(index), w.norm1());
    linear.backward(w.qkv(), a.normed, a.dQkv, a.dNormed, patches);
    normBackward(a.input(index), w.norm1());
  }

  /** Adds the gradient of x, which came to dNormed, to dHidden. */
  private void normBackward(DeviceBuffer x, DeviceBuffer weight) {
    kernels.rmsNormBackward.launch(stream, x, weight, a.dNormed, a.dHidden, gradients.of(weight), a.scratch, patches, d, EPS);
  }

  private void closeGeometry() {
    if (geometry != null) {
      stream.synchronize(); // it may be in use
      geometry.close();
      geometry = null;
    }
  }

  private void closeActivations() {
    if (a != null) {
      a.close();
      a = null;
    }
  }

  @Override
  public void close() {
    held = null;
    closeGeometry();
    closeActivations();
  }
}
