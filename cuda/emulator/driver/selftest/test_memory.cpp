// SPDX-License-Identifier: Apache-2.0
// Memory of the driver facade: allocation, copies, fills, and every wrong range.
#include <cstdlib>

#include "driver_api.h"

using namespace selftest;

namespace {

constexpr CUdeviceptr FOREIGN = 0x123456780000;

std::vector<int> counting(int n) {
  std::vector<int> result(n);
  for (int i = 0; i < n; i++) result[i] = i;
  return result;
}

} // namespace

TEST(driver_allocation) {
  OwnContext context;
  CUdeviceptr p = 0, start = 0;
  size_t bytes = 0, free_before, free_after, total;
  CHECK_EQUAL(cuMemAlloc_v2(nullptr, 16), 1);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 0), 1);
  CHECK_EQUAL(cuMemGetInfo_v2(&free_before, &total), 0);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 1000), 0);
  CHECK_EQUAL(p % 256, 0u);
  CHECK_EQUAL(cuMemGetInfo_v2(&free_after, &total), 0);
  CHECK_EQUAL(free_before - free_after, 1000u);
  CHECK_EQUAL(cuMemAlloc_v2(&start, total), 2);
  CHECK_EQUAL(cuMemGetAddressRange_v2(&start, &bytes, p + 999), 0);
  CHECK_EQUAL(start, p);
  CHECK_EQUAL(bytes, 1000u);
  CHECK_EQUAL(cuMemGetAddressRange_v2(&start, &bytes, p + 1000), 500);
  CHECK_EQUAL(cuMemFree_v2(p + 4), 1);
  CHECK_EQUAL(cuMemFree_v2(FOREIGN), 1);
  CHECK_EQUAL(cuMemFree_v2(p), 0);
  CHECK_EQUAL(cuMemFree_v2(p), 1);
  CHECK_EQUAL(cuMemFree_v2(0), 0);
}

TEST(driver_stream_ordered_allocation) {
  OwnContext context;
  CUstream stream = new_stream();
  CUdeviceptr p;
  CHECK_EQUAL(cuMemAllocAsync(&p, 100, stream), 0);
  CHECK_EQUAL(cuMemsetD32Async(p, 7, 25, stream), 0);
  CHECK_EQUAL(download<int>(p, 25)[24], 7);
  CHECK_EQUAL(cuMemFreeAsync(p, stream), 0);
  CHECK_EQUAL(cuMemFreeAsync(p, stream), 1);
}

TEST(driver_copies) {
  OwnContext context;
  std::vector<int> x = counting(100);
  CUdeviceptr a = upload(x), b = allocate(400);
  CHECK_EQUAL(cuMemcpyDtoD_v2(b, a, 400), 0);
  CHECK(download<int>(b, 100) == x);
  CHECK_EQUAL(cuMemcpyDtoD_v2(b, a + 40, 80), 0);
  CHECK_EQUAL(download<int>(b, 100)[0], 10);
  std::vector<int> y(100);
  CHECK_EQUAL(cuMemcpy(reinterpret_cast<CUdeviceptr>(y.data()), a, 400), 0);
  CHECK(x == y);
  CUstream stream = new_stream();
  CHECK_EQUAL(cuMemcpyDtoHAsync_v2(y.data(), b, 400, stream), 0);
  CHECK_EQUAL(cuStreamSynchronize(stream), 0);
  CHECK_EQUAL(y[19], 29);
  CHECK_EQUAL(y[20], 20);
}

TEST(driver_wrong_ranges) {
  OwnContext context;
  std::vector<char> host(2000);
  CUdeviceptr p = allocate(1000), q = allocate(1000);
  CHECK_EQUAL(cuMemcpyHtoD_v2(p, host.data(), 1001), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(p + 1, host.data(), 1000), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(p - 1, host.data(), 10), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(p, host.data(), ~size_t(0)), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(p, nullptr, 10), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(0, host.data(), 10), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(FOREIGN, host.data(), 10), 1);
  CHECK_EQUAL(cuMemcpyDtoH_v2(host.data(), p, 1001), 1);
  CHECK_EQUAL(cuMemcpyDtoH_v2(host.data(), reinterpret_cast<CUdeviceptr>(host.data()), 10), 1);
  CHECK_EQUAL(cuMemcpyDtoD_v2(q, p, 1001), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(p, host.data(), 0), 0);
  CHECK_EQUAL(cuMemsetD8_v2(p, 1, 1001), 1);
  CHECK_EQUAL(cuMemsetD32_v2(p, 1, 251), 1);
  CHECK_EQUAL(cuMemsetD32_v2(p + 2, 1, 10), 1); // misaligned
  CHECK_EQUAL(cuMemsetD16_v2(p + 1, 1, 10), 1);
  CHECK_EQUAL(cuMemFree_v2(q), 0);
  CHECK_EQUAL(cuMemcpyDtoH_v2(host.data(), q, 10), 1);
  CHECK_EQUAL(cuMemcpyDtoD_v2(p, q, 10), 1);
  CHECK_EQUAL(cuMemsetD8_v2(q, 0, 10), 1);
}

