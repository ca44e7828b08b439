// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.Comparator;
import java.util.List;

/**
 * What one way of decoding reached over some questions.
 *
 * @param decoding its label
 * @param schedule in words
 * @param right answers, of {@code asked}
 * @param tokens of all answers
 * @param forwards passes through the language model
 * @param rowForwards rows of all these passes, those of the prompts included
 * @param promptRows embeddings of all prompts
 * @param weightBytes that each pass reads of the language model's weights
 * @param firstMillis median time until some text was final
 * @param millis of all answers, wall time
 */
public record Compared(String decoding, String schedule, int asked, int right, long tokens, long forwards, long rowForwards,
    long promptRows, long weightBytes, double firstMillis, double millis) {
  /** How far from a decoding's best score a schedule may be that is called as good. */
  public static final double AS_GOOD = 0.03;

  static Compared of(String decoding, String schedule, List<Asked> answers, long weightBytes) {
    double[] first = answers.stream().mapToDouble(Asked::firstMillis).sorted().toArray();
    return new Compared(decoding, schedule, answers.size(), (int) answers.stream().filter(a -> a.score() == 1).count(),
        answers.stream().mapToLong(a -> a.result().generatedTokens()).sum(), answers.stream().mapToLong(Asked::forwards).sum(),
        answers.stream().mapToLong(a -> a.result().counts().rows()).sum(),
        answers.stream().mapToLong(a -> a.result().promptTokens()).sum(), weightBytes, first[first.length / 2],
        answers.stream().mapToDouble(Asked::millis).sum());
  }

  /** 0 to 1. */
  public double score() {
    return (double) right / asked;
  }

  public double forwardsPerToken() {
    return (double) forwards / Math.max(1, tokens);
  }

  public double bytesPerToken() {
    return forwardsPerToken() * weightBytes;
  }

  public double tokensPerSecond() {
    return 1000 * tokens / millis;
  }

  /** Passes for an answer, on average. */
  public double forwardsPerAnswer() {
    return (double) forwards / asked;
  }

  /** Of those of a decoding that are as good as its best one, the one with the fewest passes. Null if none is of this decoding. */
  public static Compared cheapest(List<Compared> all, String decoding) {
    List<Compared> these = all.stream().filter(c -> c.decoding.equals(decoding)).toList();
    double best = these.stream().mapToDouble(Compared::score).max().orElse(0);
    return these.stream().filter(c -> c.score() >= best - AS_GOOD - 1e-9)
        .min(Comparator.comparingLong(Compared::forwards).thenComparingLong(Compared::rowForwards)).orElse(null);
  }
}
