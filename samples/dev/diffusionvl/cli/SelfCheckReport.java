// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What {@code dvl selfcheck} found: one JSON object, and a page for people. */
final class SelfCheckReport {
  /** How a check ended. */
  enum State {
    AGREES,
    DIFFERS,
    LEFT_OUT
  }

  private record Check(String name, State state, String found) {}

  private final List<Check> checks = new ArrayList<>();
  private final StringBuilder facts = new StringBuilder();
  private final ObjectNode json = JsonNodeFactory.instance.objectNode();

  /** The object, to be filled; checks are added by {@link #toJson}. */
  ObjectNode json() {
    return json;
  }

  /** A line of the page. */
  void line(String format, Object... values) {
    facts.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  void check(String name, boolean ok, String found) {
    checks.add(new Check(name, ok ? State.AGREES : State.DIFFERS, found));
  }

  void leftOut(String name, String why) {
    checks.add(new Check(name, State.LEFT_OUT, why));
  }

  /** Names of the checks that found something else than is stated. */
  List<String> disagreements() {
    return checks.stream().filter(check -> check.state() == State.DIFFERS).map(Check::name).toList();
  }

  String toJson() {
    ObjectNode all = json.deepCopy();
    all.put("ok", disagreements().isEmpty());
    var list = all.putArray("checks");
    checks.forEach(check -> list.addObject().put("name", check.name()).put("state", word(check.state())).put("found", check.found()));
    return all.toPrettyString();
  }

  private static String word(State state) {
    return state.name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }

  String page() {
    StringBuilder page = new StringBuilder(facts);
    checks.forEach(check -> page.append(String.format(Locale.ROOT, "%-9s %s: %s%n", word(check.state()), check.name(), check.found())));
    page.append(disagreements().isEmpty() ? "nothing disagrees" : "disagrees: " + String.join("; ", disagreements())).append('\n');
    return page.toString();
  }
}
