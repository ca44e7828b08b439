// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Predictions;

/** What the scored rows of a pass predict, as the host knows it, for decodings that decide on the host. */
final class ChosenTokens {
  private final Predictions predictions;
  private final PinnedBuffer token;
  private final PinnedBuffer probability;

  /** @param owner of the host's memory */
  ChosenTokens(DeviceScope owner, Predictions predictions) {
    this.predictions = predictions;
    token = owner.allocatePinned("predicted tokens", Math.max(4, predictions.token().bytes()));
    probability = owner.allocatePinned("confidence", Math.max(4, predictions.probability().bytes()));
  }

  /** Queues the copy of the predictions from the device; the host has them once the stream is synchronised. */
  void download(Stream stream) {
    stream.downloadAsync(predictions.token(), token, 0);
    stream.downloadAsync(predictions.probability(), probability, 0);
  }

  int token(int row) {
    return token.segment().getAtIndex(JAVA_INT, row);
  }

  /** NaN where the row's logits hold one. */
  float probability(int row) {
    return probability.segment().getAtIndex(JAVA_FLOAT, row);
  }
}
