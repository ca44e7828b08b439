// SPDX-License-Identifier: Apache-2.0

/**
 * Block-diffusion vision-language models from Java: load a checkpoint, ask about images, train. It begins at
 * {@link dev.diffusionvl.model.DiffusionVl}; {@link dev.diffusionvl.runtime.Device} opens the GPU, or the emulated device.
 */
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic"}) // JCuda and the automata have no module descriptors
module dev.diffusionvl {
  requires transitive java.desktop; // an image may be given as a BufferedImage
  requires automaton;
  requires com.fasterxml.jackson.core;
  requires jcuda;
  requires jcublas;
  requires jcudnn;

  exports dev.diffusionvl.loader;
  exports dev.diffusionvl.model;
  exports dev.diffusionvl.model.constraint;
  exports dev.diffusionvl.quantize;
  exports dev.diffusionvl.runtime;
  exports dev.diffusionvl.runtime.op;
  exports dev.diffusionvl.train;
}
