// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/**
 * Which device to open: {@code auto} (a real GPU if there is one, else the emulated device), {@code gpu}, {@code gpu:N} or
 * {@code emulated}.
 */
public record DeviceSpec(Kind kind, int ordinal) {
  /** The two devices, and the choice between them. */
  public enum Kind { AUTO, GPU, EMULATED }

  public static final DeviceSpec AUTO = new DeviceSpec(Kind.AUTO, 0);
  public static final DeviceSpec EMULATED = new DeviceSpec(Kind.EMULATED, 0);

  /** Parses the spelling of {@code --device} and {@code -Ddvl.device}. @throws IllegalArgumentException on any other text */
  public static DeviceSpec parse(String text) {
    switch (text) {
      case "auto":
        return AUTO;
      case "emulated":
        return EMULATED;
      case "gpu":
        return new DeviceSpec(Kind.GPU, 0);
      default:
        if (text.matches("gpu:\\d{1,3}")) {
          return new DeviceSpec(Kind.GPU, Integer.parseInt(text.substring(4)));
        }
        throw new IllegalArgumentException("device '" + text + "' is none of auto, gpu, gpu:N, emulated");
    }
  }

  @Override
  public String toString() {
    return switch (kind) {
      case AUTO -> "auto";
      case EMULATED -> "emulated";
      case GPU -> "gpu:" + ordinal;
    };
  }
}
