// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.JCublas2;

/**
 * One GPU, real or emulated, with its primary context and the kernels loaded into it. Safe to use from several threads; the
 * streams, and whatever is launched on them, belong to one thread at a time.
 */
public final class Device implements AutoCloseable {
  /** A device attribute that only the emulated device has (cuda/emulator/driver/device.cpp). */
  private static final int EMULATED_ATTRIBUTE = 0x64766c;

  /** What is known of a thread: the context that was made current by us last, and room for the driver's answer, which others may change. */
  private static final class Current {
    private CUcontext set;
    private final CUcontext actual = new CUcontext();
  }

  private static final ThreadLocal<Current> CURRENT = ThreadLocal.withInitial(Current::new);

  /** The oldest GPUs that the kernels run on: bf16 on tensor cores, asynchronous copies. */
  private static final int LEAST_CAPABILITY = 80;

  /** Folders of cubins for GPUs that have the shared memory that rings of bulk copies are made for (BULK in cuda/Makefile). */
  private static final Set<String> BULK_CODE = Set.of("sm_90a", "sm_100");

  private final boolean emulated;
  private final int ordinal;
  private final CUdevice handle;
  private final CUcontext context;
  private final String name;
  private final int capability;
  private final Map<String, KernelModule> modules = new ConcurrentHashMap<>();
  private final Map<String, KernelFunction> kernels = new ConcurrentHashMap<>();
  private final Set<PinnedBuffer> pinned = ConcurrentHashMap.newKeySet(); // the host could write to them after the device is gone
  private final AtomicBoolean closed = new AtomicBoolean();

  private Device(int ordinal) {
    this.ordinal = ordinal;
    DriverFailure.check(JCudaDriver.cuInit(0), "cuInit");
    int[] count = new int[1];
    Cuda.check(JCudaDriver.cuDeviceGetCount(count), "cuDeviceGetCount");
    if (ordinal >= count[0]) {
      throw new DeviceUnavailableException("gpu:" + ordinal + " is not there: this machine has " + count[0] + " CUDA device(s)");
    }
    handle = new CUdevice();
    Cuda.check(JCudaDriver.cuDeviceGet(handle, ordinal), "cuDeviceGet", "ordinal " + ordinal);
    byte[] text = new byte[128];
    Cuda.check(JCudaDriver.cuDeviceGetName(text, text.length, handle), "cuDeviceGetName");
    name = new String(text, StandardCharsets.UTF_8).split("\0", 2)[0];
    capability = 10 * attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    if (capability < LEAST_CAPABILITY) {
      throw new DeviceUnavailableException("%s has compute capability %d.%d; this library's kernels need %d.%d or newer (NVIDIA Ampere)"
          .formatted(name, capability / 10, capability % 10, LEAST_CAPABILITY / 10, LEAST_CAPABILITY % 10));
    }
    int[] answer = new int[1];
    emulated = JCudaDriver.cuDeviceGetAttribute(answer, EMULATED_ATTRIBUTE, handle) == 0 && answer[0] == 1;
    context = new CUcontext();
    DriverFailure.check(JCudaDriver.cuDevicePrimaryCtxRetain(context, handle), "cuDevicePrimaryCtxRetain of " + name);
    LeakTracker.opened(this, "device " + name);
  }

  /**
   * Opens a device. The choice between GPU and emulated device is made once per process.
   *
   * @throws DeviceUnavailableException when the device or a library is not there
   * @throws IllegalStateException when this process already runs on the other kind
   */
  public static Device open(DeviceSpec spec) {
    JCudaNatives.load(spec.kind());
    JCudaDriver.setExceptionsEnabled(false); // every status is checked here, with the shapes in the message
    JCublas2.setExceptionsEnabled(false);
    return new Device(spec.ordinal());
  }

  /** True for the emulated device: the driver itself says so, wherever it was loaded from. */
  public boolean emulated() {
    return emulated;
  }

  /** Name as the driver gives it. */
  public String name() {
    return name;
  }

  /** {@code "emulated"} or {@code "gpu:N"}. */
  public String spec() {
    return emulated() ? "emulated" : "gpu:" + ordinal;
  }

  /** Compute capability times ten, e.g. 90 for 9.0. */
  public int computeCapability() {
    return capability;
  }

  /** A CUdevice_attribute by its number. */
  public int attribute(int attribute) {
    int[] value = new int[1];
    Cuda.check(JCudaDriver.cuDeviceGetAttribute(value, attribute, handle), "cuDeviceGetAttribute", "attribute " + attribute);
    return value[0];
  }

  /** Free and total device memory in bytes. */
  public MemoryInfo memory() {
    makeCurrent();
    long[] free = new long[1];
    long[] total = new long[1];
    Cuda.check(JCudaDriver.cuMemGetInfo(free, total), "cuMemGetInfo");
    return new MemoryInfo(free[0], total[0]);
  }

  /** Free and total device memory in bytes. */
  public record MemoryInfo(long free, long total) {}

  /**
   * Fails when less is free: a clear word before long work that would end in the same exception.
   *
   * @param what stands in the message for what needs the memory
   * @throws OutOfDeviceMemoryException naming need, free and total
   */
  public void requireFree(String what, long bytes) {
    MemoryInfo memory = memory();
    if (bytes > memory.free()) {
      throw new OutOfDeviceMemoryException(what, name, bytes, memory.free(), memory.total());
    }
  }

  /** A new in-order stream. */
  public Stream newStream() {
    return new Stream(this);
  }

  /** A new event; {@code timing} for {@link Event#millisSince}. */
  public Event newEvent(boolean timing) {
    return new Event(this, timing);
  }

