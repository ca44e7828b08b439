// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

/** The model produced numbers that no decoding can go on with. */
public final class NumericalException extends RuntimeException {
  public NumericalException(String message) {
    super(message);
  }
}
