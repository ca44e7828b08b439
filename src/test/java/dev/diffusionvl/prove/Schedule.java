// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.prove;

import java.util.ArrayList;
import java.util.List;

/**
 * An order in which the check build runs the threads of a block, and when it performs asynchronous copies.
 *
 * @param options of the emulated device (cuda/emulator/core/core.h)
 */
record Schedule(String options) {
  /** Threads in order, every copy as late as it may be; a finding does not spoil the context for later tests. */
  static final Schedule FORWARD = new Schedule("sched=fwd,cp=defer,preempt=0,sticky=0,stderr=0");

  /** Random order, copy times and switches between threads. */
  static Schedule random(long seed) {
    return new Schedule("sched=rand,cp=rand,preempt=50,sticky=0,stderr=0,seed=" + seed);
  }

  /** Forward order, then random ones: {@code -Dtest.schedules=N} of them (default 3), from {@code -Dtest.schedule.seed=N} (default 1). */
  static List<Schedule> all() {
    long seed = Long.getLong("test.schedule.seed", 1);
    List<Schedule> schedules = new ArrayList<>(List.of(FORWARD));
    for (int i = 0; i < Integer.getInteger("test.schedules", 3); i++) {
      schedules.add(random(seed + i));
    }
    return schedules;
  }

  @Override
  public String toString() {
    return this.equals(FORWARD) ? "forward order" : "random schedule, seed " + options.replaceFirst(".*seed=", "");
  }
}
