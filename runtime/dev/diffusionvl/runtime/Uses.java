// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/** The handles that recorded work uses, which it must not outlive. */
final class Uses {
  private final Set<DeviceBuffer> buffers = identitySet();
  private final Set<PinnedBuffer> pinned = identitySet();
  private final Set<KernelModule> modules = identitySet();
  // The same once recording is over, for a check that allocates nothing.
  private DeviceBuffer[] allBuffers = {};
  private PinnedBuffer[] allPinned = {};
  private KernelModule[] allModules = {};

  private static <T> Set<T> identitySet() {
    return Collections.newSetFromMap(new IdentityHashMap<>());
  }

  void add(DeviceBuffer owner) {
    buffers.add(owner);
  }

  void add(PinnedBuffer buffer) {
    pinned.add(buffer);
  }

  void add(KernelModule module) {
    modules.add(module);
  }

  void addAll(Uses other) {
    Collections.addAll(buffers, other.allBuffers);
    Collections.addAll(pinned, other.allPinned);
    Collections.addAll(modules, other.allModules);
  }

  void complete() {
    allBuffers = buffers.toArray(allBuffers);
    allPinned = pinned.toArray(allPinned);
    allModules = modules.toArray(allModules);
  }

  /** @throws IllegalStateException naming the first one that is closed */
  void checkOpen() {
    for (DeviceBuffer buffer : allBuffers) {
      buffer.address();
    }
    for (PinnedBuffer buffer : allPinned) {
      buffer.checkOpen();
    }
    for (KernelModule module : allModules) {
      module.checkOpen();
    }
  }
}
