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
 * Matrix products by cuBLAS on one stream: y = x · wᵀ with row-major x [m,k] and w [n,k] as checkpoints store it, and its gradients.
 * f32 accumulation; TF32 is never used. For one thread at a time, like its stream.
 */
public final class Gemm extends Handle {
  private static final int COMPUTE_32F = 68; // CUBLAS_COMPUTE_32F
  private static final long WORKSPACE_BYTES = 32L << 20;

  private final Stream stream;
  private final cublasHandle handle = new cublasHandle();
  private final MemorySegment factor = Arena.ofAuto().allocate(JAVA_FLOAT); // of the latest product; read before its call returns
  private final DeviceBuffer workspace;

  public Gemm(Stream stream) {
    super(stream.device());
    this.stream = stream;
    check(JCublas2.cublasCreate(handle), "cublasCreate", "");
    try {
      workspace = prepare();
    } catch (RuntimeException | Error e) {
      JCublas2.cublasDestroy(handle);
      throw e;
    }
    track();
  }

  /** Device memory that an object of this class takes. @param device null: a GPU */
  public static long workspaceBytes(Device device) {
    return device != null && device.emulated() ? 0 : WORKSPACE_BYTES;
  }

  /** Gives the handle its stream, its way of summing and its workspace, which it returns: null where none is needed. */
  private DeviceBuffer prepare() {
    check(JCublas2.cublasSetStream(handle, new cudaStream_t(stream.handle())), "cublasSetStream", "");
    // Sums split over k are added up in f32 before the one rounding, also when y is BF16 or F16.
    check(JCublas2.cublasSetMathMode(handle, cublasMath.CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode", "");
    if (workspaceBytes(device()) == 0) {
      return null;
    }
    // An own workspace per handle keeps results reproducible and lets the calls be captured into a graph.
    DeviceBuffer memory = device().allocate("cuBLAS workspace", DType.U8, WORKSPACE_BYTES);
    int status = JCublas2.cublasSetWorkspace(handle, Pointers.devicePointer(memory.address()), WORKSPACE_BYTES);
    if (status != 0) {
      memory.close();
    }
    check(status, "cublasSetWorkspace", "");
    return memory;
  }

  /** The three products of a linear layer y[m,n] = x[m,k] w[n,k]ᵀ; all matrices are row-major. */
  public enum Form {
    /** y[m,n] = x[m,k] w[n,k]ᵀ. */
    FORWARD("y[m,n] = x[m,k] w[n,k]ᵀ", "x", "w", "y"),
    /** dx[m,k] = dy[m,n] w[n,k]. */
    INPUT_GRADIENT("dx[m,k] = dy[m,n] w[n,k]", "dy", "w", "dx"),
    /** dw[n,k] = dy[m,n]ᵀ x[m,k]. */
    WEIGHT_GRADIENT("dw[n,k] += dy[m,n]ᵀ x[m,k]", "dy", "x", "dw");

    private final String formula;
    private final String left;
    private final String right;
    private final String result;

    Form(String formula, String left, String right, String result) {
      this.formula = formula;
      this.left = left;
      this.right = right;
      this.result = result;
    }

    private int leftColumns(int n, int k) {
      return this == FORWARD ? k : n;
    }

    private int resultColumns(int n, int k) {
      return this == FORWARD ? n : k;
    }
  }

  /** A matrix, or some columns of a wider one: its rows begin {@code stride} elements apart. */
  public record Matrix(DeviceBuffer data, int stride) {}

  /**
   * y = x · wᵀ.
   *
   * @param x [m,k], BF16, F16 or F32
   * @param w [n,k], dtype of x
   * @param y [m,n]; dtype of x (rounded once) or F32 (the accumulators)
   * @throws IllegalArgumentException naming the argument that does not fit
   */
  public void multiply(DeviceBuffer x, DeviceBuffer w, DeviceBuffer y, int m, int n, int k) {
    launch(Form.FORWARD, x, k, w, k, y, n, m, n, k, 1, false);
  }

  /**
   * The gradient of x in y = x · wᵀ: dx = dy · w.
   *
   * @param dy [m,n], BF16, F16 or F32
   * @param w [n,k], dtype of dy
   * @param dx [m,k]; dtype of dy (rounded once) or F32
   * @throws IllegalArgumentException naming the argument that does not fit
   */
  public void inputGradient(DeviceBuffer dy, DeviceBuffer w, DeviceBuffer dx, int m, int n, int k) {
    launch(Form.INPUT_GRADIENT, dy, n, w, k, dx, k, m, n, k, 1, false);
  }

  /**
   * Adds the gradient of w in y = x · wᵀ: dw += dyᵀ · x.
   *
   * @param dy [m,n], BF16, F16 or F32
   * @param x [m,k], dtype of dy
   * @param dw F32 [n,k]
   * @throws IllegalArgumentException naming the argument that does not fit
   */
  public void addWeightGradient(DeviceBuffer dy, DeviceBuffer x, DeviceBuffer dw, int m, int n, int k) {
    require(dw.dtype() == DType.F32, Form.WEIGHT_GRADIENT, "dw", dw, m, n, k);
    launch(Form.WEIGHT_GRADIENT, dy, n, x, k, dw, k, m, n, k, 1, true);
  }

  /**
   * One of the products with matrices that may be columns of wider ones, times a factor.
   *
   * @param left x or dy
   * @param right w, or x for the gradient of w
   * @param result y, dx or dw; dtype of the factors or F32
   * @param times factor of the product
   * @param add to what is there, instead of overwriting it
   * @throws IllegalArgumentException naming the argument that does not fit
   */
  public void product(Form form, Matrix left, Matrix right, Matrix result, int m, int n, int k, float times, boolean add) {
    launch(form, left.data(), left.stride(), right.data(), right.stride(), result.data(), result.stride(), m, n, k, times, add);
  }

  private void launch(Form form, DeviceBuffer left, int leftStride, DeviceBuffer right, int rightStride, DeviceBuffer result,
      int resultStride, int m, int n, int k, float times, boolean add) {
    enter();
    stream.checkOpen();
    require(m >= 0 && n > 0 && k > 0, form, "sizes", null, m, n, k);
    require((left.dtype().isHalf() || left.dtype() == DType.F32) && holds(left, leftStride, m, form.leftColumns(n, k)), form,
        form.left, left, m, n, k);
    require(right.dtype() == left.dtype() && holds(right, rightStride, form == Form.WEIGHT_GRADIENT ? m : n, k), form, form.right, right, m,
        n, k);
    require((result.dtype() == left.dtype() || result.dtype() == DType.F32)
        && holds(result, resultStride, form == Form.WEIGHT_GRADIENT ? n : m, form.resultColumns(n, k)), form, form.result, result, m, n, k);
    if (m == 0) {
      return;
    }
    if (workspace != null) {
      stream.address(workspace); // a captured product needs it for as long as its graph lives
    }
    factor.set(JAVA_FLOAT, 0, times);
    Pointer alpha = times == 1 ? Scalars.ONE : Pointers.pointer(factor.address());
    Pointer beta = add ? Scalars.ONE : Scalars.ZERO;
    // A first product may load its kernel, which is forbidden, but harmless, in a thread that captures.
    int status = stream.capturing()
        ? Cuda.duringCapture(() -> product(form, left, leftStride, right, rightStride, result, resultStride, m, n, k, alpha, beta))
        : product(form, left, leftStride, right, rightStride, result, resultStride, m, n, k, alpha, beta);
    if (status != 0) { // the detail is built for a failure only
      check(status, "cublasGemmEx", "%s %s, %s %s, %s %s, m %d, n %d, k %d".formatted(form.left, left, form.right, right, form.result,
          result, m, n, k));
    }
  }

  /** cuBLAS is column-major: a row-major matrix is a column-major one transposed, and so are the products, right factor first. */
  private int product(Form form, DeviceBuffer left, int leftStride, DeviceBuffer right, int rightStride, DeviceBuffer result,
      int resultStride, int m, int n, int k, Pointer alpha, Pointer beta) {
    int opRight = form == Form.FORWARD ? cublasOperation.CUBLAS_OP_T : cublasOperation.CUBLAS_OP_N;
    int opLeft = form == Form.WEIGHT_GRADIENT ? cublasOperation.CUBLAS_OP_T : cublasOperation.CUBLAS_OP_N;
    int rows = form == Form.WEIGHT_GRADIENT ? n : m;
    int inner = form == Form.FORWARD ? k : form == Form.INPUT_GRADIENT ? n : m;
    return JCublas2.cublasGemmEx_new(handle, opRight, opLeft, form.resultColumns(n, k), rows, inner, alpha,
        Pointers.devicePointer(stream.address(right)), cudaType(right.dtype()), rightStride,
        Pointers.devicePointer(stream.address(left)), cudaType(left.dtype()), leftStride, beta,
        Pointers.devicePointer(stream.address(result)), cudaType(result.dtype()), resultStride, COMPUTE_32F,
        cublasGemmAlgo.CUBLAS_GEMM_DEFAULT);
  }

  private static boolean holds(DeviceBuffer buffer, int stride, int rows, int columns) {
    return stride >= columns && (rows == 0 || buffer.elements() >= (rows - 1L) * stride + columns);
  }

  private static void require(boolean ok, Form form, String name, DeviceBuffer buffer, int m, int n, int k) {
    if (!ok) {
      throw new IllegalArgumentException("%s%s does not fit %s with m %d, n %d, k %d".formatted(name, buffer == null ? "" : " " + buffer,
          form.formula, m, n, k));
    }
  }

  private static int cudaType(DType dtype) {
    return switch (dtype) {
      case BF16 -> cudaDataType.CUDA_R_16BF;
      case F16 -> cudaDataType.CUDA_R_16F;
      default -> cudaDataType.CUDA_R_32F;
    };
  }

  private static void check(int status, String call, String detail) {
    if (status != 0) {
      throw new CudaException(call, status, jcuda.jcublas.cublasStatus.stringFor(status), detail);
    }
  }

  @Override
  void destroy() {
    JCublas2.cublasDestroy(handle);
  }

  @Override
  void closeParts() {
    if (workspace != null) {
      workspace.close();
    }
  }

  @Override
  public String toString() {
    return "cuBLAS handle";
  }
}
