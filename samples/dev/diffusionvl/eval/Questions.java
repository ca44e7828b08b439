// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.function.Consumer;

/** Questions in an order that is always the same. Each pass over them reads them anew, so that their images need not fit in memory. */
@FunctionalInterface
public interface Questions {
  /** @throws dev.diffusionvl.loader.BadInputException naming the file, the row and the field that is unusable */
  void forEach(Consumer<Question> action);
}
