// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Figures of the logits of some rows, over all of them.
 *
 * @param notFinite logits that are NaN or infinite; the other figures leave them out
 * @param entropy mean over the rows, in nats
 * @param confidence mean probability of the most likely token
 * @param best most likely token of each row
 * @param firstTop the five most likely tokens of the first row
 */
record LogitStatistics(int rows, long notFinite, double mean, double deviation, double least, double most, double entropy,
    double confidence, int[] best, List<Top> firstTop) {
  private static final int TOP = 5;

  /** A token and its logit. */
  record Top(int token, double logit) {}

  static LogitStatistics of(float[] logits, int vocab) {
    int rows = logits.length / vocab;
    long notFinite = 0;
    double sum = 0;
    double squares = 0;
    double least = Double.POSITIVE_INFINITY;
    double most = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      if (Float.isFinite(logit)) {
        sum += logit;
        squares += (double) logit * logit;
        least = Math.min(least, logit);
        most = Math.max(most, logit);
      } else {
        notFinite++;
      }
    }
    double count = Math.max(1, logits.length - notFinite);
    double entropy = 0;
    double confidence = 0;
    int[] best = new int[rows];
    for (int row = 0; row < rows; row++) {
      best[row] = top(logits, row * vocab, vocab).getFirst().token();
      double largest = logits[row * vocab + best[row]];
      double total = 0;
      double weighted = 0;
      for (int i = 0; i < vocab; i++) {
        double behind = logits[row * vocab + i] - largest;
        total += Math.exp(behind);
        weighted += behind * Math.exp(behind);
      }
      entropy += Math.log(total) - weighted / total;
      confidence += 1 / total;
    }
    double mean = sum / count;
    double variance = Math.max(0, squares / count - mean * mean);
    return new LogitStatistics(rows, notFinite, mean, Math.sqrt(variance), least, most, entropy / rows, confidence / rows, best,
        top(logits, 0, vocab));
  }

  private static List<Top> top(float[] logits, int from, int vocab) {
    int[] best = new int[Math.min(TOP, vocab)];
    Arrays.fill(best, -1);
    for (int i = 0; i < vocab; i++) {
      for (int place = 0, token = i; place < best.length; place++) { // a larger one pushes the others down
        if (best[place] < 0 || logits[from + token] > logits[from + best[place]]) {
          int pushed = best[place];
          best[place] = token;
          token = pushed;
          if (token < 0) {
            break;
          }
        }
      }
    }
    return IntStream.of(best).mapToObj(token -> new Top(token, logits[from + token]))
        .sorted(Comparator.comparingDouble(Top::logit).reversed()).toList();
  }

  /** ‖a − b‖ / ‖b‖. */
  static double difference(float[] a, float[] b) {
    double error = 0;
    double norm = 0;
    for (int i = 0; i < b.length; i++) {
      error += Math.pow((double) a[i] - b[i], 2);
      norm += (double) b[i] * b[i];
    }
    return Math.sqrt(error / Math.max(norm, Double.MIN_NORMAL));
  }

  /** Part of the rows whose most likely token is the same. */
  double sameBest(LogitStatistics other) {
    return (double) IntStream.range(0, rows).filter(row -> best[row] == other.best[row]).count() / Math.max(1, rows);
  }
}
