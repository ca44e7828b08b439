// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

/** A part of the model that is trained, or frozen, as a whole. */
public enum TrainedPart {
  /** The language model, embeddings and head included. */
  LM,
  /** What turns the tower's rows into embeddings, the image newline included. */
  PROJECTOR,
  /** The vision tower. */
  VISION;

  /** The part that a tensor belongs to, by its canonical name (docs/model.md, "Naming schemes"). */
  static TrainedPart of(String name) {
    if (name.startsWith("vision.") || name.startsWith("siglip.")) {
      return VISION;
    }
    return name.startsWith("merger.") || name.startsWith("projector.") || name.equals("image_newline") ? PROJECTOR : LM;
  }
}
