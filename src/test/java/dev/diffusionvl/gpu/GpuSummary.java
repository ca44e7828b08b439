// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.gpu;

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestTag;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

/** Says at the end of a test run how many tests that need a GPU ran, and why the others did not. */
public final class GpuSummary implements TestExecutionListener {
  private final AtomicInteger run = new AtomicInteger();
  private final Map<String, Integer> skipped = new TreeMap<>();

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    skip(test, reason);
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    if (!needsGpu(test)) {
      return;
    }
    if (result.getStatus() == TestExecutionResult.Status.ABORTED) {
      skip(test, result.getThrowable().map(Throwable::getMessage).orElse("no reason given").replace("Assumption failed: ", ""));
    } else {
      run.incrementAndGet();
    }
  }

  private synchronized void skip(TestIdentifier test, String reason) {
    if (needsGpu(test)) {
      skipped.merge(reason, 1, Integer::sum);
    }
  }

  private static boolean needsGpu(TestIdentifier test) {
    return test.isTest() && test.getTags().contains(TestTag.create("gpu"));
  }

  @Override
  public synchronized void testPlanExecutionFinished(TestPlan plan) {
    int total = skipped.values().stream().mapToInt(Integer::intValue).sum();
    if (total + run.get() > 0) {
      System.out.println("GPU tests: " + run.get() + " run, " + total + " skipped"
          + (total == 0 ? "" : ": " + String.join("; ", skipped.keySet()))
          + (run.get() == 0 ? ". Every other test ran on the emulated CUDA device." : ""));
    }
  }
}
