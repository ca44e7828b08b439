// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.runtime;

import java.util.Map;

/** What it usually means when a driver that loaded does not start: the words of its status, and what to do. */
final class DriverFailure {
  private static final Map<Integer, String> MEANING = Map.of(
      2, "the GPU has no memory left for a context: another process holds it (nvidia-smi)",
      46, "the GPU is in exclusive mode and another process uses it (nvidia-smi -c 0)",
      100, "the driver shows no GPU%s. "
          + "In a container, start it with its GPUs (docker run --gpus all). A GPU in MIG mode shows nothing until "
          + "it has an instance (nvidia-smi mig -lgi)",
      101, "the driver does not know the GPU that is asked for%s",
      802, "the GPU's fabric is not ready: start nvidia-fabricmanager, of the driver's release",
      803, "libcuda and the kernel's driver are of different releases: reboot after an update, or let the container use the host's libcuda",
      804, "the forward compatibility of libcuda serves data-centre GPUs only: take its folder off the path and update the driver",
      999, "the driver does not start: is the module nvidia_uvm loaded (nvidia-modprobe -u), and does dmesg tell of the GPU?");

  private DriverFailure() {}

  /** @throws DeviceUnavailableException for a status that says that there is no usable GPU; CudaException for others */
  static void check(int status, String call) {
    if (status == 0) {
      return;
    }
    CudaException failure = Cuda.failure(status, call, null);
    String meaning = MEANING.get(status);
    if (meaning == null) {
      throw failure;
    }
    String visible = System.getenv("CUDA_VISIBLE_DEVICES");
    throw new DeviceUnavailableException(meaning.formatted(visible == null ? "" : "; CUDA_VISIBLE_DEVICES is '" + visible + "'") + " ("
        + failure.getMessage() + ")", failure);
  }
}
