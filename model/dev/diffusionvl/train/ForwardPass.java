// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.ExpandedWeights;
import dev.diffusionvl.model.NoTower;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Predictions;
import java.util.List;

/**
 * Training passes on the way forward alone: what goes into the linear layers while a model sees masked text, and what it predicts there.
 * Nothing of the model changes. For one thread at a time; close it before the model.
 */
public final class ForwardPass implements AutoCloseable {
  private final Device device;
  private final DiffusionVl model;
  private final DeviceScope scope;
  private final Stream stream;
  private final LanguageModelTraining language;
  private final ImageFeatures images; // null: a language model alone
  private final PassRoom room;

  /** @param model in BF16 or F32 */
  public ForwardPass(DiffusionVl model) {
    Trainer.requireTrained(model);
    this.model = model;
    this.device = model.device();
    try (DeviceScope own = new DeviceScope(device)) {
      stream = own.newStream();
      Gemm gemm = own.own(new Gemm(stream));
      Twin none = own.own(new Twin(TrainingMemory.on(device), "no gradients", List.of()));
      language = new LanguageModelTraining(model, stream, gemm, none, null,
          own.own(new ExpandedWeights(stream, model.kernels(), model.text(), model.dtype())), true);
      images = model.vision() instanceof NoTower ? null
          : new ImageFeatures(own.own(VisionTraining.of(model, stream, gemm, none, true, null)), stream, model);
      room = own.own(new PassRoom(stream, model.config().text(), (rows, targets) -> new TextActivations(TrainingMemory.on(device),
          model.dtype(), model.config().text(), rows, targets, true, 0)));
      scope = own.keep();
    }
  }

  /** What the passes run on. */
  public Stream stream() {
    return stream;
  }

  /**
   * Runs a pass over one record.
   *
   * @param rows of the record, made by an {@link Objective}, with one target at least
   * @param inputs hears what goes into each linear layer, all rows of it
   * @return the most likely token at each target, the mask of a diffusion model left out
   */
  public int[] run(TrainingRow record, PassRows rows, LayerInputs inputs) {
    return run(record, rows, inputs, (logits, count) -> {});
  }

  /**
   * The logits of a pass over one record.
   *
   * @return [targets, V]
   */
  public float[] logits(TrainingRow record, PassRows rows) {
    int vocab = model.config().text().vocabSize();
    float[] all = new float[Math.multiplyExact(rows.targets().size(), vocab)];
    int[] at = new int[1];
    run(record, rows, LayerInputs.NONE, (logits, count) -> {
      float[] some = logits.slice(0, count, vocab).getFloats(stream);
      System.arraycopy(some, 0, all, at[0], some.length);
      at[0] += some.length;
    });
    return all;
  }

  private int[] run(TrainingRow record, PassRows rows, LayerInputs inputs, LanguageModelTraining.LogitRows logits) {
    int targets = rows.targets().size();
    room.make(rows.rows(), targets, rows.positions());
    try (DeviceScope pass = new DeviceScope(device)) {
      DevicePass onDevice = pass.own(new DevicePass(device, stream, rows));
      DeviceBuffer features = images == null ? null : images.encode(record.images(), pass);
      DeviceBuffer tokens = pass.allocate("predicted tokens", DType.I32, targets);
      Predictions to = new Predictions(tokens, pass.allocate("confidence", DType.F32, targets),
          pass.allocate("logit maximum", DType.F32, targets), pass.allocate("softmax denominator", DType.F32, targets));
      language.predict(onDevice, features, room.rope(), room.activations(), inputs, logits, to,
          model.config().diffusion() ? model.config().maskTokenId() : -1);
      return tokens.getInts(stream);
    }
  }

  @Override
  public void close() {
    scope.close();
  }
}
