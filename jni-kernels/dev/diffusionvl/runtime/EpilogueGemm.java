// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import jcuda.cudaDataType;
import jcuda.jcublas.cublasStatus;

/**
 * A matrix product by cublasLt whose result goes through an epilogue before it is rounded and stored: y = epilogue(x · wᵀ), with
 * row-major x [m,k] and w [n,k] as checkpoints store it. Sizes, dtypes and epilogue are fixed when it is prepared, and so is the
 * algorithm: the first one that cublasLt's heuristics name, so that runs of one library on one device give the same bits. f32
 * accumulation; TF32 is never used.
 *
 * <p>Needs the native library of jni-kernels. For one thread and one stream at a time.
 */
public final class EpilogueGemm implements AutoCloseable {
  /** What happens to a sum, in f32, before it is stored. */
  public enum Epilogue {
    /** Nothing. */
    NONE(1),
    /** Adds the column's bias. */
    BIAS(4),
    /** GELU, tanh form. */
    GELU(32),
    /** Adds the column's bias, then GELU. */
    GELU_BIAS(36);

    private final int code; // cublasLtEpilogue_t

    Epilogue(int code) {
      this.code = code;
    }

    /** Whether a bias is taken. */
    public boolean bias() {
      return this == BIAS || this == GELU_BIAS;
    }
  }

  private static final int ALIGNMENT = 16;
  private static final long WORKSPACE_BYTES = 32L << 20;

  private final Device device;
  private final DType in;
  private final DType out;
  private final int m;
  private final int n;
  private final int k;
  private final Epilogue epilogue;
  private final DeviceBuffer workspace; // null on the emulated device
  private final long handle;
  private boolean closed;

  /**
   * Prepares a product.
   *
   * @param in dtype of x and w: BF16 or F32
   * @param out dtype of bias and y: {@code in} or F32
   * @throws IllegalArgumentException when dtypes or sizes do not fit
   * @throws CudaException when cublasLt has no algorithm for it
   * @throws UnsupportedOperationException when this build or the installed cuBLAS has no such products
   */
  public EpilogueGemm(Device device, DType in, DType out, int m, int n, int k, Epilogue epilogue) {
    JniKernels.require("a product with an epilogue");
    this.device = device;
    this.in = in;
    this.out = out;
    this.m = m;
    this.n = n;
    this.k = k;
    this.epilogue = epilogue;
    if (in != DType.BF16 && in != DType.F32 || out != in && out != DType.F32 || m < 1 || n < 1 || k < 1) {
      throw new IllegalArgumentException(this + ": dtypes are BF16 or F32 into the same or F32, sizes at least 1");
    }
    device.makeCurrent();
    workspace = device.emulated() ? null : device.allocate("cublasLt workspace", DType.U8, WORKSPACE_BYTES);
    long[] result = new long[1];
    int status = JniCalls.prepareProduct(type(in), type(out), m, n, k, epilogue.code, workspace == null ? 0 : WORKSPACE_BYTES, result);
    if (status != 0 && workspace != null) {
      workspace.close();
    }
    check(status, "cublasLtMatmulAlgoGetHeuristic");
    handle = result[0];
    LeakTracker.opened(this, toString());
  }

  /**
   * Queues the product. Allocates nothing; may be captured.
   *
   * @param x [m,k]
   * @param w [n,k]
   * @param bias [n] of the dtype of y; null when the epilogue takes none
   * @param y [m,n]
   * @throws IllegalArgumentException naming the argument that does not fit
   */
  public void multiply(Stream stream, DeviceBuffer x, DeviceBuffer w, DeviceBuffer bias, DeviceBuffer y) {
    if (closed) {
      throw new IllegalStateException(this + " is closed");
    }
    stream.checkOpen();
    if (stream.device() != device) {
      throw new IllegalArgumentException(this + " was prepared for another device than the stream's");
    }
    if (epilogue.bias() != (bias != null)) {
      throw new IllegalArgumentException(this + (bias == null ? ": bias is null" : ": takes no bias, but it is " + bias));
    }
    long xAddress = address(stream, "x", x, in, (long) m * k);
    long wAddress = address(stream, "w", w, in, (long) n * k);
    long biasAddress = bias == null ? 0 : address(stream, "bias", bias, out, n);
    long yAddress = address(stream, "y", y, out, (long) m * n);
    long scratch = workspace == null ? 0 : stream.address(workspace);
    int status = JniCalls.multiply(handle, xAddress, wAddress, biasAddress, yAddress, scratch, workspace == null ? 0 : WORKSPACE_BYTES,
        stream.address());
    check(status, "cublasLtMatmul");
  }

  private long address(Stream stream, String argument, DeviceBuffer buffer, DType dtype, long elements) {
    if (buffer == null || buffer.dtype() != dtype || buffer.elements() < elements) {
      throw new IllegalArgumentException("%s: %s is %s: needs %d elements of %s".formatted(this, argument, buffer, elements, dtype));
    }
    long address = stream.address(buffer);
    if (address % ALIGNMENT != 0) {
      throw new IllegalArgumentException("%s: %s, %s, starts at no multiple of %d bytes".formatted(this, argument, buffer, ALIGNMENT));
    }
    return address;
  }

  private void check(int status, String call) {
    if (status == JniCalls.NO_SUCH_FUNCTION) {
      throw new UnsupportedOperationException("the cuBLAS of this machine has no " + call);
    }
    if (status != 0) {
      throw new CudaException(call, status, cublasStatus.stringFor(status), toString());
    }
  }

  private static int type(DType dtype) {
    return dtype == DType.BF16 ? cudaDataType.CUDA_R_16BF : cudaDataType.CUDA_R_32F;
  }

  /** Frees the product; queued ones run on. Idempotent. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    LeakTracker.closed(this);
    if (workspace != null) {
      workspace.close();
    }
    if (!device.closed()) {
      device.makeCurrent();
    }
    JniCalls.freeProduct(handle);
  }

  @Override
  public String toString() {
    return "product of m %d, n %d, k %d, %s into %s, epilogue %s".formatted(m, n, k, in.suffix(), out.suffix(), epilogue);
  }
}
