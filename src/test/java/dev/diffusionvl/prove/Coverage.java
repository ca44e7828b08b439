// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import java.util.List;

/** Runs the kernel tests for {@code cuda/prove --coverage}: with -Ddvl.kernels the kernels count which of their lines run. */
public final class Coverage {
  private Coverage() {}

  /** No arguments. */
  public static void main(String[] none) {
    List<KernelSuite.Outcome> failed = KernelSuite.runAll().stream().filter(o -> o.failure() != null).toList();
    failed.forEach(o -> System.out.println(o.name() + ": " + o.failure()));
    System.exit(failed.isEmpty() ? 0 : 1);
  }
}
