// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import jcuda.Pointer;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnConvolutionDescriptor;
import jcuda.jcudnn.cudnnConvolutionFwdAlgoPerf;
import jcuda.jcudnn.cudnnConvolutionMode;
import jcuda.jcudnn.cudnnDataType;
import jcuda.jcudnn.cudnnFilterDescriptor;
import jcuda.jcudnn.cudnnHandle;
import jcuda.jcudnn.cudnnMathType;
import jcuda.jcudnn.cudnnTensorDescriptor;
import jcuda.jcudnn.cudnnTensorFormat;
import jcuda.runtime.cudaStream_t;

/**
 * Two-dimensional convolutions by cuDNN on one stream, channels last, without padding. f32 accumulation; TF32 is never used. For one thread
 * at a time, like its stream.
 */
public final class Conv extends Handle {
  private static final int NHWC = cudnnTensorFormat.CUDNN_TENSOR_NHWC;
  private static final int CANDIDATES = 8;
  private static final long MAX_WORKSPACE_BYTES = 256L << 20;

  private final Stream stream;
  private final cudnnHandle handle = new cudnnHandle();
  private final cudnnTensorDescriptor xShape = new cudnnTensorDescriptor();
  private final cudnnFilterDescriptor wShape = new cudnnFilterDescriptor();
  private final cudnnTensorDescriptor yShape = new cudnnTensorDescriptor();
  private final cudnnConvolutionDescriptor convolution = new cudnnConvolutionDescriptor();
  private DeviceBuffer workspace; // null until an algorithm wants one

  /** Whether this process can use cuDNN: loads libcudnn.so.9 at the first call. A device must be open. */
  public static boolean available() {
    try {
      JCudaNatives.loadCudnn();
      return true;
    } catch (DeviceUnavailableException e) {
      return false;
    }
  }

  /** @throws DeviceUnavailableException when there is no libcudnn.so.9, saying where it was looked for */
  public Conv(Stream stream) {
    super(stream.device());
    JCudaNatives.loadCudnn();
    JCudnn.setExceptionsEnabled(false); // its table of status codes is that of an older cuDNN
    this.stream = stream;
    check(JCudnn.cudnnCreate(handle), "cudnnCreate", "");
    try {
      check(JCudnn.cudnnSetStream(handle, new cudaStream_t(stream.handle())), "cudnnSetStream", "");
      check(JCudnn.cudnnCreateTensorDescriptor(xShape), "cudnnCreateTensorDescriptor", "");
      check(JCudnn.cudnnCreateFilterDescriptor(wShape), "cudnnCreateFilterDescriptor", "");
      check(JCudnn.cudnnCreateTensorDescriptor(yShape), "cudnnCreateTensorDescriptor", "");
      check(JCudnn.cudnnCreateConvolutionDescriptor(convolution), "cudnnCreateConvolutionDescriptor", "");
    } catch (RuntimeException | Error e) {
      destroy();
      throw e;
    }
    track();
  }

