// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;

/** Records what a generation commits and writes. */
final class Trace implements GenerationListener {
  record Step(int block, int step, List<Commit> committed) {}

  final List<Step> steps = new ArrayList<>();
  final List<int[]> previews = new ArrayList<>();
  final StringBuilder text = new StringBuilder();
  private final boolean live;

  Trace(boolean live) {
    this.live = live;
  }

  @Override
  public boolean isLive() {
    return live;
  }

  @Override
  public void onStep(int block, int step, List<Commit> committed) {
    steps.add(new Step(block, step, committed));
  }

  @Override
  public void onPreview(BlockPreview preview) {
    previews.add(preview.tokenIds());
  }

  @Override
  public void onText(String piece) {
    text.append(piece);
  }

  /** Step by step the golden's commits; confidences within {@code tolerance}. */
  void assertFollows(GoldenCase golden, double tolerance, String what) {
    int i = 0;
    for (JsonNode line : golden.json().get("trace")) {
      if (line.get("unmasked").isEmpty()) {
        continue;
      }
      assertTrue(i < steps.size(), () -> what + ": only " + steps.size() + " steps");
      Step step = steps.get(i++);
      assertEquals(line.get("block").asInt(), step.block(), what);
      assertEquals(line.get("step").asInt(), step.step(), what);
      assertEquals(line.get("unmasked").size(), step.committed().size(), () -> what + ": block " + step.block() + " step " + step.step());
      for (JsonNode commit : line.get("unmasked")) {
        int position = commit.get("position").asInt();
        Commit own = step.committed().stream().filter(c -> c.position() == position).findFirst()
            .orElseThrow(() -> new AssertionError(what + ": position " + position + " not committed in step " + step));
        assertEquals(commit.get("token").asInt(), own.token(), what);
        assertEquals(commit.get("confidence").asDouble(), own.confidence(), tolerance, what);
      }
    }
    assertEquals(i, steps.size(), what);
  }

  /** The same steps, previews and text; confidences within {@code tolerance}. */
  void assertSameAs(Trace other, float tolerance, String what) {
    assertEquals(other.steps.size(), steps.size(), what);
    for (int i = 0; i < steps.size(); i++) {
      Step expected = other.steps.get(i);
      Step own = steps.get(i);
      assertEquals(expected.block(), own.block(), what);
      assertEquals(expected.step(), own.step(), what);
      assertEquals(expected.committed().size(), own.committed().size(), what);
      for (int j = 0; j < own.committed().size(); j++) {
        assertEquals(expected.committed().get(j).position(), own.committed().get(j).position(), what);
        assertEquals(expected.committed().get(j).token(), own.committed().get(j).token(), what);
        float confidence = expected.committed().get(j).confidence();
        assertTrue(Math.abs(confidence - own.committed().get(j).confidence()) <= tolerance,
            () -> what + ": step " + own + " instead of " + expected);
      }
      assertArrayEquals(other.previews.get(i), previews.get(i), what);
    }
    assertEquals(other.text.toString(), text.toString(), what);
  }
}
