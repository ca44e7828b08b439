// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.model.DiffusionVl;
import dev.diffusionvl.model.Engine;
import dev.diffusionvl.model.EngineOptions;
import dev.diffusionvl.model.EngineStats;
import dev.diffusionvl.model.Generation;
import dev.diffusionvl.model.GenerationListener;
import dev.diffusionvl.model.GenerationOptions;
import dev.diffusionvl.model.Request;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceSpec;
import dev.diffusionvl.spark.AnswerSettings.EngineSettings;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;

/**
 * The engine of this process for one model on one device: opened by the first task that needs it, shared by all tasks, whatever becomes of
 * them, and closed when the process ends. Safe for use by several threads.
 */
final class ExecutorEngine {
  private static final Map<EngineSettings, ExecutorEngine> OPEN = new HashMap<>();

  static {
    Runtime.getRuntime().addShutdownHook(new Thread(ExecutorEngine::closeAll, "diffusionvl-close"));
  }

  private final List<AutoCloseable> parts = new ArrayList<>(); // each needs those before it
  private final DiffusionVl model;
  private final Engine engine;
  private final Semaphore room;
  private final EngineSource metrics;
  private long forwardsCounted;

  private ExecutorEngine(EngineSettings settings) {
    try {
      Device device = add(Device.open(DeviceSpec.parse(settings.device())));
      model = add(DiffusionVl.load(device, Path.of(settings.model()), settings.dtype()));
      int rows = 2 * settings.slots(); // one in each slot, and one ready to follow it
      engine = add(model.newEngine(EngineOptions.DEFAULTS.withSlots(settings.slots()).withQueue(rows).withGemm(settings.gemm())
          .withKv(settings.kv())));
      room = new Semaphore(rows, true);
      metrics = new EngineSource(settings, engine::stats);
    } catch (IllegalArgumentException e) {
      close();
      throw new BadInputException(e.getMessage(), e);
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
    SparkEnv.get().metricsSystem().registerSource(metrics);
  }

  private <T extends AutoCloseable> T add(T part) {
    parts.add(part);
    return part;
  }

  /**
   * The engine for a task of this thread.
   *
   * @throws RuntimeException if it cannot be opened: the task fails with it, and the next one tries again
   */
  static ExecutorEngine of(EngineSettings wanted) {
    EngineSettings settings = wanted.withDevice(device(wanted.device(), TaskContext.get()));
    synchronized (OPEN) {
      ExecutorEngine open = OPEN.get(settings);
      if (open != null && open.engine.failure() != null) {
        OPEN.remove(settings).close(); // its device has failed; perhaps a new context works
        open = null;
      }
      if (open == null) {
        open = new ExecutorEngine(settings);
        OPEN.put(settings, open);
      }
      return open;
    }
  }

  /** The GPU that Spark has assigned to the task, unless a certain device is asked for. */
  static String device(String wanted, TaskContext task) {
    ResourceInformation gpu = task == null ? null : task.resourcesJMap().get("gpu");
    return gpu != null && (wanted.equals("auto") || wanted.equals("gpu")) ? "gpu:" + gpu.addresses()[0] : wanted;
  }

  DiffusionVl model() {
    return model;
  }

  EngineSource metrics() {
    return metrics;
  }

  EngineStats stats() {
    return engine.stats();
  }

  /**
   * Has a row answered. Waits for a place first, which rows that are there give back when they end, whatever has become of their tasks.
   *
   * @throws RuntimeException as {@link Engine#submit}, but for a full queue
   */
  Generation submit(Request request, GenerationOptions options) {
    room.acquireUninterruptibly();
    boolean submitted = false;
    try {
      Generation generation = engine.submit(request, options, GenerationListener.NONE);
      generation.result().whenComplete((result, failure) -> room.release());
      submitted = true;
      return generation;
    } finally {
      if (!submitted) {
        room.release();
      }
    }
  }

  /** Passes through the language model since this was asked last, by any task: over all tasks they add up to the engine's. */
  synchronized long newForwards() {
    long before = forwardsCounted;
    forwardsCounted = engine.stats().forwards();
    return forwardsCounted - before;
  }

  /** At the end of the process. */
  static void closeAll() {
    synchronized (OPEN) {
      OPEN.values().forEach(ExecutorEngine::close);
      OPEN.clear();
    }
  }

  private void close() {
    if (metrics != null && SparkEnv.get() != null) {
      SparkEnv.get().metricsSystem().removeSource(metrics);
    }
    for (AutoCloseable part : parts.reversed()) {
      try {
        part.close();
      } catch (Exception e) {
        System.getLogger(ExecutorEngine.class.getName()).log(System.Logger.Level.WARNING, "closing " + part, e);
      }
    }
    parts.clear();
  }
}
