// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;

/**
 * Training rows, one after another. Some threads read records, decode and prepare images and tokenize ahead of the one that takes rows.
 * What they have ready never exceeds a fixed number of rows, and comes out in order, whatever the number of threads. For one thread at a
 * time, but {@link #close} may come from another.
 */
public final class RowStream implements AutoCloseable {
  /**
   * How rows are made.
   *
   * @param group records of one optimiser step, which are grouped by modality and length; at least 1
   * @param epochs passes over the data in all, those before the first position included; at least 1
   * @param threads that make rows, at least 1
   * @param ahead rows that may be ready or in the making at a time, at least 1; a Qwen-VL image of the usual limits takes 6 MB, a SigLIP
   *     one up to 64 MB
   */
  public record Options(int group, int epochs, int threads, int ahead) {
    private static final int DEFAULT_THREADS = Math.min(4, Runtime.getRuntime().availableProcessors());

    public Options {
      if (group < 1 || epochs < 1 || threads < 1 || ahead < 1) {
        throw new IllegalArgumentException("group " + group + ", epochs " + epochs + ", threads " + threads + ", ahead " + ahead
            + ": all must be at least 1");
      }
    }

    /** A thread per processor, at most four, and twice as many rows ahead. */
    public Options(int group, int epochs) {
      this(group, epochs, DEFAULT_THREADS, 2 * DEFAULT_THREADS);
    }
  }

  /** A record on its way, and where the run is when it has been taken. */
  private record Pending(CompletableFuture<Outcome<TrainingRow>> outcome, DataPosition after) {}

  private final ConversationData data;
  private final Options options;
  private final BadRecord.Listener listener;
  private final ExecutorService threads;
  private final Queue<Pending> pending = new ArrayDeque<>();
  private int[] order; // of the epoch that is being read ahead
  private DataPosition ahead;
  private DataPosition position;
  private long skipped;
  private int fruitless;
  private volatile boolean closed;

  RowStream(ConversationData data, DataPosition from, Options options, BadRecord.Listener listener) {
    if (from.place() > data.size()) {
      throw new IllegalArgumentException("place " + from.place() + " of " + data.size() + " records");
    }
    this.data = data;
    this.options = options;
    this.listener = listener;
    this.position = from;
    this.ahead = from.place() == data.size() ? new DataPosition(from.seed(), from.epoch() + 1, 0) : from;
    this.threads = Executors.newFixedThreadPool(options.threads(), Thread.ofPlatform().daemon().name("training-rows-", 1).factory());
  }

  /**
   * The next row; bad records on the way to it are reported and skipped.
   *
   * @return null after the last epoch
   * @throws BadInputException if no record at all can be used; also what the listener throws
   * @throws IllegalStateException if the stream is closed
   */
  public TrainingRow next() {
    while (true) {
      if (closed) {
        throw new IllegalStateException("the stream is closed");
      }
      readAhead();
      Pending first = pending.poll();
      if (first == null) {
        return null;
      }
      Outcome<TrainingRow> outcome = join(first.outcome);
      position = first.after;
      if (outcome.bad() == null) {
        fruitless = 0;
        return outcome.value();
      }
      skip(outcome.bad());
    }
  }

  private void readAhead() {
    while (pending.size() < options.ahead() && ahead.epoch() < options.epochs()) {
      if (order == null) {
        order = data.order(options.group(), ahead.seed(), ahead.epoch());
      }
      int record = order[ahead.place()];
      boolean last = ahead.place() + 1 == order.length;
      ahead = last ? new DataPosition(ahead.seed(), ahead.epoch() + 1, 0)
          : new DataPosition(ahead.seed(), ahead.epoch(), ahead.place() + 1);
      order = last ? null : order;
      pending.add(new Pending(submit(record), ahead));
    }
  }

  private CompletableFuture<Outcome<TrainingRow>> submit(int record) {
    try {
      return CompletableFuture.supplyAsync(() -> make(record), threads);
    } catch (RejectedExecutionException e) {
      throw new IllegalStateException("the stream is closed", e);
    }
  }

  /** What is still waiting when the stream is closed is nobody's any more. */
  private Outcome<TrainingRow> make(int record) {
    if (closed) {
      throw new IllegalStateException("the stream is closed");
    }
    return data.outcome(record);
  }

  private static <T> T join(CompletableFuture<T> future) {
    try {
      return future.join();
    } catch (CompletionException e) {
      switch (e.getCause()) {
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        default -> throw e;
      }
    }
  }

  private void skip(BadRecord bad) {
    skipped++;
    listener.skipped(bad);
    if (++fruitless == data.size()) {
      throw BadInputException.of(data.file(), "none of its " + data.size() + " records can be used; the last of them: " + bad.reason());
    }
  }

  /** Where to go on after the row that was taken last. */
  public DataPosition position() {
    return position;
  }

  /** Bad records that this stream has skipped. */
  public long skipped() {
    return skipped;
  }

  /** Gives up the rows that are ready and waits until no thread works on others; an image that is being decoded is finished. Idempotent. */
  @Override
  public void close() {
    closed = true;
    threads.close();
  }
}
