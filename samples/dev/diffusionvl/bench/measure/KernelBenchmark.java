// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.bench.measure;

import dev.diffusionvl.runtime.DType;
import dev.diffusionvl.runtime.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * One row of {@code dvl bench kernels}: declare operands in the constructor, launch, and say in float64 what a row of the result should be.
 * Bytes and copies follow from the operands.
 */
public abstract class KernelBenchmark implements AutoCloseable {
  /** In {@link #expected}: this element is only checked to have been written. */
  protected static final double NOT_CHECKED = Double.NaN;

  protected final Workbench bench;
  private final String op;
  private final String shape;
  private final List<Operand> operands = new ArrayList<>();
  private List<Operand> baseline;
  private int copies;

  /**
   * @param op name of the kernel, as its file in cuda/
   * @param shape what distinguishes this row, e.g. {@code 8x3584}
   */
  protected KernelBenchmark(Workbench bench, String op, String shape) {
    this.bench = bench;
    this.op = op;
    this.shape = shape;
  }

  /** Queues the kernel on the copies of that number. */
  public abstract void launch(int copy);

  /**
   * Row {@code row} of the {@link #result} in float64, from what {@link #read} gives of the inputs; asked for before the launch.
   */
  protected abstract double[] expected(int row);

  /** The operand that {@link #expected} speaks of: the last one declared, if nothing else is said. */
  protected Operand result() {
    return operands.getLast();
  }

  /** Floating-point operations of a launch; 0 where bytes decide. */
  public long flops() {
    return 0;
  }

  /** Bytes that a launch cannot avoid to move: every input read once, every output written once. */
  public long bytes() {
    return operands.stream().mapToLong(Operand::traffic).sum();
  }

  /** Bound on the relative L2 error of the checked rows. */
  protected double tolerance() {
    return bench.dtype().isHalf() ? 1e-2 : 1e-4;
  }

  /** What is timed beside the kernel: a device-to-device copy that moves as many bytes. */
  public String baselineName() {
    return "copy";
  }

  /** Queues the baseline. */
  public void launchBaseline(int copy) {
    bench.stream().copy(baseline.get(0).at(copy), baseline.get(1).at(copy));
  }

  /** An input of normal numbers. */
  protected final Operand input(String name, DType dtype, double mean, double deviation, long... dimensions) {
    return add(Operand.normal(name, false, dtype, mean, deviation, dimensions));
  }

  /** An input of standard normal numbers in the storage type. */
  protected final Operand input(String name, long... dimensions) {
    return input(name, bench.dtype(), 0, 1, dimensions);
  }

  /** An operand that the kernel reads and writes. */
  protected final Operand updated(String name, DType dtype, double mean, double deviation, long... dimensions) {
    return add(Operand.normal(name, true, dtype, mean, deviation, dimensions));
  }

  /** The same, all zeros. */
  protected final Operand zeros(String name, DType dtype, long... dimensions) {
    return add(Operand.zeros(name, dtype, dimensions));
  }

  /** Random codes of weights, a byte each or two to a byte. */
  protected final Operand codes(String name, long bytes) {
    return add(Operand.codes(name, bytes));
  }

  protected final Operand ints(String name, int... values) {
    return add(Operand.ints(name, false, values));
  }

  protected final Operand updatedInts(String name, int... values) {
    return add(Operand.ints(name, true, values));
  }

  protected final Operand output(String name, DType dtype, long... dimensions) {
    return add(Operand.output(name, dtype, dimensions));
  }

  /** Memory that is not part of the operation: counted in no traffic, checked by nobody. */
  protected final Operand scratch(String name, DType dtype, long... dimensions) {
    return add(Operand.scratch(name, dtype, dimensions));
  }

  /** Called once for each copy when its operands have their content, for what follows from it. */
  protected void initialise(int copy) {}

  private Operand add(Operand operand) {
    operands.add(operand);
    return operand;
  }

  /** Elements of an operand of launch 0, on the host. */
  protected final float[] read(Operand operand) {
    return operand.read(bench);
  }

  /** Elements of a buffer, e.g. of a slice of an operand, on the host. */
  protected final float[] read(DeviceBuffer buffer) {
    return buffer.getFloats(bench.stream());
  }

  public final String op() {
    return op;
  }

  public final String shape() {
    return shape;
  }

  public final int copies() {
    return copies;
  }

  /** True when the copies are too large for the cache to hold any of them until its next turn. */
  public final boolean cold() {
    return copies * bytes() >= 4 * bench.l2Bytes();
  }

  private long footprint() {
    return Math.max(1, operands.stream().mapToLong(Operand::bytes).sum());
  }

  public final List<Operand> operands() {
    return operands;
  }

  /** Allocates enough copies of all operands to exceed the cache fourfold, or one per launch, or what fits. */
  public final void prepare() {
    long fits = bench.device().memory().free() / 3 / footprint();
    copies = Math.clamp((4 * bench.l2Bytes() + footprint() - 1) / footprint(), 1, Math.clamp(fits, 1, bench.launches()));
    operands.forEach(o -> o.allocate(bench, copies));
    for (int copy = 0; copy < copies; copy++) {
      initialise(copy);
    }
    long half = Math.max(1, bytes() / 2);
    baseline = baselineName().equals("copy")
        ? List.of(Operand.normal("copied", false, DType.F32, 0, 1, (half + 3) / 4), Operand.output("copy", DType.F32, (half + 3) / 4))
        : List.of();
    baseline.forEach(o -> o.allocate(bench, copies));
    bench.stream().synchronize();
  }

  /** Fresh inputs, poisoned outputs. */
  public final void reset(int copy) {
    operands.stream().filter(Operand::written).forEach(o -> o.reset(bench, copy));
  }

  @Override
  public void close() {
    operands.forEach(Operand::close);
    if (baseline != null) {
      baseline.forEach(Operand::close);
    }
  }
}
