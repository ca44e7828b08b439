// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import java.util.Arrays;

/** A set of states of an automaton. */
final class StateSet {
  private final long[] bits;

  StateSet(int states) {
    bits = new long[(states + 63) / 64];
  }

  boolean has(int state) {
    return (bits[state >>> 6] >>> state & 1) != 0;
  }

  void add(int state) {
    bits[state >>> 6] |= 1L << state;
  }

  /** Adds the states behind a state. */
  void add(Followers followers) {
    for (int i = 0; i < followers.words().length; i++) {
      bits[followers.words()[i]] |= followers.bits()[i];
    }
  }

  /** Whether it has one of the states behind a state. */
  boolean hasAny(Followers followers) {
    for (int i = 0; i < followers.words().length; i++) {
      if ((bits[followers.words()[i]] & followers.bits()[i]) != 0) {
        return true;
      }
    }
    return false;
  }

  /** Whether it has all the states behind a state. */
  boolean hasAll(Followers followers) {
    for (int i = 0; i < followers.words().length; i++) {
      if ((followers.bits()[i] & ~bits[followers.words()[i]]) != 0) {
        return false;
      }
    }
    return true;
  }

  void remove(int state) {
    bits[state >>> 6] &= ~(1L << state);
  }

  void clear() {
    Arrays.fill(bits, 0);
  }

  /** The smallest state that is not below {@code from}, or −1. */
  int next(int from) {
    for (int i = from >>> 6; i < bits.length; i++) {
      long left = i == from >>> 6 ? bits[i] >>> from << from : bits[i];
      if (left != 0) {
        return i * 64 + Long.numberOfTrailingZeros(left);
      }
    }
    return -1;
  }
}
