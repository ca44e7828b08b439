// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.gate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * Counts machine instructions in a cubin without a disassembler: 16 bytes each in the section {@code .text.KERNEL}, the operation in the
 * low 12 bits, the width of an access in bits 73 to 75. The numbers were learnt by comparing cubins (sm_80 to sm_90a) with their PTX: a
 * lint, not the truth.
 */
final class Sass {
  private static final Map<Integer, String> OPERATIONS = Map.ofEntries(Map.entry(0x23c, "mma"), Map.entry(0x83b, "ldmatrix"),
      Map.entry(0xfae, "cp.async"), Map.entry(0x981, "ld"), Map.entry(0x986, "st"), Map.entry(0x983, "local"), Map.entry(0x387, "local"),
      Map.entry(0x5b4, "bulk"), Map.entry(0x3ba, "bulk"), Map.entry(0x5a7, "mbarrier"));
  private static final int NEVER = 15; // predicate of an instruction that is not executed; ptxas pads with such loads
  private static final int WIDTH_16 = 6;

  private Sass() {}

  /** For each kernel of a cubin: instructions by name; {@code ld16} and {@code st16} are 16-byte accesses of global memory. */
  static Map<String, Map<String, Integer>> count(Path cubin) throws IOException {
    ByteBuffer elf = ByteBuffer.wrap(Files.readAllBytes(cubin)).order(ByteOrder.LITTLE_ENDIAN);
    long sections = elf.getLong(40);
    int size = elf.getShort(58);
    int names = (int) elf.getLong((int) sections + elf.getShort(62) * size + 24);
    Map<String, Map<String, Integer>> kernels = new TreeMap<>();
    for (int s = 0; s < elf.getShort(60); s++) {
      int header = (int) sections + s * size;
      String name = text(elf, names + elf.getInt(header));
      if (name.startsWith(".text.")) {
        kernels.put(name.substring(6), count(elf, (int) elf.getLong(header + 24), (int) elf.getLong(header + 32)));
      }
    }
    return kernels;
  }

  private static Map<String, Integer> count(ByteBuffer elf, int start, int bytes) {
    Map<String, Integer> counts = new HashMap<>();
    for (int at = start; at < start + bytes; at += 16) {
      long low = elf.getLong(at);
      String name = OPERATIONS.get((int) (low & 0xfff));
      if (name != null && (low >>> 12 & 15) != NEVER) {
        boolean wide = (elf.getLong(at + 8) >>> 9 & 7) == WIDTH_16;
        if (!name.equals("ld") && !name.equals("st") || wide) {
          counts.merge(name.length() == 2 ? name + "16" : name, 1, Integer::sum);
        }
      }
    }
    return counts;
  }

  private static String text(ByteBuffer elf, int at) {
    int end = at;
    while (elf.get(end) != 0) {
      end++;
    }
    return new String(elf.array(), at, end - at, StandardCharsets.US_ASCII);
  }
}
