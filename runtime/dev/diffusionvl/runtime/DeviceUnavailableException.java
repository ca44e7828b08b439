// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

/** The asked-for device or a library that it needs is not on this machine; the message says what was looked for and where. */
public final class DeviceUnavailableException extends RuntimeException {
  public DeviceUnavailableException(String message) {
    super(message);
  }

  public DeviceUnavailableException(String message, Throwable cause) {
    super(message, cause);
  }
}
