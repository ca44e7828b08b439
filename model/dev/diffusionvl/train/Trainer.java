// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.TextConfig;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.NumericalException;
import dev.diffusionvl.model.RopeTable;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Gemm;
import dev.diffusionvl.runtime.Stream;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Trains a model that is on the device, step by step (docs/model.md, "Training objective"):
 *
 * <pre>
 *   gradients = 0
 *   for each pass over some of the step's records:  gradients += those of the pass's mean loss
 *   clip the gradients by their global norm;  AdamW with the step's learning rate
 * </pre>
 *
 * <p>On the device it holds, beside the model: F32 gradients and the state of the optimiser, for the trained weights alone, from the start;
 * and activations, which grow with the longest pass. The model's own weights are trained in place, so that a session opened between two
 * steps answers with them.
 *
 * <p>Deterministic: the same model, records, options and step numbers give the same bits. For one thread at a time; the model must not be
 * used meanwhile. Close it before the model.
 */
public final class Trainer implements AutoCloseable {
  /**
   * What a step did.
   *
   * @param step counted from 1
   * @param loss mean over the records, in nats per labelled row as the objective weighs them
   * @param gradientNorm L2 norm of all gradients, before clipping
   * @param rate learning rate of the language model in this step
   * @param tokens rows of the records, images' rows included
   */
  public record Step(int step, double loss, double gradientNorm, double rate, long tokens) {}

  private final DiffusionVl model;
  private final Device device;
  private final Objective objective;
  private final TrainerOptions options;
  private final LearningRate rate;
  private final DeviceScope scope;
  private final Stream stream;
  private final Gemm gemm;
  private final TrainingState state;
  private final AdamW optimizer;
  private final LanguageModelTraining language;
  private final VisionTraining vision;
  private final ImageFeatures images;
  private final PassRoom room;
  private PassSize reserved; // null: nothing was
  private int steps;
  private boolean finished;

  /**
   * Allocates gradients and optimiser.
   *
   * @param model to be trained, in BF16 or F32
   * @throws dev.diffusionvl.runtime.OutOfDeviceMemoryException if they do not fit beside the model; nothing of them is left then
   */
  public Trainer(DiffusionVl model, Objective objective, TrainerOptions options) {
    this(model, objective, options, remark -> {});
  }

  /** @param remarks hears what the user should know */
  Trainer(DiffusionVl model, Objective objective, TrainerOptions options, Consumer<String> remarks) {
    requireTrained(model);
    this.model = model;
    this.device = model.device();
    this.objective = objective;
    this.options = options;
    this.rate = options.constantRate() ? new LearningRate(1, (int) Math.ceil(options.warmup() * options.steps()), 0)
        : LearningRate.cosine(1, options.warmup(), options.steps());
    try (DeviceScope scope = new DeviceScope(device)) {
      stream = scope.newStream();
      gemm = scope.own(new Gemm(stream));
      state = scope.own(new TrainingState(device, TrainingMemory.on(device), model.parameters(), model.text(), model.dtype(), options));
      if (state.adapters != null) {
        state.adapters.initialise(model.kernels(), stream, options.seed());
      }
      optimizer = new AdamW(model.kernels(), stream, state);
      language = new LanguageModelTraining(model, stream, gemm, state.gradients, state.adapters, null, options.recompute());
      FeatureCache cache = options.featureCache() == null ? null : new FeatureCache(options.featureCache(), model, stream, remarks);
      vision = scope.own(VisionTraining.of(model, stream, gemm, state.gradients, options.recompute(), cache));
      images = new ImageFeatures(vision, stream, model);
      room = scope.own(new PassRoom(stream, model.config().text(), (rows, targets) -> state.activations(TrainingMemory.on(device),
          model.dtype(), model.config().text(), rows, targets, options.recompute())));
      this.scope = scope.keep();
    }
  }

  /** The passes of training have kernels in BF16 and F32: gradients would not fit into F16's range. */
  static void requireTrained(DiffusionVl model) {
    if (model.dtype() == DType.F16) {
      throw new IllegalArgumentException("the model is in F16, training runs in BF16 and F32");
    }
  }

  /** Steps that were taken. */
  public int steps() {
    return steps;
  }

  public TrainerOptions options() {
    return options;
  }

  /**
   * One optimiser step.
   *
   * @param records {@link TrainerOptions#recordsPerStep} of them, or fewer at the end of the data
   * @throws dev.diffusionvl.runtime.OutOfDeviceMemoryException if the activations of a pass do not fit
   * @throws NumericalException naming the step and the records when the loss or a gradient is not finite; the weights are those of before
   */
  public Step step(List<TrainingRow> records) {
    return step(records, (rows, first) -> objective.rows(rows, seeds(first, rows.size()), records.size()));
  }

