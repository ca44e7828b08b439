// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Changes in a private copy of an ELF64 shared object. {@link #renameDependency} renames one library that it depends on: the DT_NEEDED
 * entry, the version-need file and the version name with its hash. JCublas 12.6 wants {@code libcublas.so.12}; a machine with CUDA 13 has
 * {@code libcublas.so.13} with the same functions. {@link #weakenUndefined} lets it load although functions that nobody calls are absent.
 */
final class NativePatch {
  private static final int SHT_DYNSYM = 11;
  private static final int SYMBOL_BYTES = 24;
  private static final int GLOBAL = 1;
  private static final int WEAK = 2;
  private static final int PT_LOAD = 1;
  private static final int PT_DYNAMIC = 2;
  private static final long DT_NEEDED = 1;
  private static final long DT_STRTAB = 5;
  private static final long DT_VERNEED = 0x6ffffffeL;
  private static final long DT_VERNEEDNUM = 0x6fffffffL;

  private final byte[] bytes;
  private final ByteBuffer elf;
  private final String from;
  private final String to;
  private int changes;

  private NativePatch(byte[] bytes, String from, String to) {
    this.bytes = bytes;
    this.elf = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    this.from = from;
    this.to = to;
    if (elf.getInt(0) != 0x464C457F || elf.get(4) != 2) {
      throw new IllegalArgumentException("not a 64-bit ELF file");
    }
  }

  /** Changes {@code bytes} in place and returns the number of places; 0 when the dependency is not there. */
  static int renameDependency(byte[] bytes, String from, String to) {
    if (from.length() != to.length()) {
      throw new IllegalArgumentException("the names differ in length: " + from + ", " + to);
    }
    NativePatch patch = new NativePatch(bytes, from, to);
    patch.apply();
    return patch.changes;
  }

  /**
   * Makes the undefined functions whose name begins with {@code prefix} weak, in place: an absent one is then no reason to refuse the
   * library, even where all are bound at once (LD_BIND_NOW).
   *
   * @return number of functions
   */
  static int weakenUndefined(byte[] bytes, String prefix) {
    NativePatch patch = new NativePatch(bytes, null, null);
    ByteBuffer elf = patch.elf;
    for (int i = 0; i < elf.getShort(60); i++) {
      int section = patch.sectionHeader(i);
      if (elf.getInt(section + 4) == SHT_DYNSYM) {
        int strings = (int) elf.getLong(patch.sectionHeader(elf.getInt(section + 40)) + 24);
        int begin = (int) elf.getLong(section + 24);
        for (int symbol = begin; symbol < begin + (int) elf.getLong(section + 32); symbol += SYMBOL_BYTES) {
          int information = elf.get(symbol + 4);
          boolean undefined = elf.getShort(symbol + 6) == 0;
          if (undefined && information >> 4 == GLOBAL && patch.string(strings + elf.getInt(symbol)).startsWith(prefix)) {
            elf.put(symbol + 4, (byte) (WEAK << 4 | information & 15));
            patch.changes++;
          }
        }
      }
    }
    return patch.changes;
  }

  private void apply() {
    int dynamic = -1;
    int dynamicSize = 0;
    for (int i = 0; i < elf.getShort(56); i++) {
      int header = programHeader(i);
      if (elf.getInt(header) == PT_DYNAMIC) {
        dynamic = (int) elf.getLong(header + 8);
        dynamicSize = (int) elf.getLong(header + 32);
      }
    }
    long stringTable = 0;
    long versionNeed = 0;
    long versionNeedCount = 0;
    for (int p = dynamic; p < dynamic + dynamicSize; p += 16) {
      long tag = elf.getLong(p);
      long value = elf.getLong(p + 8);
      if (tag == DT_STRTAB) {
        stringTable = value;
      } else if (tag == DT_VERNEED) {
        versionNeed = value;
      } else if (tag == DT_VERNEEDNUM) {
        versionNeedCount = value;
      }
    }
    int strings = fileOffset(stringTable);
    for (int p = dynamic; p < dynamic + dynamicSize; p += 16) {
      if (elf.getLong(p) == DT_NEEDED) {
        rename(strings + (int) elf.getLong(p + 8));
      }
    }
    if (versionNeed != 0) {
      renameVersions(fileOffset(versionNeed), versionNeedCount, strings);
    }
  }

  /** The file name and the version names of one need usually share a single string, hence the checks for both spellings. */
  private void renameVersions(int need, long count, int strings) {
    for (long i = 0; i < count; i++) {
      String file = string(strings + elf.getInt(need + 4));
      if (file.equals(from) || file.equals(to)) {
        rename(strings + elf.getInt(need + 4));
        int auxiliary = need + elf.getInt(need + 8);
        for (int k = elf.getShort(need + 2); k > 0; k--) {
          int name = strings + elf.getInt(auxiliary + 8);
          rename(name);
          if (string(name).equals(to) && elf.getInt(auxiliary) != hash(to)) {
            elf.putInt(auxiliary, hash(to));
            changes++;
          }
          auxiliary += elf.getInt(auxiliary + 12);
        }
      }
      need += elf.getInt(need + 12);
    }
  }

  private int sectionHeader(int index) {
    return (int) elf.getLong(40) + index * elf.getShort(58);
  }

  private int programHeader(int index) {
    return (int) elf.getLong(32) + index * elf.getShort(54);
  }

  private int fileOffset(long address) {
    for (int i = 0; i < elf.getShort(56); i++) {
      int header = programHeader(i);
      long start = elf.getLong(header + 16);
      if (elf.getInt(header) == PT_LOAD && address >= start && address < start + elf.getLong(header + 32)) {
        return (int) (address - start + elf.getLong(header + 8));
      }
    }
    throw new IllegalArgumentException("address outside every segment");
  }

  private String string(int offset) {
    int end = offset;
    while (bytes[end] != 0) {
      end++;
    }
    return new String(bytes, offset, end - offset, StandardCharsets.US_ASCII);
  }

  private void rename(int offset) {
    if (string(offset).equals(from)) {
      byte[] name = to.getBytes(StandardCharsets.US_ASCII);
      System.arraycopy(name, 0, bytes, offset, name.length);
      changes++;
    }
  }

  /** The System V hash of a symbol name. */
  private static int hash(String name) {
    long h = 0;
    for (byte c : name.getBytes(StandardCharsets.US_ASCII)) {
      h = (h << 4) + (c & 255);
      long g = h & 0xf0000000L;
      h = (h ^ g >>> 24) & ~g;
    }
    return (int) h;
  }
}