  /**
   * Allocates a buffer; its content is undefined.
   *
   * @throws OutOfDeviceMemoryException naming need, free and total
   */
  public DeviceBuffer allocate(String what, DType dtype, long... shape) {
    return DeviceBuffer.allocate(this, what, dtype, shape);
  }

  /**
   * Allocates page-locked host memory for copies that run while the host goes on; its content is undefined.
   *
   * @throws CudaException when the operating system does not lock that much
   */
  public PinnedBuffer allocatePinned(String what, long bytes) {
    return new PinnedBuffer(this, what, bytes);
  }

  /** One of this library's kernels: {@code op} is the file in cuda/, {@code function} the exported name. */
  public KernelFunction kernel(String op, String function) {
    KernelFunction cached = kernels.get(function);
    if (cached != null) {
      return cached;
    }
    synchronized (kernels) {
      return kernels.computeIfAbsent(function, f -> {
        KernelFunction loaded = module(op).function(f);
        loaded.preferSharedMemory();
        return loaded;
      });
    }
  }

  private KernelModule module(String op) {
    return modules.computeIfAbsent(op, o -> {
      String file = kernelFile(o);
      byte[] image = NativeResources.kernel(file);
      if (image == null) {
        throw new DeviceUnavailableException("this build has no kernels for " + name + " (" + file
            + " is missing; nvcc was not there when it was built)");
      }
      return KernelModule.load(this, file, image);
    });
  }

  /**
   * Loads a program's own kernels from a file: PTX, a cubin or a fat binary on a GPU; PTX, a fat binary with PTX in it or a host module
   * on the emulated device.
   *
   * @throws IllegalArgumentException when the file is not readable or not for this device
   * @throws CudaException when the driver refuses it, with the compiler's log for PTX
   */
  public KernelModule loadModule(Path file) {
    return KernelModule.load(this, file).tracked();
  }

  /**
   * Loads a program's own kernels from memory: PTX, a cubin or a fat binary for a GPU; PTX, a fat binary with PTX in it or a host module
   * for the emulated device.
   *
   * @param what for messages
   * @throws IllegalArgumentException when the image is not for this device
   * @throws CudaException when the driver refuses it, with the compiler's log for PTX
   */
  public KernelModule loadModule(String what, byte[] image) {
    return KernelModule.load(this, what, image).tracked();
  }

  /** Whether kernels can start while the one before ends (programmatic dependent launch), on this device and in this build. */
  public boolean overlaps() {
    return JniKernels.available() && machineCode() != null && capability >= 90;
  }

  /** Whether this library's kernels can copy in bulk by tensor maps and mbarriers, on this device, by its driver and in this build. */
  public boolean copiesInBulk() {
    return machineCode() != null && BULK_CODE.contains(machineCode()) && TensorMap.available();
  }

  /**
   * The folder of the cubins for this GPU, or null: PTX serves it. A cubin runs on its own major version from its minor version on, but
   * not on Tegra (8.7) if it was made for others.
   */
  private String machineCode() {
    return switch (capability) {
      case 80 -> "sm_80";
      case 86 -> "sm_86";
      case 89 -> "sm_89";
      case 90 -> "sm_90a"; // on no other
      case 100, 103 -> "sm_100";
      case 120, 121 -> "sm_120";
      default -> null;
    };
  }

  private String kernelFile(String op) {
    if (emulated() && System.getProperty("dvl.emulated.kernels", "").equals("ptx")) { // what nvcc made for GPUs, interpreted
      return "kernels/ptx/" + op + ".ptx";
    }
    if (emulated()) {
      return "kernels/" + System.getProperty("dvl.emulated.build", "emulated") + "/" + op + ".so";
    }
    if (machineCode() != null) {
      return "kernels/" + machineCode() + "/" + op + ".cubin";
    }
    int[] version = new int[1];
    Cuda.check(JCudaDriver.cuDriverGetVersion(version), "cuDriverGetVersion");
    int needed = DriverVersion.neededForPtx();
    if (version[0] < needed) {
      throw new DeviceUnavailableException(name + " is served by PTX, which takes a driver for " + DriverVersion.text(needed)
          + " or newer to compile; the driver here offers " + DriverVersion.text(version[0]) + ": update it");
    }
    return "kernels/ptx/" + op + ".ptx";
  }

  void own(PinnedBuffer buffer) {
    pinned.add(buffer);
  }

  void disown(PinnedBuffer buffer) {
    pinned.remove(buffer);
  }

  /** Makes the context current on the calling thread. */
  void makeCurrent() {
    if (closed.get()) {
      throw new IllegalStateException("device " + name + " is closed");
    }
    Current current = CURRENT.get();
    // By identity, as a context that was released and retained again is another; and by what the driver says, because other code of this
    // thread may have made its own context current meanwhile.
    boolean ours = current.set == context && JCudaDriver.cuCtxGetCurrent(current.actual) == 0 && current.actual.equals(context);
    if (!ours) {
      Cuda.check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
      current.set = context;
    }
  }

  boolean closed() {
    return closed.get();
  }

  /**
   * Frees its pinned buffers, unloads the kernels and releases the context; close buffers and streams first. What belongs to the device is
   * refused from then on. Idempotent.
   */
  @Override
  public void close() {
    if (closed.get()) {
      return;
    }
    makeCurrent();
    pinned.forEach(PinnedBuffer::close);
    modules.values().forEach(KernelModule::close);
    if (!closed.compareAndSet(false, true)) {
      return;
    }
    LeakTracker.closed(this);
    // After a sticky error this call fails as well; the process-wide reason was reported by the call that met it.
    JCudaDriver.cuDevicePrimaryCtxRelease(handle);
  }

  @Override
  public String toString() {
    return name;
  }
}
