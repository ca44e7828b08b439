// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import dev.diffusionvl.loader.BadInputException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.PriorityQueue;
import java.util.function.Function;

/**
 * A file of conversations in the LLaVA format, a JSON list or JSON lines, opened for training. Memory holds only where the records are:
 * 12 bytes per record, and 4 more while an epoch runs. A record is read, and its images are opened, when its turn comes. The file must not
 * change while it is open. Safe for use by several threads.
 *
 * <p>{@snippet :
 * RowEncoder encoder = new RowEncoder(config, tokenizer, RowEncoder.Options.of(config, images));
 * try (ConversationData data = ConversationData.open(file, encoder);
 *     RowStream rows = data.rows(DataPosition.start(seed), new RowStream.Options(8, 1), BadRecord.Listener.STRICT)) {
 *   for (TrainingRow row = rows.next(); row != null; row = rows.next()) {
 *     train(row);
 *   }
 * }
 * }
 */
public final class ConversationData implements AutoCloseable {
  private final ConversationFile file;
  private final RowEncoder encoder;

  private ConversationData(ConversationFile file, RowEncoder encoder) {
    this.file = file;
    this.encoder = encoder;
  }

  /**
   * Opens a file and finds its records, at the speed of reading it.
   *
   * @throws BadInputException if the file is missing or unreadable, holds no record, or is a list whose brackets do not match
   */
  public static ConversationData open(Path file, RowEncoder encoder) {
    return new ConversationData(ConversationFile.open(file), encoder);
  }

  /** The file this was opened from. */
  public Path file() {
    return file.file();
  }

  /** Records in the file, bad ones included. */
  public int size() {
    return file.index().size();
  }

  /**
   * One record.
   *
   * @param number from 0
   * @throws BadInputException naming the file, the record and the field, if it is bad
   * @throws IndexOutOfBoundsException if there is no such record
   */
  public ConversationRecord record(int number) {
    return outcome(number, record -> record).orThrow();
  }

  /**
   * The training row of one record, made on the calling thread.
   *
   * @param number of the record, from 0
   * @throws BadInputException naming the file, the record and what is wrong, if it is bad or nothing can be learnt from it
   * @throws IndexOutOfBoundsException if there is no such record
   */
  public TrainingRow row(int number) {
    return outcome(number).orThrow();
  }

  /**
   * Rows in the order of training, made by threads of their own ahead of the one that takes them. Close the stream before this.
   *
   * @param from where to begin: {@link DataPosition#start}, or {@link RowStream#position} of a stream that had the same options, then the
   *     same rows follow
   * @param listener hears of each bad record that is skipped
   */
  public RowStream rows(DataPosition from, RowStream.Options options, BadRecord.Listener listener) {
    return new RowStream(this, from, options, listener);
  }

  /** Numbers of the records with the longest text, of those with an image or of those without. */
  List<Integer> longest(int count, boolean image) {
    RecordIndex index = file.index();
    PriorityQueue<Integer> longest = new PriorityQueue<>(Comparator.comparingInt(index::length).thenComparing(Comparator.reverseOrder()));
    for (int record = 0; record < index.size(); record++) {
      if (index.hasImage(record) != image || longest.size() == count && index.length(record) <= index.length(longest.peek())) {
        continue;
      }
      longest.add(record);
      if (longest.size() > count) {
        longest.poll();
      }
    }
    return List.copyOf(longest);
  }

  /** How records become rows. */
  RowEncoder.Options options() {
    return encoder.options();
  }

  /** Of all bytes of the file. */
  long checksum() {
    return file.checksum();
  }

  int[] order(int group, long seed, int epoch) {
    return RecordOrder.of(file.index(), group, seed, epoch);
  }

  Outcome<TrainingRow> outcome(int number) {
    return outcome(number, encoder::encode);
  }

  private <T> Outcome<T> outcome(int number, Function<ConversationRecord, T> body) {
    Objects.checkIndex(number, size());
    String name = "record " + (number + 1);
    try {
      return new Outcome<>(body.apply(ConversationRecord.of(file.read(number), name)), null);
    } catch (BadInputException e) {
      return new Outcome<>(null, new BadRecord(file(), number + 1, file.idOf(number, name), e.getMessage()));
    }
  }

  /** Unmaps the file. Idempotent. */
  @Override
  public void close() {
    file.close();
  }
}
