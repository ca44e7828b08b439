// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * A vocabulary's tokens for one automaton over bytes: tokens are alike where the automaton tells no difference between their bytes, so
 * there are far fewer kinds of them than tokens. The kinds stand in a tree by their beginnings.
 */
final class TokenTrie {
  /** Hears of a kind of tokens and the state behind it. */
  interface Visitor {
    void kind(int kind, int state);
  }

  private final ByteAutomaton bytes;
  private final int[] kindOf; // token → kind, or −1
  private final String[] spelling; // kind → classes of its bytes; sorted
  // nodes in the order of a walk: a node stands before what begins like it
  private final char[] byteClass;
  private final char[] depth;
  private final int[] kind; // that ends here, or −1
  private final int[] behind; // the node behind all that begin like this one
  private final int nodes;
  private final int[] path;

  TokenTrie(ByteAutomaton bytes, Vocabulary vocabulary) {
    this.bytes = bytes;
    Map<String, Integer> found = new HashMap<>();
    String[] spelt = new String[vocabulary.size()];
    for (int id = 0; id < spelt.length; id++) {
      byte[] token = vocabulary.bytes(id);
      if (token != null && token.length > 0) {
        spelt[id] = spell(token);
        found.putIfAbsent(spelt[id], 0);
      }
    }
    spelling = found.keySet().toArray(String[]::new);
    Arrays.sort(spelling);
    int size = 0;
    int longest = 0;
    for (int k = 0; k < spelling.length; k++) {
      found.put(spelling[k], k);
      size += spelling[k].length() - (k == 0 ? 0 : common(spelling[k - 1], spelling[k]));
      longest = Math.max(longest, spelling[k].length());
    }
    kindOf = new int[spelt.length];
    Arrays.setAll(kindOf, id -> spelt[id] == null ? -1 : found.get(spelt[id]));
    byteClass = new char[size];
    depth = new char[size];
    kind = new int[size];
    behind = new int[size];
    path = new int[longest + 1];
    nodes = build();
  }

  private String spell(byte[] token) {
    char[] classes = new char[token.length];
    for (int i = 0; i < token.length; i++) {
      classes[i] = (char) bytes.classOf(token[i]);
    }
    return new String(classes);
  }

  private static int common(String a, String b) {
    int i = 0;
    while (i < a.length() && i < b.length() && a.charAt(i) == b.charAt(i)) {
      i++;
    }
    return i;
  }

  private int build() {
    int at = 0;
    int[] open = new int[path.length]; // by depth, the node whose followers are being added
    int openDepth = 0;
    for (int k = 0; k < spelling.length; k++) {
      int shared = k == 0 ? 0 : common(spelling[k - 1], spelling[k]);
      for (; openDepth > shared; openDepth--) {
        behind[open[openDepth]] = at;
      }
      for (int d = shared + 1; d <= spelling[k].length(); d++) {
        byteClass[at] = spelling[k].charAt(d - 1);
        depth[at] = (char) d;
        kind[at] = -1;
        openDepth = d;
        open[d] = at++;
      }
      kind[open[spelling[k].length()]] = k;
    }
    for (; openDepth > 0; openDepth--) {
      behind[open[openDepth]] = at;
    }
    return at;
  }

  /** Kinds that may stand behind a state. */
  void walk(int state, Visitor visitor) {
    path[0] = state;
    for (int node = 0; node < nodes; ) {
      int next = bytes.nextOfClass(path[depth[node] - 1], byteClass[node]);
      if (next < 0) {
        node = behind[node];
        continue;
      }
      path[depth[node]] = next;
      if (kind[node] >= 0) {
        visitor.kind(kind[node], next);
      }
      node++;
    }
  }

  int kinds() {
    return spelling.length;
  }

  /** The token's kind, or −1. */
  int kindOf(int token) {
    return kindOf[token];
  }

  /** The state behind a kind, or −1. */
  int next(int state, int kind) {
    int at = state;
    String classes = spelling[kind];
    for (int i = 0; i < classes.length() && at >= 0; i++) {
      at = bytes.nextOfClass(at, classes.charAt(i));
    }
    return at;
  }
}
