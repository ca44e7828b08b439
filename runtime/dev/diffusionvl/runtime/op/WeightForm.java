// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime.op;

/**
 * How our own products take the matrix of a linear layer ({@code cuda/include/skinny_weights.cuh}). A packed form lies unit by unit, 128
 * rows by 64 columns; {@link PackedLayout} says where each weight is.
 */
public enum WeightForm {
  /** Numbers of the activations' type, row by row. */
  DENSE(16, 0, "", 4, 3),
  /** One byte per weight, E4M3, times a scale. */
  FP8(8, 2 * SkinnySplit.TILE * Float.BYTES, "_fp8", 6, 4),
  /** Four bits per weight, less a zero point, times a scale. */
  INT4(4, 2 * SkinnySplit.TILE * (Float.BYTES + 1), "_int4", 6, 4);

  /** Of a block of three, without what CUDA keeps, static variables, and the columns of an epilogue (kRingStages in skinny_ring.cuh). */
  private static final int BULK_BYTES = (228 << 10) / 3 - (2 << 10) - SkinnyOp.COLUMNS_BYTES;

  private final int bits;
  private final int besides;
  private final String suffix;
  private final int stages;
  private final int stagesOf64;

  WeightForm(int bits, int besides, String suffix, int stages, int stagesOf64) {
    this.bits = bits;
    this.besides = besides;
    this.suffix = suffix;
    this.stages = stages;
    this.stagesOf64 = stagesOf64;
  }

  /** Bits of a weight; in {@link #DENSE}, those of bf16 and f16. */
  public int bits() {
    return bits;
  }

  /** End of an instance's name. */
  String suffix() {
    return suffix;
  }

  /** Bytes of the codes of a unit. */
  public int unitBytes() {
    return SkinnySplit.TILE * SkinnySplit.CHUNK * bits / Byte.SIZE;
  }

  /** Stages of the ring of an instance for {@code m} rows: units that are in shared memory at once. */
  public int stages(int m) {
    return m <= 32 ? stages : stagesOf64;
  }

  /** Bytes of the ring of an instance for {@code m} rows of numbers of 16 bits. */
  public int ringBytes(int m) {
    return stages(m) * stageBytes(m);
  }

  /** Stages of the ring of an instance for {@code m} rows that copies in bulk: as many as leave room for three blocks in 228 KB. */
  public int bulkStages(int m) {
    return BULK_BYTES / stageBytes(m);
  }

  /** Bytes of that ring. */
  public int bulkRingBytes(int m) {
    return bulkStages(m) * stageBytes(m);
  }

  private int stageBytes(int m) {
    return unitBytes() + besides + m * SkinnySplit.CHUNK * Short.BYTES;
  }
}
