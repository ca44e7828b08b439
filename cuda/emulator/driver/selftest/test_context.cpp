// SPDX-License-Identifier: Apache-2.0
// Device, contexts, and the failure that spoils one.
#include <thread>

#include "driver_api.h"

using namespace selftest;

namespace {

// Runs while the program is loaded, so before any test has called cuInit.
int unused_count;
const CUresult BEFORE_INIT = cuDeviceGetCount(&unused_count);

// On a thread that never had a context
template <class Body> CUresult elsewhere(const Body& body) {
  CUresult result = -1;
  std::thread([&] { result = body(); }).join();
  return result;
}

CUresult write_outside() {
  CUdeviceptr memory = allocate(256);
  long offset = 64; // the first float behind the allocation
  void* parameters[] = {&memory, &offset};
  return cuLaunchKernel(function("bugs", "write_outside"), 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr);
}

} // namespace

TEST(driver_device) {
  CHECK_EQUAL(BEFORE_INIT, 3);
  CHECK_EQUAL(cuInit(1), 1);
  CHECK_EQUAL(cuInit(0), 0);
  int value = 0;
  CHECK_EQUAL(cuDriverGetVersion(&value), 0);
  CHECK_EQUAL(value, 13000);
  CHECK_EQUAL(cuDeviceGetCount(&value), 0);
  CHECK_EQUAL(value, 1);
  CUdevice device = -1;
  CHECK_EQUAL(cuDeviceGet(&device, 0), 0);
  CHECK_EQUAL(device, 0);
  CHECK_EQUAL(cuDeviceGet(&device, 1), 101);
  CHECK_EQUAL(cuDeviceGet(nullptr, 0), 1);
  char name[64];
  CHECK_EQUAL(cuDeviceGetName(name, sizeof name, 0), 0);
  CHECK_CONTAINS(name, "Emulated CUDA device (CPU)");
  struct {
    int id, value;
  } expected[] = {{1, 1024}, {8, 49152}, {10, 32}, {75, 9}, {76, 0}, {97, 232448}};
  for (auto [id, wanted] : expected) {
    CHECK_EQUAL(cuDeviceGetAttribute(&value, id, 0), 0);
    CHECK_EQUAL(value, wanted);
  }
  CHECK_EQUAL(cuDeviceGetAttribute(&value, 0, 0), 1);
  size_t bytes = 0;
  CHECK_EQUAL(cuDeviceTotalMem_v2(&bytes, 0), 0);
  CHECK_EQUAL(bytes, emu::device_total());
  CHECK_EQUAL(cuArrayDestroy(nullptr), 801); // one of those that are only named
}

