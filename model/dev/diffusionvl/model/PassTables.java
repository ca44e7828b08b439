// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.DeviceScope;
import dev.diffusionvl.runtime.Event;
import dev.diffusionvl.runtime.PinnedBuffer;
import dev.diffusionvl.runtime.Stream;
import dev.diffusionvl.runtime.op.Blocks;
import dev.diffusionvl.runtime.op.Segments;
import java.lang.foreign.MemorySegment;

/**
 * A plan's segments, picks and tasks on the device. The host does not wait for the copy: it has several places to copy from, and waits
 * when it comes to one whose last copy has not run yet.
 */
final class PassTables implements AutoCloseable {
  private static final int PLACES = 4;

  private final DeviceScope owned;
  private final Segments segments;
  private final DeviceBuffer pick;
  private final DeviceBuffer tasks;
  private final PinnedBuffer[] host = new PinnedBuffer[PLACES];
  private final Event[] copied = new Event[PLACES];
  private int place;
  private PassPlan current;

  PassTables(Device device, int maxSegments, int maxRows, int maxTasks) {
    try (DeviceScope scope = new DeviceScope(device)) {
      segments = scope.own(new Segments(device, maxSegments));
      pick = scope.allocate("picked rows", DType.I32, maxRows);
      tasks = scope.allocate("tasks", DType.I32, maxTasks, Blocks.TASK_FIELDS);
      for (int i = 0; i < PLACES; i++) {
        host[i] = scope.allocatePinned("tables of a pass", Segments.bytes(maxSegments) + pick.bytes() + tasks.bytes());
        copied[i] = scope.newEvent(false);
      }
      owned = scope.keep();
    }
  }

  /** Queues the copy of the plan's tables, unless they are there. */
  void upload(Stream stream, PassPlan plan) {
    if (plan.sameTables(current)) {
      return;
    }
    current = null; // should the copy fail
    place = (place + 1) % PLACES;
    copied[place].synchronize();
    plan.fill(segments);
    segments.upload(stream, host[place], 0);
    long at = Segments.bytes(segments.count());
    at += copy(stream, plan.pick(), at, pick);
    copy(stream, plan.tasks(), at, tasks.slice(0, plan.tasks().length));
    copied[place].record(stream);
    current = plan;
  }

  private long copy(Stream stream, int[] values, long at, DeviceBuffer target) {
    if (values.length == 0) {
      return 0;
    }
    MemorySegment.copy(values, 0, host[place].segment(), JAVA_INT, at, values.length);
    stream.uploadAsync(host[place], at, target.slice(0, values.length));
    return 4L * values.length;
  }

  /** Segments of the plan that was uploaded last. */
  Segments segments() {
    return segments;
  }

  /** I32 [rows]. */
  DeviceBuffer pick() {
    return pick;
  }

  /** I32 [tasks, 4]. */
  DeviceBuffer tasks() {
    return tasks;
  }

  @Override
  public void close() {
    owned.close();
  }
}
