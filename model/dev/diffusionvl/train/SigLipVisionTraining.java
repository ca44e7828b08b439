// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.ImageTiles;
import dev.diffusionvl.loader.ModelConfig;
import dev.diffusionvl.loader.RowBlend;
import dev.diffusionvl.loader.SigLipConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Linear;
import dev.diffusionvl.model.SigLipTower;
import dev.diffusionvl.model.SigLipWeights;
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
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The SigLIP tower, its projector and the mosaic of tiles, forward and back, layer by layer (docs/model.md, "SigLIP tower" and "Image
 * preprocessing: SigLIP").
 *
 * <pre>
 *   forward   x = patches · patch embedding + positions
 *             per layer:  m = x + output attention(QKV norm(x))      x' = m + down gelu(up norm(m))
 *             table = down gelu(up x), and the newline vector behind it
 *             features = blends of rows of the table
 *   backward  the same lines from the last to the first
 * </pre>
 *
 * <p>Patches are embedded by a matrix product, also where inference has cuDNN: in bf16 the embeddings then differ by a rounding.
 *
 * <p>The tower takes {@link SigLipTower#TILES_AT_ONCE} tiles at a time. Of an image with more, the last ones' activations are kept.
 */
final class SigLipVisionTraining implements VisionTraining {
  private static final int CHANNELS = 3;

  /** Neighbouring tiles of an image that go through the tower together. */
  private record Pass(ImageTiles image, int first, int tiles) {}

  private final Device device;
  private final DType dtype;
  private final ModelConfig config;
  private final SigLipConfig tower;
  private final SigLipWeights weights;
  private final Kernels kernels;
  private final Stream stream;
  private final Gemm gemm;
  private final Twin gradients;
  private final LinearTraining linear;
  private final TileMosaic mosaic;
  private final Keep keep;
  private final FeatureCache cache; // null: none
  private final int c;
  private final int hidden;
  private final float scale;
  private DeviceScope room; // of activations and pixels; null before the first pass
  private VisionActivations a;
  private DeviceBuffer pixels; // [tiles, side, side, 3]
  private Segments segments; // a tile each
  private Pass held; // whose activations are in memory
  private int rows;

  SigLipVisionTraining(DiffusionVl model, SigLipWeights weights, Stream stream, Gemm gemm, Twin gradients, boolean recompute,
      FeatureCache cache) {
    this.device = stream.device();
    this.dtype = model.dtype();
    this.config = model.config();
    this.tower = config.sigLip();
    this.weights = weights;
    this.kernels = model.kernels();
    this.stream = stream;
    this.gemm = gemm;
    this.gradients = gradients;
    this.linear = new LinearTraining(kernels, stream, gemm, gradients);
    this.keep = VisionTraining.keep(gradients.of(weights.positions()) != null, recompute);
    this.cache = cache;
    this.c = tower.hiddenSize();
    this.hidden = config.text().hiddenSize();
    this.mosaic = new TileMosaic(kernels, stream, tower.positions(), hidden);
    this.scale = (float) (1 / Math.sqrt((double) c / tower.heads()));
  }

  private static VisionActivations.Shape shape(ModelConfig config) {
    SigLipConfig tower = config.sigLip();
    int h = config.text().hiddenSize();
    return new VisionActivations.Shape(tower.layers(), tower.hiddenSize(), tower.heads(), tower.intermediateSize(),
        CHANNELS * tower.patchSize() * tower.patchSize(), 1, h, h);
  }

  /** See {@link VisionTraining#bytes}. */
  static long bytes(ModelConfig config, DType dtype, int tiles, Keep keep) {
    SigLipConfig tower = config.sigLip();
    int atOnce = Math.min(tiles, SigLipTower.TILES_AT_ONCE);
    TrainingMemory memory = TrainingMemory.counting();
    new VisionActivations(memory, dtype, shape(config), atOnce * tower.positions(), keep);
    memory.own("tiles", dtype, atOnce, tower.imageSize(), tower.imageSize(), CHANNELS);
    long table = (long) tiles * tower.positions() + 1;
    memory.own("gradient of the table", DType.F32, table, config.text().hiddenSize());
    memory.own("its blend", DType.F32, table, 2L * RowBlend.TERMS);
    return memory.bytes();
  }

  @Override
  public void reserve(int size) {
    int tiles = Math.min(size, SigLipTower.TILES_AT_ONCE);
    if (room == null || a.rows() < tiles * tower.positions()) {
      close(); // before the allocation: both at once may not fit
      try (DeviceScope scope = new DeviceScope(device)) {
        a = scope.own(new VisionActivations(TrainingMemory.on(device), dtype, shape(config), tiles * tower.positions(), keep));
        pixels = scope.allocate("tiles", dtype, tiles, tower.imageSize(), tower.imageSize(), CHANNELS);
        room = scope.keep();
      }
    }
  }

  @Override
  public void features(PreparedImage image, DeviceBuffer target) {
    ImageTiles tiles = ((PreparedImage.Tiles) image).tiles();
    int newline = tiles.tiles() * tower.positions();
    try (DeviceBuffer table = device.allocate("table of features", dtype, newline + 1, hidden)) {
      for (int first = 0; first < tiles.tiles(); first += SigLipTower.TILES_AT_ONCE) {
        forward(pass(tiles, first));
        stream.copy(a.features.slice(0, rows, hidden), table.slice((long) first * tower.positions() * hidden, rows, hidden));
      }
      stream.copy(weights.newline(), table.slice((long) newline * hidden, hidden));
      mosaic.assemble(tiles, table, target);
    }
  }

  private static Pass pass(ImageTiles image, int first) {
    return new Pass(image, first, Math.min(SigLipTower.TILES_AT_ONCE, image.tiles() - first));
  }

  /** From the pixels to the features of the tiles. */
  private void forward(Pass pass) {
    prepare(pass);
    int each = tower.imageSize() * tower.imageSize() * CHANNELS;
    int first = pass.first() * each;
    int end = first + pass.tiles() * each;
    if (cache == null) {
      tower(pass, first, end);
    } else {
      cache.fill(pass.image().pixels(), first, end, pass.tiles() + " tiles", a.input(tower.layers()).slice(0, rows, c),
          () -> tower(pass, first, end));
    }
    Linear.Dense up = weights.projectorUp();
    Linear.Dense down = weights.projectorDown();
    up.multiply(gemm, a.input(tower.layers()), a.accumulators, rows);
    activate(up, a.projected, a.projectedActivated, BiasActivation.GELU_ERF);
    down.multiply(gemm, a.projectedActivated, a.accumulators, rows);
    kernels.biasActivation.launch(stream, a.accumulators, down.bias(), a.features, rows, hidden, BiasActivation.NONE);
    held = pass;
  }

  private void prepare(Pass pass) {
    held = null;
    rows = pass.tiles() * tower.positions();
    reserve(pass.tiles());
    if (segments == null || segments.count() != pass.tiles()) {
      closeSegments();
      segments = WindowOrder.segments(device, stream, IntStream.rangeClosed(0, pass.tiles()).map(i -> i * tower.positions()).toArray());
    }
  }

  /** From pixels {@code first} to {@code end} to the residual stream behind the last layer. */
  private void tower(Pass pass, int first, int end) {
    int side = tower.imageSize();
    pixels.set(stream, Arrays.copyOfRange(pass.image().pixels(), first, end));
    kernels.extractPatches.launch(stream, pixels, a.pixels, pass.tiles(), side, side, CHANNELS, tower.patchSize());
    weights.patchEmbedding().multiply(gemm, a.pixels, a.accumulators, rows);
    kernels.positionEmbedding.launch(stream, a.accumulators, weights.patchEmbedding().bias(), weights.positions(), a.input(0), rows, c,
        tower.positions());
    for (int i = 0; i < tower.layers(); i++) {
      forward(i);
    }
  }

  private void forward(int index) {
    SigLipWeights.Layer w = weights.layers().get(index);
    VisionActivations.Layer kept = a.layer(index);
    KeyValues kv = a.keyValues(kept.keys(), kept.values(), rows);
    DeviceBuffer x = a.input(index);
    norm(x, w.norm1());
    w.qkv().multiply(gemm, a.normed, a.accumulators, rows);
    kernels.visionRotary.launch(stream, a.accumulators, w.qkv().bias(), null, kept.query(), kv);
    kernels.attention.launchForTraining(stream, kept.query(), kv, segments, kept.context(), kept.logSumExp(), scale);
    addProduct(x, w.output(), kept.context(), kept.middle());

    norm(kept.middle(), w.norm2());
    w.up().multiply(gemm, a.normed, a.accumulators, rows);
    activate(w.up(), before(kept), behind(kept), BiasActivation.GELU_TANH);
    addProduct(kept.middle(), w.down(), behind(kept), a.input(index + 1));
  }

  /** What goes into the activation of the MLP [rows, F]. */
  private DeviceBuffer before(VisionActivations.Layer kept) {
    return kept.mlp().slice(0, rows, tower.intermediateSize());
  }

  /** What the activation of the MLP makes of it. */
  private DeviceBuffer behind(VisionActivations.Layer kept) {
    return kept.mlp().slice((long) rows * tower.intermediateSize(), rows, tower.intermediateSize());
  }

  /** Ends the product of a layer with an activation, and keeps what went into it. */
  private void activate(Linear.Dense w, DeviceBuffer before, DeviceBuffer behind, int activation) {
    kernels.biasActivation.launch(stream, a.accumulators, w.bias(), before, rows, w.out(), BiasActivation.NONE);
    kernels.biasActivation.launch(stream, a.accumulators, w.bias(), behind, rows, w.out(), activation);
  }

  /** out = x + w(branch). */
  private void addProduct(DeviceBuffer x, Linear.Dense w, DeviceBuffer branch, DeviceBuffer out) {
    w.multiply(gemm, branch, a.accumulators, rows);
    stream.copy(x.slice(0, rows, c), out.slice(0, rows, c));
    kernels.residualAdd.launch(stream, out, a.accumulators, w.bias(), rows, c);
  }

  private void norm(DeviceBuffer x, SigLipWeights.Norm norm) {
    kernels.layerNorm.launch(stream, x, norm.weight(), norm.bias(), a.normed, rows, c, (float) tower.layerNormEps());
  }

  @Override
  public void backward(PreparedImage image, DeviceBuffer dFeatures) {
    ImageTiles tiles = ((PreparedImage.Tiles) image).tiles();
    DeviceBuffer dNewline = gradients.of(weights.newline());
    if (dNewline != null) {
      mosaic.addNewline(tiles, dFeatures, dNewline);
    }
    if (keep == Keep.OUTPUT && gradients.of(weights.projectorUp().bias()) == null) {
      return; // the rest is frozen
    }
    int tableRows = tiles.tiles() * tower.positions();
    try (DeviceBuffer dTable = device.allocate("gradient of the table of features", DType.F32, tableRows, hidden)) {
      mosaic.backward(tiles, dFeatures, dTable);
      int last = (tiles.tiles() - 1) / SigLipTower.TILES_AT_ONCE * SigLipTower.TILES_AT_ONCE;
      for (int first = last; first >= 0; first -= SigLipTower.TILES_AT_ONCE) { // the last ones may still be in memory
        Pass pass = pass(tiles, first);
        if (held == null || held.image() != tiles || held.first() != first) {
          forward(pass);
        }
        held = null; // some of what was kept is overwritten
        backward(dTable.slice((long) first * tower.positions() * hidden, rows, hidden));
      }
      stream.synchronize();
    }
  }

  /** From the gradient of the tiles' features, F32 [rows, H], to that of the pixels. */
  private void backward(DeviceBuffer dFeatures) {
    kernels.biasActivation.launch(stream, dFeatures, null, a.features, rows, hidden, BiasActivation.NONE); // rounds
    linear.backward(weights.projectorDown(), a.projectedActivated, a.features, a.dProjected, rows);
    kernels.activationBackward.launch(stream, a.projected, a.dProjected, a.dProjected, (long) rows * hidden, BiasActivation.GELU_ERF);
    DeviceBuffer dx = keep == Keep.OUTPUT ? null : a.dHidden;
    linear.backward(weights.projectorUp(), a.input(tower.layers()), a.dProjected, dx, rows);
    if (keep == Keep.OUTPUT) {
      return;
    }
    for (int i = tower.layers() - 1; i >= 0; i--) {
      if (keep == Keep.LAYER_INPUTS && i < tower.layers() - 1) {
        forward(i);
      }
      backward(i);
    }
    linear.backward(weights.patchEmbedding(), a.pixels, a.dHidden, null, rows);
    mosaic.addPositions(a.dHidden, gradients.of(weights.positions()), rows, c);
  }

  private void backward(int index) {
    SigLipWeights.Layer w = weights.layers().get(index);
    VisionActivations.Layer kept = a.layer(index);
    linear.backward(w.down(), behind(kept), a.dHidden, a.dActivated, rows);
    kernels.activationBackward.launch(stream, before(kept), a.dActivated, a.dActivated, (long) rows * tower.intermediateSize(),
        BiasActivation.GELU_TANH);
    norm(kept.middle(), w.norm2());
    linear.backward(w.up(), a.normed, a.dActivated, a.dNormed, rows);
    normBackward(kept.middle(), w.norm2());

    linear.backward(w.output(), kept.context(), a.dHidden, a.dContext, rows);
    KeyValues dKv = a.keyValues(a.dKeys, a.dValues, rows);
    kernels.attentionBackward.launch(stream, kept.query(), a.keyValues(kept.keys(), kept.values(), rows), segments, kept.context(),
        kept.logSumExp(), a.dContext, a.dQuery, dKv, a.delta, scale);
    kernels.ropeBackward.launch(stream, a.dQuery, dKv, null, segments, a.dQkv);
    norm(a.input(index), w.norm1());
    linear.backward(w.qkv(), a.normed, a.dQkv, a.dNormed, rows);
    normBackward(a.input(index), w.norm1());
  }

  /** Adds the gradient of x, which came to dNormed, to dHidden. */
  private void normBackward(DeviceBuffer x, SigLipWeights.Norm norm) {
    kernels.layerNormBackward.launch(stream, x, norm.weight(), a.dNormed, a.dHidden, gradients.of(norm.weight()), gradients.of(norm.bias()),
        a.scratch, rows, c, (float) tower.layerNormEps());
  }

  private void closeSegments() {
    if (segments != null) {
      stream.synchronize(); // they may be in use
      segments.close();
      segments = null;
    }
  }

  @Override
  public void close() {
    held = null;
    closeSegments();
    if (room != null) {
      room.close();
      room = null;
    }
  }
}
