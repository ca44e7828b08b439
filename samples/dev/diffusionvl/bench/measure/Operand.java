// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.measure;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/** An argument of a measured launch, in as many copies as keep it out of the cache. */
public final class Operand {
  private enum Content { NORMAL, INTS, CODES, ZEROS, NOTHING, SCRATCH }

  private final String name;
  private final DType dtype;
  private final long[] shape;
  private final boolean written;
  private final Content content;
  private final float mean;
  private final float deviation;
  private final int[] ints;
  private DeviceBuffer[] copies;

  private Operand(String name, DType dtype, long[] shape, boolean written, Content content, double mean, double deviation, int[] ints) {
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
    this.written = written;
    this.content = content;
    this.mean = (float) mean;
    this.deviation = (float) deviation;
    this.ints = ints;
  }

  public static Operand normal(String name, boolean written, DType dtype, double mean, double deviation, long... shape) {
    return new Operand(name, dtype, shape, written, Content.NORMAL, mean, deviation, null);
  }

  public static Operand ints(String name, boolean written, int... values) {
    return new Operand(name, DType.I32, new long[] {values.length}, written, Content.INTS, 0, 0, values);
  }

  /** Random bytes that are no NaN in E4M3. */
  public static Operand codes(String name, long size) {
    return new Operand(name, DType.U8, new long[] {size}, false, Content.CODES, 0, 0, null);
  }

  /** Read and written, all zeros before. */
  public static Operand zeros(String name, DType dtype, long... shape) {
    return new Operand(name, dtype, shape, true, Content.ZEROS, 0, 0, null);
  }

  public static Operand output(String name, DType dtype, long... shape) {
    return new Operand(name, dtype, shape, true, Content.NOTHING, 0, 0, null);
  }

  public static Operand scratch(String name, DType dtype, long... shape) {
    return new Operand(name, dtype, shape, false, Content.SCRATCH, 0, 0, null);
  }

  /** The buffer of a launch. */
  public DeviceBuffer at(int copy) {
    return copies[copy];
  }

  public long[] shape() {
    return shape;
  }

  public boolean written() {
    return written;
  }

  /** Bytes that a launch moves for it: read, written, or both. */
  public long traffic() {
    return content == Content.SCRATCH ? 0 : bytes() * (written && content != Content.NOTHING ? 2 : 1);
  }

  public long bytes() {
    long n = dtype.bytes();
    for (long d : shape) {
      n *= d;
    }
    return n;
  }

  public void allocate(Workbench bench, int count) {
    copies = new DeviceBuffer[count];
    for (int i = 0; i < count; i++) {
      copies[i] = bench.device().allocate(name, dtype, shape);
      reset(bench, i);
    }
  }

  /** Content before a launch; what is only written gets NaN, so that a gap shows. */
  public void reset(Workbench bench, int copy) {
    switch (content) {
      case NORMAL -> bench.kernels().fillNormal.launch(bench.stream(), copies[copy], mean, deviation, 31L * copy + name.hashCode());
      case INTS -> copies[copy].set(bench.stream(), ints);
      case CODES -> resetCodes(bench, copy);
      case ZEROS -> bench.stream().fill(copies[copy], 0);
      case NOTHING, SCRATCH -> bench.stream().fill(copies[copy], 0xff);
    }
  }

  private void resetCodes(Workbench bench, int copy) {
    byte[] codes = new byte[Math.toIntExact(bytes())];
    new Random(31L * copy + name.hashCode()).nextBytes(codes);
    for (int i = 0; i < codes.length; i++) {
      codes[i] -= (byte) ((codes[i] & 0x7f) == 0x7f ? 1 : 0);
    }
    try (Arena arena = Arena.ofConfined()) {
      bench.stream().upload(arena.allocate(codes.length).copyFrom(MemorySegment.ofArray(codes)), copies[copy]);
    }
  }

  /** All elements of copy 0 as floats. */
  public float[] read(Workbench bench) {
    if (dtype == DType.U8) {
      return readBytes(bench);
    }
    if (dtype != DType.I32) {
      return copies[0].getFloats(bench.stream());
    }
    int[] values = copies[0].getInts(bench.stream());
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = values[i];
    }
    return floats;
  }

  private float[] readBytes(Workbench bench) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(bytes());
      bench.stream().download(copies[0], host);
      float[] floats = new float[(int) bytes()];
      for (int i = 0; i < floats.length; i++) {
        floats[i] = host.get(ValueLayout.JAVA_BYTE, i) & 255;
      }
      return floats;
    }
  }

  /** The number that a code of E4M3 stands for. @param code 0 to 255, and no NaN */
  public static double e4m3(int code) {
    int exponent = code >> 3 & 15;
    double magnitude = exponent == 0 ? (code & 7) * 0x1p-9 : (8 + (code & 7)) * Math.scalb(1.0, exponent - 10);
    return code < 128 ? magnitude : -magnitude;
  }

  public void close() {
    if (copies != null) {
      for (DeviceBuffer copy : copies) {
        if (copy != null) {
          copy.close();
        }
      }
    }
  }
}