  /** How the pass over some of a step's examples is made; {@code first}: the number of the first of them in the step. */
  interface PassMaker {
    PassRows rows(List<Example> examples, int first);
  }

  Step step(List<TrainingRow> records, PassMaker maker) {
    if (finished) {
      throw new IllegalStateException("the trainer has finished");
    }
    stream.fill(state.gradients.all(), 0);
    double loss = 0;
    long tokens = 0;
    for (int first = 0; first < records.size(); first += options.batch()) {
      List<TrainingRow> some = records.subList(first, Math.min(first + options.batch(), records.size()));
      List<Example> examples = some.stream().map(TrainingRow::example).toList();
      loss += pass(maker.rows(examples, first), some);
      tokens += examples.stream().mapToLong(Example::length).sum();
    }
    float norm = optimizer.gradientNorm(options.clip());
    if (!Double.isFinite(loss) || !Float.isFinite(norm)) {
      throw new NumericalException("step %d: the loss is %s and the gradient norm %s; records %s".formatted(steps + 1, loss, norm,
          records.stream().map(TrainingRow::id).toList()));
    }
    double factor = rate.factor(steps);
    optimizer.step(weight -> factor * (state.trained.part(weight) == TrainedPart.VISION ? options.visionRate() : options.rate()),
        options.weightDecay(), ++steps);
    stream.synchronize();
    return new Step(steps, loss, norm, factor * options.rate(), tokens);
  }

  /** A seed for each example that depends on the run's seed, the step and the example's place in it, and on nothing else. */
  private long[] seeds(int first, int count) {
    long[] seeds = new long[count];
    for (int i = 0; i < count; i++) {
      seeds[i] = new SplittableRandom(new SplittableRandom(options.seed() + steps).nextLong() + first + i).nextLong();
    }
    return seeds;
  }

  /** Adds the gradients of one pass; returns its part of the step's loss. */
  private double pass(PassRows rows, List<TrainingRow> records) {
    if (rows.targets().isEmpty()) {
      return 0; // nothing is masked
    }
    List<TrainingRow.ImageRows> seen = records.stream().flatMap(record -> record.images().stream()).toList();
    room.make(rows.rows(), rows.targets().size(), rows.positions());
    try (DeviceScope pass = new DeviceScope(device)) {
      DevicePass onDevice = pass.own(new DevicePass(device, stream, rows));
      DeviceBuffer imageRows = images.encode(seen, pass);
      DeviceBuffer dImageRows = imageRows == null || !options.learnsFromImages() ? null
          : pass.allocate("gradient of image features", DType.F32, imageRows.shape());
      if (dImageRows != null) {
        stream.fill(dImageRows, 0);
      }
      language.run(onDevice, imageRows, dImageRows, room.rope(), room.activations());
      float[] losses = room.activations().losses.slice(0, rows.targets().size()).getFloats(stream);
      if (dImageRows != null) {
        images.learnFrom(seen, dImageRows, pass);
      }
      stream.synchronize();
      double loss = 0;
      for (float value : losses) {
        loss += value;
      }
      return loss;
    }
  }

  /** Takes the memory for passes up to this size, so that none is missing later. */
  public void reserve(PassSize largest) {
    reserved = largest;
    room.make(largest.rows(), largest.targets(), largest.positions());
    if (largest.image() > 0) {
      vision.reserve(largest.image());
    }
  }

  /** The gradients of the latest step, before clipping; null for a frozen weight. */
  DeviceBuffer gradient(DeviceBuffer weight) {
    return state.gradients.of(weight);
  }

  Stream stream() {
    return stream;
  }

  AdamW optimizer() {
    return optimizer;
  }

  /** What is trained, in a fixed order: buffers of the model's weights, and adapters. */
  List<DeviceBuffer> trainedWeights() {
    return state.trained.all();
  }

  /**
   * What {@code use} makes of the model as it is by now, adapters added; they are apart again afterwards. The activations' memory is free
   * meanwhile.
   */
  <T> T merged(Supplier<T> use) {
    stream.synchronize();
    room.close();
    vision.close();
    T made = state.adapters == null ? use.get() : state.adapters.merged(model.kernels(), stream, gemm, use);
    if (reserved != null) {
      reserve(reserved);
    }
    return made;
  }

  /** Adds the adapters, if there are some, to the model's weights. The trainer takes no more steps then. */
  public void finish() {
    room.close();
    if (state.adapters != null) {
      state.adapters.merge(model.kernels(), stream, gemm);
    }
    finished = true;
  }

  /** Goes on behind so many steps; weights and optimiser have been put in place. */
  void resumeAt(int step) {
    steps = step;
  }

  @Override
  public void close() {
    scope.close();
  }
}
