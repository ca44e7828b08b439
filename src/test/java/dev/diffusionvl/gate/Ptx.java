// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.gate;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Counts instructions in PTX text. */
final class Ptx {
  private static final String KIND = "(?:\\.[a-zA-Z0-9_:]+)*?";
  private static final String WIDE = KIND + "(?:\\.v4\\.[busf]32|\\.v2\\.[busf]64)\\b";
  private static final Map<String, Pattern> INSTRUCTIONS = new LinkedHashMap<>();
  private static final Pattern ENTRY = Pattern.compile("\\.entry (\\w+)\\(");

  static {
    INSTRUCTIONS.put("ld16", Pattern.compile("\\bld\\.global" + WIDE));
    INSTRUCTIONS.put("st16", Pattern.compile("\\bst\\.global" + WIDE));
    INSTRUCTIONS.put("mma", Pattern.compile("\\bmma\\.sync"));
    INSTRUCTIONS.put("ldmatrix", Pattern.compile("\\bldmatrix\\.sync"));
    INSTRUCTIONS.put("cp.async", Pattern.compile("\\bcp\\.async\\.cg\\.shared\\.global"));
    INSTRUCTIONS.put("bulk", Pattern.compile("\\bcp\\.async\\.bulk\\.(?:tensor\\.3d\\.)?shared::cluster\\.global"));
    INSTRUCTIONS.put("mbarrier", Pattern.compile("\\bmbarrier\\.try_wait"));
    INSTRUCTIONS.put("local", Pattern.compile("\\.local\\b"));
    INSTRUCTIONS.put("float atomic", Pattern.compile("\\b(?:atom|red)" + KIND + "\\.(?:f|bf)(?:16|16x2|32|64)\\b"));
  }

  private Ptx() {}

  /** For each kernel of a PTX text: instructions by name, without those that do not occur. */
  static Map<String, Map<String, Integer>> count(String ptx) {
    Map<String, Map<String, Integer>> kernels = new TreeMap<>();
    Matcher entry = ENTRY.matcher(ptx);
    boolean found = entry.find();
    while (found) {
      String name = entry.group(1);
      int start = entry.end();
      found = entry.find();
      String body = ptx.substring(start, found ? entry.start() : ptx.length());
      Map<String, Integer> counts = new TreeMap<>();
      INSTRUCTIONS.forEach((instruction, pattern) -> {
        int count = (int) pattern.matcher(body).results().count();
        if (count > 0) {
          counts.put(instruction, count);
        }
      });
      kernels.put(name, counts);
    }
    return kernels;
  }
}
