// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import java.util.List;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Fails a test in which the emulated device found something, with the findings in the message. Nothing to do on a GPU. */
public final class Findings implements BeforeEachCallback, AfterEachCallback {
  @Override
  public void beforeEach(ExtensionContext context) {
    if (Emulator.present()) {
      Emulator.takeFindings(); // what an earlier test left is not ours
    }
  }

  @Override
  public void afterEach(ExtensionContext context) {
    List<String> findings = Emulator.present() ? Emulator.takeFindings() : List.of();
    if (!findings.isEmpty()) {
      throw new AssertionError("the emulated device found:\n" + String.join("\n", findings));
    }
  }
}
