// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.model.PassPlan.Part;
import dev.diffusionvl.model.Transformer.PassParts;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Kernels;
import dev.diffusionvl.runtime.op.Segments;
import java.util.List;

/**
 * Runs what a {@link PassPlan} says: embeddings, layers, a token and its confidence for each scored row, commits. Passes with prompts have
 * a shape of their own each; all others are of few shapes, which are captured as graphs.
 */
final class ForwardPasses {
  private final Stream stream;
  private final Kernels kernels;
  private final DecodeMemory memory;
  private final Transformer transformer;
  private final int vocab; // rows of the head
  private final int hidden;
  private final int maskId;
  private final boolean originalConfidence;
  private final boolean graphs;

  /** @param originalConfidence where tokens are drawn; see {@link dev.diffusionvl.runtime.op.Sample} */
  ForwardPasses(DiffusionVl model, Stream stream, DecodeMemory memory, boolean originalConfidence, boolean graphs) {
    this.stream = stream;
    this.kernels = model.kernels();
    this.memory = memory;
    this.transformer = memory.transformer();
    this.vocab = model.text().head().out();
    this.hidden = model.config().text().hiddenSize();
    this.maskId = model.config().maskTokenId();
    this.originalConfidence = originalConfidence;
    this.graphs = graphs;
  }

  /** A pass in two pieces. */
  private record Piece(PassPlan.Shape shape, boolean decides) {}

  /**
   * Queues the pass. Where some tokens are not legal, those that are go to the device while the layers run.
   *
   * @param parts of the plan
   */
  void run(PassPlan plan, List<Part> parts) {
    memory.tables().upload(stream, plan);
    if (plan.scores() || plan.weighed()) { // what is wanted of it differs from pass to pass; or the host takes part
      memory.wanted().clear();
      layers(plan);
      memory.legal().upload(stream, plan, parts);
      decide(plan, parts);
      return;
    }
    if (!plan.restricted()) {
      run(plan, plan.shape(), () -> {
        layers(plan);
        decide(plan, parts);
      });
      return;
    }
    run(plan, new Piece(plan.shape(), false), () -> layers(plan));
    memory.legal().upload(stream, plan, parts);
    run(plan, new Piece(plan.shape(), true), () -> decide(plan, parts));
  }

  private void run(PassPlan plan, Object shape, Runnable pass) {
    if (graphs && plan.prompts().isEmpty()) {
      memory.graphs().run(stream, shape, pass);
    } else {
      pass.run();
    }
  }

  private void layers(PassPlan plan) {
    for (PassPlan.PromptRows p : plan.prompts()) {
      DeviceBuffer source = p.embeddings().slice((long) p.from() * hidden, p.rows(), hidden);
      stream.copy(source, transformer.hidden().rowsFrom(p.row()));
    }
    if (plan.pick().length > 0) {
      transformer.embed(memory.blocks().buffer(), memory.tables().pick(), memory.given(), plan.promptRows(), plan.pick().length);
    }
    Segments all = memory.tables().segments();
    int prompt = plan.promptSegments();
    Segments written = all.view(prompt, plan.stored() + plan.scored());
    transformer.forward(new PassParts(all, all.view(0, prompt), written, all.view(prompt + plan.stored(), plan.scored())),
        memory.cache(), memory.rope());
  }

  /**
   * A token and its confidence for every scored row, then the commits of the most confident (docs/model.md, "Block-diffusion generation"),
   * where the host does not decide.
   * Steps and the number of the pass, which the draws depend on, are counted on the device.
   */
  private void decide(PassPlan plan, List<Part> parts) {
    int rows = memory.blocks().rows();
    int predicted = plan.scored() * rows;
    int row = 0;
    int task = 0;
    int committed = 0;
    for (PassPlan.Group group : plan.groups()) {
      int count = group.blocks() * rows;
      DeviceBuffer legal = group.restricted() ? memory.legal().rows(row, count) : null;
      if (group.scores()) {
        transformer.computeLogits(row, count);
        kernels.confidence.launch(stream, transformer.logits(), memory.predictions().rowsFrom(row), count, vocab, maskId);
        wanted(plan, parts, row, count);
      } else if (group.drawn() || group.weighed()) {
        transformer.computeLogits(row, count);
        if (group.weighed()) {
          weigh(plan, parts, row, count);
        }
        if (group.drawn()) {
          kernels.sample.launch(stream, memory.draws(), transformer.logits(), vocab, memory.predictions(), row, row + count,
              memory.blocks().blocks(), memory.tables().tasks().rowsFrom(task), group.tasks(), memory.uniforms(), originalConfidence,
              legal);
        } else {
          kernels.confidence.launch(stream, transformer.logits(), memory.predictions().rowsFrom(row), count, vocab, group.excluded(),
              legal);
        }
      } else {
        transformer.predict(row, count, group.excluded(), legal, memory.predictions());
      }
      row += count;
      task += group.tasks();
      committed += group.onHost() ? 0 : group.tasks(); // these come first
    }
    if (committed > 0) {
      kernels.remask.launch(stream, memory.predictions(), predicted, memory.blocks().blocks(), memory.tables().tasks(), committed, maskId);
    }
  }

  /** Has the sequences of a group change their logits. */
  private void weigh(PassPlan plan, List<Part> parts, int row, int count) {
    for (Part part : parts) {
      if (part.sequence().weighed() && part.variants() > 0) {
        int first = plan.firstScored(part.sequence());
        if (first >= row && first < row + count) {
          memory.hostLogits().weigh(stream, transformer.logits().slice((long) (first - row) * vocab, vocab), part.sequence());
        }
      }
    }
  }

  /** Queues the copies of the logits that sequences of a group want to know. */
  private void wanted(PassPlan plan, List<Part> parts, int row, int count) {
    for (Part part : parts) {
      if (part.sequence().scores() && part.variants() > 0) {
        int first = plan.firstScored(part.sequence());
        if (first >= row && first < row + count) {
          memory.wanted().download(stream, transformer.logits(), vocab, row, first, part.sequence());
        }
      }
    }
    memory.wanted().download(stream);
  }
}
