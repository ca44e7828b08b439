// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Remembers every open handle with the stack that opened it, when switched on by {@code -Ddvl.trackLeaks=true}. What is
 * open when the process ends is reported on stderr. It never frees anything: a finaliser thread has no CUDA context.
 */
public final class LeakTracker {
  private static final boolean ENABLED = Boolean.getBoolean("dvl.trackLeaks");
  private static final Map<Object, Throwable> OPEN = new ConcurrentHashMap<>();
  private static final AtomicLong EVER_OPENED = new AtomicLong();

  static {
    if (ENABLED) {
      Runtime.getRuntime().addShutdownHook(new Thread(() -> report().forEach(leak -> System.err.println("leak: " + leak)), "leak report"));
    }
  }

  private LeakTracker() {}

  /** True when handles are tracked. */
  public static boolean enabled() {
    return ENABLED;
  }

  static void opened(Object handle, String what) {
    if (ENABLED) {
      EVER_OPENED.incrementAndGet();
      OPEN.put(new Key(handle), new Throwable(what + " opened here"));
    }
  }

  static void closed(Object handle) {
    if (ENABLED) {
      OPEN.remove(new Key(handle));
    }
  }

  /** Number of handles opened so far, closed ones included: what stands still allocates nothing. */
  public static long everOpened() {
    return EVER_OPENED.get();
  }

  /** Number of handles that are open now. */
  public static int openHandles() {
    return OPEN.size();
  }

  /** One text per open handle: what it is and the stack that opened it. */
  public static List<String> report() {
    List<String> leaks = new ArrayList<>();
    for (Throwable where : OPEN.values()) {
      StringBuilder text = new StringBuilder(where.getMessage());
      for (StackTraceElement frame : where.getStackTrace()) {
        text.append("\n    at ").append(frame);
      }
      leaks.add(text.toString());
    }
    return leaks;
  }

  /** Identity, whatever equals() of the handle says. */
  private record Key(Object handle) {
    @Override
    public boolean equals(Object other) {
      return other instanceof Key k && k.handle == handle;
    }

    @Override
    public int hashCode() {
      return System.identityHashCode(handle);
    }
  }
}
