// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.loader.Checkpoint;
import dev.diffusionvl.loader.QuantizedMatrix;
import dev.diffusionvl.loader.TensorType;
import dev.diffusionvl.loader.TensorView;
import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.Device;
import dev.diffusionvl.runtime.DeviceBuffer;
import dev.diffusionvl.runtime.op.PackedLayout;
import dev.diffusionvl.runtime.op.WeightMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * A checkpoint's tensors, copied from the mapped files by several {@link WeightReader}s, quantised ones decoded on the way. Filling only
 * notes what is to be done; all of it is done in {@link #finish}, in the order of the files' tensors as they were asked for, so that the
 * operating system can read ahead.
 */
final class CheckpointWeights implements WeightSource {
  private static final int MAX_READERS = 4;

  /** Some elements of a tensor, and where they go. */
  private sealed interface Chunk {
    /** What it takes in the file. */
    long storedBytes();

    void copy(WeightReader reader);
  }

  /** Elements from {@code from} on. */
  private record Stored(TensorView view, long from, DeviceBuffer target) implements Chunk {
    @Override
    public long storedBytes() {
      return target.elements() * view.type().bytes();
    }

    @Override
    public void copy(WeightReader reader) {
      reader.copy(view, from, target);
    }
  }

  /** Whole rows of a quantised matrix, decoded on the way. */
  private record Decoded(String name, QuantizedMatrix matrix, int firstRow, DeviceBuffer target, long storedBytes) implements Chunk {
    @Override
    public void copy(WeightReader reader) {
      int rows = Math.toIntExact(target.elements() / matrix.in());
      float[] row = new float[matrix.in()];
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment values = arena.allocate(ValueLayout.JAVA_FLOAT, target.elements());
        for (int i = 0; i < rows; i++) {
          matrix.decodeRow(firstRow + i, row);
          MemorySegment.copy(row, 0, values, ValueLayout.JAVA_FLOAT, 4L * i * row.length, row.length);
        }
        reader.copy(new TensorView(name, TensorType.F32, new long[] {rows, row.length}, values.byteSize(), values), 0, target);
      }
    }
  }

  /** Elements that are computed when their turn comes. */
  private record Made(String name, Supplier<MemorySegment> elements, DeviceBuffer target, long storedBytes) implements Chunk {
    @Override
    public void copy(WeightReader reader) {
      MemorySegment made = elements.get();
      long size = made.byteSize() / target.dtype().bytes();
      TensorView view = new TensorView(name, StoredTypes.tensorType(target.dtype()), new long[] {size}, made.byteSize(), made);
      long most = WeightReader.BUFFER_BYTES / target.dtype().bytes();
      for (long at = 0; at < size; at += most) {
        reader.copy(view, at, target.slice(at, Math.min(most, size - at)));
      }
    }
  }

  /** Codes of some columns of a tile of a packed matrix. */
  private record Packed(PackedStack stack, int tile, int firstColumn, int columns, DeviceBuffer units, long storedBytes) implements Chunk {
    @Override
    public void copy(WeightReader reader) {
      reader.pack(stack.layout().form(), columns, target -> stack.codes(tile, firstColumn, columns, target), units);
    }
  }

  private final Device device;
  private final Checkpoint checkpoint;
  private final LoadListener listener;
  private final Map<String, QuantizedMatrix> matrices = new HashMap<>();
  private final Map<List<String>, PackedStack> stacks = new HashMap<>();
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
    if (checkpoint.format(name) != null) {
      QuantizedMatrix matrix = matrices.computeIfAbsent(name, checkpoint::matrix);
      return new long[] {matrix.out(), matrix.in()};
    }
    return checkpoint.tensor(name).shape();
  }

  @Override
  public Packing packing(List<String> names, boolean paired) {
    if (names.stream().anyMatch(name -> checkpoint.format(name) == null)) {
      return null;
    }
    PackedStack stack = PackedStack.of(names.stream().map(name -> matrices.computeIfAbsent(name, checkpoint::matrix)).toList(), paired);
    if (stack != null) {
      stacks.put(names, stack);
    }
    return stack == null ? null : new Packing(stack.layout(), stack.hasZeros());
  }

  @Override
  public void fill(List<String> names, WeightMatrix.Packed target, DType dtype) {
    PackedStack stack = stacks.get(names);
    String name = String.join("+", names);
    PackedLayout layout = stack.layout();
    long stored = names.stream().mapToLong(checkpoint::storedBytes).sum();
    int most = (int) WeightReader.BUFFER_BYTES / PackedLayout.TILE; // columns, whole chunks
    for (int tile = 0; tile < layout.tiles(); tile++) {
      for (int column = 0; column < layout.in(); column += most) {
        int columns = Math.min(most, layout.in() - column);
        long at = tile * layout.tileBytes() + (long) column / PackedLayout.CHUNK * layout.form().unitBytes();
        long bytes = (long) Math.ceilDiv(columns, PackedLayout.CHUNK) * layout.form().unitBytes();
        chunks.add(new Packed(stack, tile, column, columns, target.codes().slice(at, bytes),
            stored * columns / layout.in() / layout.tiles()));
      }
    }
    chunks.add(new Made(name, () -> {
      if (dtype == DType.F16) {
        stack.requireF16(names);
      }
      return MemorySegment.ofArray(stack.scales());
    }, target.scales(), 0));
    if (target.zeros() != null) {
      chunks.add(new Made(name, () -> MemorySegment.ofArray(stack.zeros()), target.zeros(), 0));
    }
  }

  @Override
  public void fill(String name, DeviceBuffer target) {
    long most = WeightReader.BUFFER_BYTES / target.dtype().bytes();
    if (checkpoint.format(name) != null) {
      QuantizedMatrix matrix = matrices.computeIfAbsent(name, checkpoint::matrix);
      int rows = (int) Math.max(1, most / matrix.in());
      long stored = checkpoint.storedBytes(name);
      for (int row = 0; row < matrix.out(); row += rows) {
        long count = Math.min(rows, matrix.out() - row);
        DeviceBuffer part = target.slice((long) row * matrix.in(), count * matrix.in());
        chunks.add(new Decoded(name, matrix, row, part, stored * count / matrix.out()));
      }
      return;
    }
    TensorView view = checkpoint.tensor(name);
    if (view.elements() != target.elements()) {
      throw new IllegalArgumentException(view + " into " + target);
    }
    for (long at = 0; at < target.elements(); at += most) {
      chunks.add(new Stored(view, at, target.slice(at, Math.min(most, target.elements() - at))));
    }
  }

  @Override
  public void finish() {
    long total = chunks.stream().mapToLong(Chunk::storedBytes).sum();
    listener.onProgress(0, total);
    int count = Math.clamp(chunks.size() / 2, 1, Math.min(MAX_READERS, Runtime.getRuntime().availableProcessors()));
    BlockingQueue<WeightReader> idle = new LinkedBlockingQueue<>();
    for (int i = 0; i < count; i++) {
      readers.add(new WeightReader(device, !stacks.isEmpty()));
      idle.add(readers.getLast());
    }
    ExecutorService executor = Executors.newFixedThreadPool(count, Thread.ofPlatform().daemon().name("dvl-weights-", 0).factory());
    try {
      CompletionService<Long> done = new ExecutorCompletionService<>(executor);
      for (Chunk chunk : chunks) {
        done.submit(() -> {
          WeightReader reader = idle.take();
          try {
            chunk.copy(reader);
          } finally {
            idle.add(reader);
          }
          return chunk.storedBytes();
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
      checkpoint.requireWhole(); // a page of a mapped file that is there no more is an InternalError
      throw e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancellationException("interrupted while the weights were loaded");
    } finally {
      stop(executor);
    }
    checkpoint.requireWhole(); // the rest of a page reads as zeros
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
