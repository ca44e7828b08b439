// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.predict;

/**
 * What one kernel of a pass is expected to take, in microseconds.
 *
 * @param kernel its operation, and which of its uses
 * @param count how often it runs in a pass
 * @param bytes what it has to read
 * @param stream reading that, with the memory busy; without what comes while the kernel before ends
 * @param latency from its begin to the first byte, and where each load waits for the one before; or the memory for the products
 * @param tail from the last byte to its end
 * @param gap to the kernel before it
 */
public record KernelTime(String kernel, int count, long bytes, double stream, double latency, double tail, double gap) {
  /** Microseconds of one run. */
  public double micros() {
    return stream + latency + tail + gap;
  }

  /** Milliseconds of all runs in a pass. */
  public double millis() {
    return count * micros() * 1e-3;
  }
}
