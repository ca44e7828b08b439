// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What the bytes of a module are, by their first ones. */
enum ModuleImage {
  HOST_MODULE("a host module"),
  CUBIN("a cubin"),
  FAT_BINARY("a fat binary"),
  PTX("PTX");

  private static final int ELF_MAGIC = 0x464C457F;
  private static final int ELF_MACHINE_CUDA = 190;
  private static final int FAT_BINARY_MAGIC = 0xba55ed50;

  private final String text;

  ModuleImage(String text) {
    this.text = text;
  }

  /** Text is taken for PTX, as the driver does. */
  static ModuleImage of(byte[] image) {
    ByteBuffer head = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
    if (image.length < 20) {
      return PTX;
    }
    if (head.getInt(0) == ELF_MAGIC) {
      return head.getShort(18) == ELF_MACHINE_CUDA ? CUBIN : HOST_MODULE;
    }
    return head.getInt(0) == FAT_BINARY_MAGIC ? FAT_BINARY : PTX;
  }

  @Override
  public String toString() {
    return text;
  }
}