TEST(driver_error_names) {
  const char* text = nullptr;
  CHECK_EQUAL(cuGetErrorName(700, &text), 0);
  CHECK_CONTAINS(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
  CHECK_EQUAL(cuGetErrorString(2, &text), 0);
  CHECK_CONTAINS(text, "out of memory");
  CHECK_EQUAL(cuGetErrorName(12345, &text), 1);
  CHECK(text == nullptr);
}

TEST(driver_no_context) {
  CHECK_EQUAL(elsewhere([] { return cuCtxSynchronize(); }), 201);
  CHECK_EQUAL(elsewhere([] {
                CUdeviceptr p;
                return cuMemAlloc_v2(&p, 16);
              }),
              201);
  CHECK_EQUAL(elsewhere([] {
                CUcontext c = reinterpret_cast<CUcontext>(8);
                CUresult error = cuCtxGetCurrent(&c);
                return error ? error : c ? -2 : 0;
              }),
              0);
}

TEST(driver_context_stack) {
  cuInit(0);
  CUcontext a, b, current;
  CHECK_EQUAL(cuCtxCreate_v2(&a, 0, 0), 0);
  CHECK_EQUAL(cuCtxCreate_v2(&b, 0, 0), 0);
  CHECK_EQUAL(cuCtxGetCurrent(&current), 0);
  CHECK(current == b);
  CHECK_EQUAL(cuCtxPopCurrent_v2(&current), 0);
  CHECK(current == b);
  CHECK_EQUAL(cuCtxGetCurrent(&current), 0);
  CHECK(current == a);
  CHECK_EQUAL(cuCtxPushCurrent_v2(b), 0);
  CHECK_EQUAL(cuCtxSetCurrent(a), 0); // replaces b on top
  CHECK_EQUAL(cuCtxDestroy_v2(a), 0); // pops it here, the a below stays and is dead
  CHECK_EQUAL(cuCtxSynchronize(), 709);
  CHECK_EQUAL(cuCtxDestroy_v2(a), 709);
  CHECK_EQUAL(cuCtxPopCurrent_v2(nullptr), 0);
  CHECK_EQUAL(cuCtxSetCurrent(reinterpret_cast<CUcontext>(&a)), 201);
  CHECK_EQUAL(cuCtxSetCurrent(b), 0);
  CHECK_EQUAL(cuCtxSetCurrent(nullptr), 0);
  CHECK_EQUAL(cuCtxSynchronize(), 201);
  CHECK_EQUAL(cuCtxDestroy_v2(b), 0);
}

TEST(driver_context_owns) {
  size_t before = emu::device_used();
  CUstream stream;
  CUdeviceptr memory;
  {
    OwnContext context;
    memory = allocate(1000);
    stream = new_stream();
  }
  CHECK_EQUAL(emu::device_used(), before);
  OwnContext other;
  CHECK_EQUAL(cuStreamSynchronize(stream), 400);
  CHECK_EQUAL(cuMemFree_v2(memory), 1);
}

TEST(driver_primary_context) {
  cuInit(0);
  CUcontext first, second;
  unsigned flags;
  int active = -1;
  CHECK_EQUAL(cuDevicePrimaryCtxRelease_v2(0), 201);
  CHECK_EQUAL(cuDevicePrimaryCtxRetain(&first, 0), 0);
  CHECK_EQUAL(cuDevicePrimaryCtxRetain(&second, 0), 0);
  CHECK(first == second);
  CHECK_EQUAL(cuCtxSetCurrent(first), 0);
  CUdeviceptr memory = allocate(64);
  CHECK_EQUAL(cuDevicePrimaryCtxRelease_v2(0), 0);
  CHECK_EQUAL(cuMemFree_v2(memory), 0);
  CHECK_EQUAL(cuCtxDestroy_v2(first), 201);
  CHECK_EQUAL(cuDevicePrimaryCtxReset_v2(0), 0);
  CHECK_EQUAL(cuDevicePrimaryCtxGetState(0, &flags, &active), 0);
  CHECK_EQUAL(active, 0);
  CHECK_EQUAL(cuCtxSynchronize(), 709);
  CHECK_EQUAL(cuDevicePrimaryCtxRetain(&second, 0), 0);
  CHECK(first == second);
  CHECK_EQUAL(cuCtxSynchronize(), 0);
  CHECK_EQUAL(cuDevicePrimaryCtxRelease_v2(0), 0);
  CHECK_EQUAL(cuDevicePrimaryCtxRelease_v2(0), 0);
  CHECK_EQUAL(cuCtxSetCurrent(nullptr), 0);
}

TEST(driver_failure_is_sticky) {
  {
    OwnContext context;
    CUdeviceptr memory = allocate(64);
    CUstream stream = new_stream();
    CHECK_EQUAL(write_outside(), 700);
    CHECK_EQUAL(cuCtxSynchronize(), 700);
    CHECK_EQUAL(cuStreamSynchronize(stream), 700);
    CHECK_EQUAL(cuMemFree_v2(memory), 700);
    CHECK_EQUAL(cuMemAlloc_v2(&memory, 64), 700);
    CHECK_CONTAINS(emu::take_reports(), "write_outside");
  }
  OwnContext fresh;
  CHECK_EQUAL(cuCtxSynchronize(), 0);
}

TEST(driver_failure_not_sticky_on_request) {
  OwnContext context;
  emu::set_options("sticky=0");
  CHECK_EQUAL(write_outside(), 700);
  CHECK_EQUAL(cuCtxSynchronize(), 0);
  emu::set_options("sticky=1");
}

TEST(driver_many_threads) {
  OwnContext context;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      cuCtxSetCurrent(context.handle());
      Scale scale;
      CUstream stream = new_stream();
      for (int round = 0; round < 20; round++) {
        std::vector<float> x(100 + t, float(round));
        CUdeviceptr in = upload(x), out = allocate(x.size() * 4);
        scale(in, out, int(x.size()), float(t), stream);
        cuStreamSynchronize(stream);
        for (float y : download<float>(out, x.size())) wrong[t] += y != float(round * t);
        cuMemFree_v2(in);
        cuMemFree_v2(out);
      }
      cuStreamDestroy_v2(stream);
    });
  }
  for (auto& thread : threads) thread.join();
  for (int count : wrong) CHECK_EQUAL(count, 0);
}
