// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.HashSet;
import java.util.Set;

/** Names of questions that none shares with another: an id that has been there gets "#2", "#3" and so on. For one thread. */
final class UniqueIds {
  private final Set<String> taken = new HashSet<>();

  Question named(Question question) {
    String id = question.id();
    for (int again = 2; !taken.add(id); again++) {
      id = question.id() + "#" + again;
    }
    return question.withId(id);
  }
}
