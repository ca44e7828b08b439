// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A checkpoint's tensors, copied from the mapped files by several {@link WeightReader}s. Filling only notes what is to be done; all of it
 * is done in {@link #finish}, in the order of the files' tensors as they were asked for, so that the operating system can read ahead.
 */
final class CheckpointWeights implements WeightSource {
  private static final int MAX_READERS = 4;

  /** Elements [from, from + count) of a tensor, and where they go. */
  private record Chunk(TensorView view, long from, DeviceBuffer target) {
    long sourceBytes() {
      return target.elements() * view.type().bytes();
    }
  }

  private final Device device;
  private final Checkpoint checkpoint;
  private final LoadListener listener;
  private final List<Chunk> chunks = new ArrayList<>();
  private final List<WeightReader> readers = new ArrayList<>();

  CheckpointWeights(Device device, Checkpoint checkpoint, LoadListener listener) {
    this.device = device;
    this.checkpoint = checkpoint;
    this.listener = listener;
  }

  @Override
  public boolean contains(String name) {
    return checkpoint.contains(name);
  }

  @Override
  public long[] shape(String name) {
    return checkpoint.tensor(name).shape();
  }

  @Override
  public void fill(String name, DeviceBuffer target) {
    TensorView view = checkpoint.tensor(name);
    if (view.elements() != target.elements()) {
      throw new IllegalArgumentException(view + " into " + target);
    }
    long each = WeightReader.BUFFER_BYTES / target.dtype().bytes();
    for (long at = 0; at < target.elements(); at += each) {
      chunks.add(new Chunk(view, at, target.slice(at, Math.min(each, target.elements() - at))));
    }
  }

  @Override
  public void finish() {
    long total = chunks.stream().mapToLong(Chunk::sourceBytes).sum();
    listener.onProgress(0, total);
    int count = Math.clamp(chunks.size() / 2, 1, Math.min(MAX_READERS, Runtime.getRuntime().availableProcessors()));
    BlockingQueue<WeightReader> idle = new LinkedBlockingQueue<>();
    for (int i = 0; i < count; i++) {
      readers.add(new WeightReader(device));
      idle.add(readers.getLast());
    }
    ExecutorService executor = Executors.newFixedThreadPool(count, Thread.ofPlatform().daemon().name("dvl-weights-", 0).factory());
    try {
      CompletionService<Long> done = new ExecutorCompletionService<>(executor);
      for (Chunk chunk : chunks) {
        done.submit(() -> {
          WeightReader reader = idle.take();
          try {
            reader.copy(chunk.view(), chunk.from(), chunk.target());
          } finally {
            idle.add(reader);
          }
          return chunk.sourceBytes();
        });
      }
      long bytes = 0;
      for (int i = 0; i < chunks.size(); i++) {
        bytes += done.take().get();
        if (i < chunks.size() - 1) {
          listener.onProgress(bytes, total);
        }
      }
      readers.forEach(WeightReader::finish);
      listener.onProgress(total, total);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while the weights were loaded", e);
    } finally {
      stop(executor);
    }
    chunks.clear();
  }

  /** No reader may touch mapped files or buffers that are about to be closed. */
  private static void stop(ExecutorService executor) {
    executor.shutdownNow();
    boolean interrupted = false;
    while (true) {
      try {
        if (executor.awaitTermination(1, TimeUnit.MINUTES)) {
          break;
        }
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    readers.forEach(WeightReader::close);
    readers.clear();
  }
}
