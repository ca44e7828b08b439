// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jcuda.Pointer;
import jcuda.cudaDataType;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasGemmAlgo;
import jcuda.jcublas.cublasHandle;
import jcuda.jcublas.cublasMath;
import jcuda.jcublas.cublasOperation;
import jcuda.runtime.cudaStream_t;

/**
 * Matrix products by cuBLAS on one stream: y = x · wᵀ with row-major x [m,k] and w [n,k] as checkpoints store it. f32 accumulation;
 * TF32 is never used. For one thread at a time, like its stream. With a bias or GELU in the same pass: {@link EpilogueGemm}.
 */
public final class Gemm implements AutoCloseable {
  private static final int COMPUTE_32F = 68; // CUBLAS_COMPUTE_32F
  private static final long WORKSPACE_BYTES = 32L << 20;

  private final Stream stream;
  private final cublasHandle handle = new cublasHandle();
  private final DeviceBuffer workspace;
  private final Arena arena = Arena.ofShared();
  private final Pointer one;
  private final Pointer zero;
  private boolean closed;

  public Gemm(Stream stream) {
    this.stream = stream;
    stream.checkOpen();
    // An own workspace per handle keeps results reproducible and lets the calls be captured into a graph.
    workspace = stream.device().emulated() ? null : stream.device().allocate("cuBLAS workspace", DType.U8, WORKSPACE_BYTES);
    check(JCublas2.cublasCreate(handle), "cublasCreate", "");
    check(JCublas2.cublasSetStream(handle, new cudaStream_t(stream.handle())), "cublasSetStream", "");
    // Sums split over k are added up in f32 before the one rounding, also when y is BF16.
    check(JCublas2.cublasSetMathMode(handle, cublasMath.CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode", "");
    if (workspace != null) {
      check(JCublas2.cublasSetWorkspace(handle, Handles.devicePointer(workspace.address()), WORKSPACE_BYTES),
          "cublasSetWorkspace", "");
    }
    MemorySegment scalars = arena.allocate(8, 8);
    scalars.setAtIndex(JAVA_FLOAT, 0, 1f);
    scalars.setAtIndex(JAVA_FLOAT, 1, 0f);
    one = Handles.pointer(scalars.address());
    zero = Handles.pointer(scalars.address() + 4);
    LeakTracker.opened(this, "cuBLAS handle");
  }

  /**
   * y = x · wᵀ.
   *
   * @param x [m,k], BF16 or F32
   * @param w [n,k], dtype of x
   * @param y [m,n]; dtype of x (rounded once) or F32 (the accumulators)
   * @throws IllegalArgumentException naming the argument that does not fit
   */
  public void multiply(DeviceBuffer x, DeviceBuffer w, DeviceBuffer y, int m, int n, int k) {
    if (closed) {
      throw new IllegalStateException("cuBLAS handle is closed");
    }
    require(m >= 0 && n > 0 && k > 0, "sizes", m, n, k);
    require(x.dtype() == DType.BF16 || x.dtype() == DType.F32, "x " + x, m, n, k);
    require(w.dtype() == x.dtype() && w.elements() >= (long) n * k, "w " + w, m, n, k);
    require(x.elements() >= (long) m * k, "x " + x, m, n, k);
    require((y.dtype() == x.dtype() || y.dtype() == DType.F32) && y.elements() >= (long) m * n, "y " + y, m, n, k);
    if (m == 0) {
      return;
    }
    stream.checkTakes("a matrix product");
    if (workspace != null) {
      stream.address(workspace); // a captured product needs it for as long as its graph lives
    }
    // Row-major y is the column-major n x m product of wᵀ (stored k x n) and x (stored k x m).
    // A first product may load its kernel, which is forbidden, but harmless, in a thread that captures.
    int status = stream.recording() ? Cuda.duringCapture(() -> product(x, w, y, m, n, k)) : product(x, w, y, m, n, k);
    if (status != 0) { // the detail is built for a failure only
      check(status, "cublasGemmEx", "x %s, w %s, y %s, m %d, n %d, k %d".formatted(x, w, y, m, n, k));
    }
  }

  private int product(DeviceBuffer x, DeviceBuffer w, DeviceBuffer y, int m, int n, int k) {
    return JCublas2.cublasGemmEx_new(handle, cublasOperation.CUBLAS_OP_T, cublasOperation.CUBLAS_OP_N, n, m, k, one,
        Handles.devicePointer(stream.address(w)), cudaType(w.dtype()), k, Handles.devicePointer(stream.address(x)), cudaType(x.dtype()), k,
        zero, Handles.devicePointer(stream.address(y)), cudaType(y.dtype()), n, COMPUTE_32F, cublasGemmAlgo.CUBLAS_GEMM_DEFAULT);
  }

  private static void require(boolean ok, String argument, int m, int n, int k) {
    if (!ok) {
      throw new IllegalArgumentException("%s does not fit y[m,n] = x[m,k] w[n,k]ᵀ with m %d, n %d, k %d".formatted(argument, m, n, k));
    }
  }

  private static int cudaType(DType dtype) {
    return dtype == DType.BF16 ? cudaDataType.CUDA_R_16BF : cudaDataType.CUDA_R_32F;
  }

  private static void check(int status, String call, String detail) {
    if (status != 0) {
      throw new CudaException(call, status, jcuda.jcublas.cublasStatus.stringFor(status), detail);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      if (!stream.device().closed()) {
        stream.device().makeCurrent();
        JCublas2.cublasDestroy(handle);
      }
      if (workspace != null) {
        workspace.close();
      }
      arena.close();
      LeakTracker.closed(this);
    }
  }
}
