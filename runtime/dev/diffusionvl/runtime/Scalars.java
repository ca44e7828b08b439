// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jcuda.Pointer;

/** The factors 1 and 0 in host memory, as cuBLAS and cuDNN take them. */
final class Scalars {
  private static final MemorySegment MEMORY = Arena.ofAuto().allocateFrom(JAVA_FLOAT, 1f, 0f); // lives as long as the class

  static final Pointer ONE = Pointers.pointer(MEMORY.address());
  static final Pointer ZERO = Pointers.pointer(MEMORY.address() + 4);

  private Scalars() {}
}
