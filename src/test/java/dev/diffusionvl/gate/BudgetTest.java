// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.gate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** No kernel uses more registers, static shared memory or code than cuda/proof/budgets.tsv allows, on any architecture. */
class BudgetTest {
  @Test
  void everyKernelKeepsItsBudget() throws IOException {
    Map<String, List<String>> built = Native.table(Native.file("budgets.tsv"));
    List<String> excesses = excesses(Native.table(Path.of("cuda/proof/budgets.tsv")), built);
    assertTrue(excesses.isEmpty(), () -> String.join("\n", excesses)
        + "\n`make -C cuda BUILD=... budgets` makes the table anew (nvcc 13.0)");
  }

  /** The kernels of a layer follow each other hundreds of times in a pass, and a multiprocessor keeps about 128 KB of instructions. */
  @Test
  void aLayerStaysInTheInstructionCache() throws IOException {
    Map<String, List<String>> built = Native.table(Native.file("budgets.tsv"));
    int code = built.get("kernel").indexOf("code");
    for (String form : List.of("", "_ring")) {
      List<String> layer = List.of("skinny_qkv_m8_bf16" + form, "attention_split_d128_bf16", "skinny_residual_m8_bf16" + form,
          "skinny_swiglu_m8_bf16" + form);
      int bytes = layer.stream().mapToInt(kernel -> Integer.parseInt(built.get(kernel).get(code))).sum();
      assertTrue(bytes <= 120 << 10, layer + ": " + bytes + " bytes");
    }
  }

  @Test
  void anExcessIsNamed() {
    Map<String, List<String>> budget = Map.of("kernel", List.of("shared", "sm_80", "sm_90a"), "a", List.of("128", "30", "32"), "gone",
        List.of("0", "8", "8"));
    Map<String, List<String>> built = Map.of("kernel", List.of("shared", "sm_80", "sm_90a"), "a", List.of("128", "31", "32"), "new",
        List.of("0", "8", "8"));
    assertEquals(List.of("a: sm_80 is 31, its budget is 30", "gone: there is no such kernel", "new: no budget"), excesses(budget, built));
    assertEquals(List.of(), excesses(budget, budget));
  }

  private static List<String> excesses(Map<String, List<String>> budget, Map<String, List<String>> built) {
    List<String> heading = built.get("kernel");
    List<String> excesses = new ArrayList<>();
    if (!heading.equals(budget.get("kernel"))) {
      excesses.add("columns are " + heading + ", in the table " + budget.get("kernel"));
    }
    built.forEach((kernel, used) -> {
      List<String> allowed = budget.get(kernel);
      if (allowed == null) {
        excesses.add(kernel + ": no budget");
      } else if (!kernel.equals("kernel")) {
        for (int i = 0; i < used.size(); i++) {
          boolean there = !used.get(i).equals("-"); // not for this architecture
          if (there && (allowed.get(i).equals("-") || Integer.parseInt(used.get(i)) > Integer.parseInt(allowed.get(i)))) {
            excesses.add(kernel + ": " + heading.get(i) + " is " + used.get(i) + ", its budget is " + allowed.get(i));
          }
        }
      }
    });
    budget.keySet().stream().filter(k -> !built.containsKey(k)).forEach(k -> excesses.add(k + ": there is no such kernel"));
    excesses.sort(null);
    return excesses;
  }
}
