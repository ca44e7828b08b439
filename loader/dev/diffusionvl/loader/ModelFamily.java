// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.loader;

/** The kinds of checkpoints. They share the language model and differ in what sees the images. */
public enum ModelFamily {
  /** Converted Qwen2.5-VL: its own vision tower at the image's resolution, a merger of 2 x 2 patches. */
  QWEN_VL("diffusionvl-qwenvl"),
  /** Converted Qwen2.5: a SigLIP2 tower over tiles of the image, a two-layer projector. */
  QWEN_SIGLIP("diffusionvl-qwen"),
  /** Qwen2.5, a language model that sees no images. */
  QWEN_TEXT("qwen");

  private final String id;

  ModelFamily(String id) {
    this.id = id;
  }

  /** The name that {@code dvl inspect} prints. */
  public String id() {
    return id;
  }
}