  /**
   * Convolves images with square filters (as networks do: without flipping them).
   *
   * @param x [images, height, width, channels], BF16, F16 or F32
   * @param w [filters, side, side, channels], dtype of x
   * @param y [images, (height − side) / stride + 1, (width − side) / stride + 1, filters], dtype of x, rounded once
   * @throws IllegalArgumentException naming the argument that does not fit
   * @throws CudaException when cuDNN has no algorithm for it
   */
  public void forward(DeviceBuffer x, DeviceBuffer w, DeviceBuffer y, int images, int height, int width, int channels, int filters,
      int side, int stride) {
    enter();
    stream.checkOpen();
    String detail = "x %s, w %s, y %s, images %d, %d x %d x %d, filters %d of side %d, stride %d".formatted(x, w, y, images, height, width,
        channels, filters, side, stride);
    boolean sizes = images >= 0 && channels > 0 && filters > 0 && side > 0 && stride > 0 && height >= side && width >= side;
    require(sizes, "sizes", detail);
    int rows = (height - side) / stride + 1;
    int columns = (width - side) / stride + 1;
    require((x.dtype().isHalf() || x.dtype() == DType.F32) && x.elements() >= (long) images * height * width * channels, "x", detail);
    require(w.dtype() == x.dtype() && w.elements() >= (long) filters * side * side * channels, "w", detail);
    require(y.dtype() == x.dtype() && y.elements() >= (long) images * rows * columns * filters, "y", detail);
    if (images == 0) {
      return;
    }
    stream.checkOpen();
    int type = switch (x.dtype()) {
      case BF16 -> cudnnDataType.CUDNN_DATA_BFLOAT16;
      case F16 -> cudnnDataType.CUDNN_DATA_HALF;
      default -> cudnnDataType.CUDNN_DATA_FLOAT;
    };
    check(JCudnn.cudnnSetTensor4dDescriptor(xShape, NHWC, type, images, channels, height, width), "cudnnSetTensor4dDescriptor", detail);
    check(JCudnn.cudnnSetFilter4dDescriptor(wShape, type, NHWC, filters, channels, side, side), "cudnnSetFilter4dDescriptor", detail);
    check(JCudnn.cudnnSetTensor4dDescriptor(yShape, NHWC, type, images, filters, rows, columns), "cudnnSetTensor4dDescriptor", detail);
    check(JCudnn.cudnnSetConvolution2dDescriptor(convolution, 0, 0, stride, stride, 1, 1, cudnnConvolutionMode.CUDNN_CROSS_CORRELATION,
        cudnnDataType.CUDNN_DATA_FLOAT), "cudnnSetConvolution2dDescriptor", detail);
    // The default mode would let f32 go through TF32.
    int math = x.dtype().isHalf() ? cudnnMathType.CUDNN_TENSOR_OP_MATH : cudnnMathType.CUDNN_FMA_MATH;
    check(JCudnn.cudnnSetConvolutionMathType(convolution, math), "cudnnSetConvolutionMathType", detail);
    int algorithm = algorithm(detail);
    long bytes = workspaceBytes(algorithm, detail);
    int status = JCudnn.cudnnConvolutionForward(handle, Scalars.ONE, xShape, Pointers.devicePointer(stream.address(x)), wShape,
        Pointers.devicePointer(stream.address(w)), convolution, algorithm,
        bytes == 0 ? new Pointer() : Pointers.devicePointer(stream.address(workspace)), bytes, Scalars.ZERO, yShape,
        Pointers.devicePointer(stream.address(y)));
    check(status, "cudnnConvolutionForward", detail);
  }

  /** The first of cuDNN's proposals, best first by its own reckoning, with a bounded workspace. The descriptor's math mode binds it. */
  private int algorithm(String detail) {
    cudnnConvolutionFwdAlgoPerf[] proposals = new cudnnConvolutionFwdAlgoPerf[CANDIDATES];
    for (int i = 0; i < CANDIDATES; i++) {
      proposals[i] = new cudnnConvolutionFwdAlgoPerf();
    }
    int[] count = new int[1];
    check(JCudnn.cudnnGetConvolutionForwardAlgorithm_v7(handle, xShape, wShape, convolution, yShape, CANDIDATES, count, proposals),
        "cudnnGetConvolutionForwardAlgorithm", detail);
    for (int i = 0; i < count[0]; i++) {
      if (proposals[i].status == 0 && proposals[i].memory <= MAX_WORKSPACE_BYTES) {
        return proposals[i].algo;
      }
    }
    throw new CudaException("cudnnGetConvolutionForwardAlgorithm", 0, "none of " + count[0] + " algorithms fits", detail);
  }

  private long workspaceBytes(int algorithm, String detail) {
    long[] bytes = new long[1];
    check(JCudnn.cudnnGetConvolutionForwardWorkspaceSize(handle, xShape, wShape, convolution, yShape, algorithm, bytes),
        "cudnnGetConvolutionForwardWorkspaceSize", detail);
    if (bytes[0] > 0 && (workspace == null || workspace.bytes() < bytes[0])) {
      if (workspace != null) {
        stream.synchronize(); // the last convolution may still use it
        workspace.close();
        workspace = null;
      }
      workspace = stream.device().allocate("cuDNN workspace", DType.U8, bytes[0]);
    }
    return bytes[0];
  }

  private static void require(boolean ok, String argument, String detail) {
    if (!ok) {
      throw new IllegalArgumentException("convolution: " + argument + " does not fit: " + detail);
    }
  }

  private static void check(int status, String call, String detail) {
    if (status != 0) {
      throw new CudaException(call, status, JCudnn.cudnnGetErrorString(status), detail);
    }
  }

  @Override
  void destroy() {
    JCudnn.cudnnDestroyConvolutionDescriptor(convolution);
    JCudnn.cudnnDestroyTensorDescriptor(yShape);
    JCudnn.cudnnDestroyFilterDescriptor(wShape);
    JCudnn.cudnnDestroyTensorDescriptor(xShape);
    JCudnn.cudnnDestroy(handle);
  }

  @Override
  void closeParts() {
    if (workspace != null) {
      workspace.close();
    }
  }

  @Override
  public String toString() {
    return "cuDNN handle";
  }
}
