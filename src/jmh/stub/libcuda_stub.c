// SPDX-License-Identifier: Apache-2.0
// A CUDA driver that does nothing and says that it went well: what a call costs on this side of the driver.
#include <stddef.h>
#include <string.h>

typedef int status;
static char handle[64];

#define NOTHING(name) \
  status name(void) { return 0; }
NOTHING(cuInit)
NOTHING(cuDeviceGet)
NOTHING(cuCtxSetCurrent)
NOTHING(cuDevicePrimaryCtxRelease_v2)
NOTHING(cuModuleUnload)
NOTHING(cuFuncSetAttribute)
NOTHING(cuStreamSynchronize)
NOTHING(cuStreamDestroy_v2)
NOTHING(cuMemFree_v2)
NOTHING(cuThreadExchangeStreamCaptureMode)
NOTHING(cuMemcpyHtoDAsync_v2)
NOTHING(cuLaunchKernel)
NOTHING(cuLaunchKernelEx)

status cuDeviceGetCount(int* count) { return *count = 1, 0; }
status cuDeviceGetName(char* name, int length) { return strncpy(name, "stub", (size_t)length), 0; }
// 0x64766c: the emulated devices' own attribute, see Device. Else, a compute capability.
status cuDeviceGetAttribute(int* value, int attribute) { return *value = attribute == 0x64766c ? 1 : 9, 0; }
status cuDriverGetVersion(int* version) { return *version = 13000, 0; }
status cuCtxGetCurrent(void** context) { return *context = handle, 0; }
status cuDevicePrimaryCtxRetain(void** context) { return *context = handle, 0; }
status cuStreamCreate(void** stream) { return *stream = handle, 0; }
status cuMemAlloc_v2(unsigned long long* address) { return *address = 1 << 20, 0; }
status cuMemGetInfo_v2(size_t* free, size_t* total) { return *free = *total = 1ull << 36, 0; }
status cuModuleLoadData(void** module) { return *module = handle, 0; }
status cuModuleLoadDataEx(void** module) { return *module = handle, 0; }
status cuFuncGetAttribute(int* value) { return *value = 0, 0; }

// The kernels that are measured, and the sizes of their parameters: the runtime checks every launch against them.
struct kernel {
  const char* name;
  size_t sizes[16]; // up to a zero
};
static struct kernel kernels[] = {
    {"rms_norm_bf16", {8, 8, 8, 4, 4, 4}},
    {"rope_kv_append_bf16", {8, 8, 8, 8, 8, 8, 8, 8, 4, 4, 4, 4}},
};

status cuModuleGetFunction(void** function, void* module, const char* name) {
  (void)module;
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
    if (!strcmp(kernels[i].name, name)) return *function = &kernels[i], 0;
  return 500; // CUDA_ERROR_NOT_FOUND
}

status cuFuncGetParamInfo(struct kernel* kernel, size_t index, size_t* offset, size_t* size) {
  if (index >= 16 || !kernel->sizes[index]) return 1; // CUDA_ERROR_INVALID_VALUE: one past the last
  *offset = 0;
  for (size_t i = 0; i < index; i++) *offset += kernel->sizes[i];
  return *size = kernel->sizes[index], 0;
}

status cuGetErrorName(int error, const char** name) { return (void)error, *name = "CUDA_ERROR_STUB", 0; }
