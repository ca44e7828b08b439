// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import java.net.Inet4Address;
import java.net.InetAddress;

/** Which addresses belong to the public Internet (the IANA registries of special-purpose addresses). */
final class PublicAddress {
  /** First address and length of the prefix, of what is not public in IPv4. */
  private static final int[][] SPECIAL = {
    {0x00000000, 8}, // this network
    {0x0a000000, 8}, // private
    {0x64400000, 10}, // shared by a provider's customers
    {0x7f000000, 8}, // loopback
    {0xa9fe0000, 16}, // link-local, and the metadata of clouds
    {0xac100000, 12}, // private
    {0xc0000000, 24}, // protocol assignments
    {0xc0000200, 24}, // documentation
    {0xc0586300, 24}, // relays to IPv6
    {0xc0a80000, 16}, // private
    {0xc6120000, 15}, // benchmarks
    {0xc6336400, 24}, // documentation
    {0xcb007100, 24}, // documentation
    {0xe0000000, 3}, // multicast, reserved, broadcast
  };

  private PublicAddress() {}

  static boolean is(InetAddress address) {
    byte[] bytes = address.getAddress();
    return address instanceof Inet4Address ? isPublic(word(bytes, 0)) : isPublic6(bytes);
  }

  private static boolean isPublic(int address) {
    for (int[] range : SPECIAL) {
      if ((address ^ range[0]) >>> 32 - range[1] == 0) {
        return false;
      }
    }
    return true;
  }

  /** 2000::/3, but for tunnels, which lead to an IPv4 address, and for documentation. */
  private static boolean isPublic6(byte[] bytes) {
    int head = word(bytes, 0);
    boolean global = head >>> 29 == 1;
    boolean assignments = head >>> 9 == 0x20010000 >>> 9; // 2001::/23 with Teredo
    boolean documentation = head == 0x20010db8 || head >>> 12 == 0x3fff0000 >>> 12;
    boolean tunnel = head >>> 16 == 0x2002;
    return global && !assignments && !documentation && !tunnel;
  }

  private static int word(byte[] bytes, int at) {
    return (bytes[at] & 0xff) << 24 | (bytes[at + 1] & 0xff) << 16 | (bytes[at + 2] & 0xff) << 8 | bytes[at + 3] & 0xff;
  }
}
