// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import dev.diffusionvl.prove.Emulator;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/**
 * One generation on the emulated device as a few lines of text: what it decided, the bits behind the decisions, and everything that was
 * launched, in order and cut into the stretches between two calls of the listener.
 */
final class RecordedRun implements GenerationListener {
  private static final String RESULT = " result ";

  /** What ran on the device from the call before up to this one. */
  private record Stretch(String until, List<String> launches) {}

  private final List<Stretch> stretches = new ArrayList<>();
  private final StringBuilder steps = new StringBuilder();
  private final StringBuilder products = new StringBuilder();
  private int[] ids;

  private RecordedRun() {}

  static RecordedRun of(Session session, Request request, GenerationOptions options) {
    RecordedRun run = new RecordedRun();
    Emulator.keepJournal(true);
    try {
      run.ids = session.generate(request, options, run).tokenIds();
      run.cut("the end");
    } finally {
      Emulator.keepJournal(false);
    }
    return run;
  }

  @Override
  public void onProgress(Progress progress) {
    if (progress.phase() != Phase.DENOISING) {
      cut(progress.phase() + " " + progress.done() + " of " + progress.total());
    }
  }

  @Override
  public void onStep(int block, int step, List<Commit> committed) {
    cut("block " + block + " step " + step);
    for (Commit commit : committed) {
      steps.append("%d %d %d %d %08x%n".formatted(block, step, commit.position(), commit.token(),
          Float.floatToIntBits(commit.confidence())));
    }
  }

  private void cut(String until) {
    List<String> launches = new ArrayList<>();
    for (String line : Emulator.takeJournal()) {
      int result = line.indexOf(RESULT);
      launches.add(result < 0 ? line : line.substring(0, result));
      products.append(result < 0 ? "" : line.substring(result) + "\n");
    }
    stretches.add(new Stretch(until, launches));
  }

  /** The token ids: of the record, what a change of rounding alone does not touch in f32. */
  String tokens() {
    return "tokens " + hash(Arrays.toString(ids));
  }

  /** Each step's commits and confidences, and each product of cuBLAS (the logits are one), to the bit. */
  List<String> bits() {
    return List.of("steps " + steps.toString().lines().count() + " " + hash(steps.toString()),
        "products " + products.toString().lines().count() + " " + hash(products.toString()));
  }

  /** How many launches there were, and a hash of all. */
  String launches() {
    List<String> all = stretches.stream().flatMap(s -> s.launches.stream()).toList();
    return "launches " + all.size() + " " + hash(String.join("\n", all));
  }

  /** Every launch, spelt out; a stretch that is equal to an earlier one is named after it. Equal neighbours are counted. */
  List<String> spelt() {
    List<String> lines = new ArrayList<>();
    List<Stretch> met = new ArrayList<>();
    for (Stretch stretch : stretches) {
      var same = met.stream().filter(s -> s.launches.equals(stretch.launches)).findFirst();
      lines.add("until " + stretch.until + same.map(s -> ": as until " + s.until).orElse(""));
      if (same.isEmpty()) {
        met.add(stretch);
        stretch.launches.forEach(launch -> lines.add("  " + launch));
      }
    }
    return lines;
  }

  static String hash(String text) {
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(java.nio.charset.StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest, 0, 12);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
