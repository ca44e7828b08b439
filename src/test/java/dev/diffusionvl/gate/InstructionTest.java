// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.gate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/**
 * The instructions that cuda/proof/instructions.tsv wants are in the PTX and in each cubin of a kernel; local memory and atomics on floats
 * are in none.
 */
class InstructionTest {
  @Test
  void ptxHasWhatIsMeant() throws IOException {
    Map<String, Map<String, Integer>> kernels = new TreeMap<>();
    for (String operation : Native.operations()) {
      kernels.putAll(Ptx.count(Files.readString(Native.file("kernels/ptx/" + operation + ".ptx"))));
    }
    assertNothing(missing("PTX", Native.table(Path.of("cuda/proof/instructions.tsv")), kernels));
  }

  @Test
  void cubinsHaveWhatIsMeant() throws IOException {
    for (String architecture : Native.ARCHITECTURES) {
      Map<String, Map<String, Integer>> kernels = new TreeMap<>();
      for (String operation : Native.operations(architecture)) {
        kernels.putAll(Sass.count(Native.file("kernels/" + architecture + "/" + operation + ".cubin")));
      }
      Map<String, List<String>> table = Native.table(Path.of("cuda/proof/instructions.tsv"));
      if (Native.operations(architecture).size() < Native.operations().size()) {
        table.keySet().removeIf(kernel -> kernel.endsWith("_ring"));
      }
      assertNothing(missing(architecture, table, kernels));
    }
  }

  @Test
  void ptxIsCounted() {
    Map<String, Map<String, Integer>> counts = Ptx.count("""
        .visible .entry one(
        ld.global.nc.L1::no_allocate.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1];
        ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];
        ld.global.u32 %r1, [%rd1];
        st.global.v2.b64 [%rd1], {%rd2, %rd3};
        atom.global.inc.u32 %r1, [%rd1], 5;
        .visible .entry two(
        .local .align 4 .b8 __local_depot0[64];
        red.global.add.f32 [%rd1], %f1;
        mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {};
        cp.async.cg.shared.global [%r1], [%rd1], 16, %r2;
        ldmatrix.sync.aligned.m8n8.x4.shared.b16 {};
        """);
    assertEquals("{one={ld16=2, st16=1}, two={cp.async=1, float atomic=1, ldmatrix=1, local=1, mma=1}}", counts.toString());
    Map<String, List<String>> table = Map.of("kernel", List.of("needs"), "one", List.of("ld16 mma"), "gone", List.of("-"));
    assertEquals(List.of("PTX of one: no mma", "PTX of two: has float atomic", "PTX of two: has local", "gone: there is no such kernel",
        "two: no row in cuda/proof/instructions.tsv"), missing("PTX", table, counts));
  }

  private static void assertNothing(List<String> missing) {
    assertTrue(missing.isEmpty(), () -> String.join("\n", missing));
  }

  private static List<String> missing(String where, Map<String, List<String>> table, Map<String, Map<String, Integer>> kernels) {
    List<String> missing = new ArrayList<>();
    kernels.forEach((kernel, counts) -> {
      for (String forbidden : List.of("local", "float atomic")) {
        if (counts.containsKey(forbidden)) {
          missing.add(where + " of " + kernel + ": has " + forbidden);
        }
      }
      if (!table.containsKey(kernel)) {
        missing.add(kernel + ": no row in cuda/proof/instructions.tsv");
      } else {
        Arrays.stream(table.get(kernel).getFirst().split(" ")).filter(i -> !i.equals("-") && !counts.containsKey(i))
            .forEach(i -> missing.add(where + " of " + kernel + ": no " + i));
      }
    });
    table.keySet().stream().filter(k -> !k.equals("kernel") && !kernels.containsKey(k)).forEach(k -> missing.add(k
        + ": there is no such kernel"));
    missing.sort(null);
    return missing;
  }
}