TEST(driver_fills) {
  OwnContext context;
  CUdeviceptr p = upload(std::vector<int>(16, 0));
  CHECK_EQUAL(cuMemsetD8_v2(p, 0xab, 3), 0);
  CHECK_EQUAL(download<unsigned>(p, 1)[0], 0x00abababu);
  CHECK_EQUAL(cuMemsetD16_v2(p + 4, 0x1234, 2), 0);
  CHECK_EQUAL(download<unsigned>(p, 2)[1], 0x12341234u);
  CHECK_EQUAL(cuMemsetD32_v2(p + 8, 0x89abcdef, 1), 0);
  CHECK_EQUAL(download<unsigned>(p, 4)[2], 0x89abcdefu);
  CHECK_EQUAL(download<unsigned>(p, 4)[3], 0u);
  CHECK_EQUAL(cuMemsetD2D8_v2(p, 16, 0xff, 2, 4), 0);
  CHECK_EQUAL(download<unsigned>(p, 16)[12], 0x0000ffffu);
  CHECK_EQUAL(cuMemsetD2D8_v2(p, 16, 0xff, 17, 2), 1); // wider than the pitch
}

TEST(driver_boxes) {
  OwnContext context;
  size_t pitch;
  CUdeviceptr p;
  std::vector<int> x = counting(6 * 4);
  CHECK_EQUAL(cuMemAllocPitch_v2(&p, &pitch, 6 * 4, 4, 4), 0);
  CHECK_EQUAL(pitch, 512u);
  CUDA_MEMCPY2D up = {};
  up.srcMemoryType = CU_MEMORYTYPE_HOST;
  up.srcHost = x.data();
  up.srcPitch = 24;
  up.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  up.dstDevice = p;
  up.dstPitch = pitch;
  up.WidthInBytes = 24;
  up.Height = 4;
  CHECK_EQUAL(cuMemcpy2D_v2(&up), 0);
  CHECK_EQUAL(download<int>(p + 3 * 512, 6)[5], 23);
  std::vector<int> y(4, -1);
  CUDA_MEMCPY3D down = {}; // columns 1..2 of rows 2..3
  down.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  down.srcDevice = p;
  down.srcPitch = pitch;
  down.srcXInBytes = 4;
  down.srcY = 2;
  down.dstMemoryType = CU_MEMORYTYPE_HOST;
  down.dstHost = y.data();
  down.dstPitch = 8;
  down.WidthInBytes = 8;
  down.Height = 2;
  down.Depth = 1;
  CHECK_EQUAL(cuMemcpy3D_v2(&down), 0);
  CHECK(y == (std::vector<int>{13, 14, 19, 20}));
  down.srcY = 3;
  down.srcXInBytes = 512;
  CHECK_EQUAL(cuMemcpy3D_v2(&down), 1); // past the end
  up.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  CHECK_EQUAL(cuMemcpy2D_v2(&up), 801);
}

TEST(driver_pinned_memory) {
  OwnContext context;
  void* pinned;
  CUdeviceptr device, p = allocate(4096);
  CHECK_EQUAL(cuMemHostAlloc(&pinned, 4096, 0), 0);
  CHECK_EQUAL(cuMemHostGetDevicePointer_v2(&device, pinned, 0), 0);
  CHECK_EQUAL(device, reinterpret_cast<CUdeviceptr>(pinned));
  CHECK_EQUAL(cuMemcpyHtoD_v2(p, pinned, 4096), 0);
  CHECK_EQUAL(cuMemcpyHtoD_v2(p, static_cast<char*>(pinned) + 1, 4096), 1); // past the end of the pinned range
  unsigned type = 0;
  CHECK_EQUAL(cuPointerGetAttribute(&type, 2, device), 0);
  CHECK_EQUAL(type, 1u);
  CHECK_EQUAL(cuPointerGetAttribute(&type, 2, p + 100), 0);
  CHECK_EQUAL(type, 2u);
  CHECK_EQUAL(cuPointerGetAttribute(&type, 2, FOREIGN), 1);
  CHECK_EQUAL(cuMemHostUnregister(pinned), 713);
  CHECK_EQUAL(cuMemFreeHost(pinned), 0);
  CHECK_EQUAL(cuMemFreeHost(pinned), 1);

  std::vector<char> own(1000);
  CHECK_EQUAL(cuMemHostRegister_v2(own.data(), 1000, 0), 0);
  CHECK_EQUAL(cuMemHostRegister_v2(own.data() + 500, 10, 0), 712);
  CHECK_EQUAL(cuMemFreeHost(own.data()), 1);
  CHECK_EQUAL(cuMemHostUnregister(own.data()), 0);
  CHECK_EQUAL(cuMemHostUnregister(own.data()), 713);
}
