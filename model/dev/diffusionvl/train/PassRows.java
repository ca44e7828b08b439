// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.train;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The rows that one training pass carries, described on the host: what each row is, what it sees, and what is learnt at it. A row's keys
 * and values live in the cache slot of the row's own number. Rows whose logits are learnt from stand last.
 */
public final class PassRows {
  /** In {@link #tokens}: the row is a row of an image. */
  static final int IMAGE_ROW = -1;

  /**
   * Neighbouring rows that see the same context and each other.
   *
   * @param row first row
   * @param rows how many
   * @param position of the first row in its sequence
   * @param contextBegin first row of the context
   * @param contextEnd one past its last row
   * @param causal a row sees of its own span only itself and the rows before it
   */
  public record Span(int row, int rows, int position, int contextBegin, int contextEnd, boolean causal) {}

  /**
   * Something to learn: cross-entropy of the label under the logits of a row, times a weight.
   *
   * @param row of the pass
   */
  public record Target(int row, int label, float weight) {}

  private final int[] tokens;
  private final int[] features;
  private final List<Span> spans;
  private final int contextSpans;
  private final List<Target> targets;
  private final int positions;

  private PassRows(Builder builder) {
    tokens = Arrays.copyOf(builder.tokens, builder.rows);
    features = Arrays.copyOf(builder.features, builder.rows);
    spans = List.copyOf(builder.spans);
    contextSpans = builder.contextSpans < 0 ? builder.spans.size() : builder.contextSpans;
    targets = List.copyOf(builder.targets);
    positions = spans.stream().mapToInt(span -> span.position() + span.rows()).max().orElse(0);
  }

  /** Rows of the pass. */
  public int rows() {
    return tokens.length;
  }

  /** Per row its token, or {@link #IMAGE_ROW}. */
  int[] tokens() {
    return tokens;
  }

  /** Per row which row of the pass's image features it is, or −1. */
  int[] features() {
    return features;
  }

  /** All spans, in the order of their rows. */
  public List<Span> spans() {
    return spans;
  }

  /** Spans that only serve as context; the others follow, and what is learnt is learnt from their rows. */
  int contextSpans() {
    return contextSpans;
  }

  /** The first row from whose kind something is learnt; the rows before it only serve as context. */
  public int firstLearning() {
    return contextSpans == spans.size() ? rows() : spans.get(contextSpans).row();
  }

  /** What is learnt, in the order of the rows. */
  public List<Target> targets() {
    return targets;
  }

  /** One past the highest position. */
  int positions() {
    return positions;
  }

  /** Collects rows: first all that only serve as context, then, after {@link #learning}, the others. */
  static final class Builder {
    private int[] tokens = new int[256];
    private int[] features = new int[256];
    private int rows;
    private int contextSpans = -1;
    private final List<Span> spans = new ArrayList<>();
    private final List<Target> targets = new ArrayList<>();

    int rows() {
      return rows;
    }

    /** Adds a row of a token, or of an image where {@code feature} is not negative. */
    void row(int token, int feature) {
      if (rows == tokens.length) {
        tokens = Arrays.copyOf(tokens, 2 * rows);
        features = Arrays.copyOf(features, 2 * rows);
      }
      tokens[rows] = feature < 0 ? token : IMAGE_ROW;
      features[rows++] = feature;
    }

    /** The {@code count} rows added last are a span. */
    void span(int count, int position, int contextBegin, int contextEnd, boolean causal) {
      spans.add(new Span(rows - count, count, position, contextBegin, contextEnd, causal));
    }

    /** From here on rows may have targets. */
    void learning() {
      contextSpans = spans.size();
    }

    void target(int row, int label, double weight) {
      targets.add(new Target(row, label, (float) weight));
    }

    PassRows build() {
      return new PassRows(this);
    }
  }
}
