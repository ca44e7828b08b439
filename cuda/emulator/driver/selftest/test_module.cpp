// SPDX-License-Identifier: Apache-2.0
// Modules, functions, launches.
#include <fstream>

#include "driver_api.h"

using namespace selftest;

TEST(driver_modules) {
  OwnContext context;
  CUmodule module = nullptr;
  CUfunction kernel = nullptr, again = nullptr;
  std::vector<char> image = module_image("features");
  CHECK_EQUAL(cuModuleLoadData(&module, nullptr), 1);
  CHECK_EQUAL(cuModuleLoadData(nullptr, image.data()), 1);
  CHECK_EQUAL(cuModuleLoadData(&module, image.data()), 0);
  CHECK_EQUAL(cuModuleGetFunction(&kernel, module, "scale"), 0);
  CHECK_EQUAL(cuModuleGetFunction(&again, module, "scale"), 0);
  CHECK(kernel == again);
  CHECK_EQUAL(cuModuleGetFunction(&kernel, module, "no_such_kernel"), 500);
  CHECK_EQUAL(cuModuleGetFunction(&kernel, module, ""), 1);
  CHECK_EQUAL(cuModuleGetFunction(&kernel, reinterpret_cast<CUmodule>(&image), "scale"), STALE_OR_FOREIGN);
  CUdeviceptr global;
  size_t bytes;
  CHECK_EQUAL(cuModuleGetGlobal_v2(&global, &bytes, module, "table"), 500);
  CHECK_EQUAL(cuModuleUnload(module), 0);
  CHECK_EQUAL(cuModuleUnload(module), STALE_OR_FOREIGN);
  int n = 1;
  CUdeviceptr p = 0;
  float factor = 1;
  void* parameters[] = {&p, &p, &n, &factor};
  CHECK_EQUAL(cuLaunchKernel(again, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr), STALE_OR_FOREIGN);
}

TEST(driver_gpu_images) {
  OwnContext context;
  CUmodule module;
  std::vector<char> cubin = module_image("features");
  cubin[18] = char(190); // e_machine: CUDA
  CHECK_EQUAL(cuModuleLoadData(&module, cubin.data()), 209);
  CHECK_EQUAL(cuModuleLoadData(&module, "//\n// PTX\n.version 8.0\nrubbish\n"), 218);
  unsigned fat[16] = {0xba55ed50, 0x00100001}; // no entries
  CHECK_EQUAL(cuModuleLoadData(&module, fat), 209);
  CHECK_EQUAL(cuModuleLoadData(&module, "rubbish that is long enough to be looked at"), 200);
}

TEST(driver_launch) {
  OwnContext context;
  Scale scale;
  std::vector<float> x(100);
  for (int i = 0; i < 100; i++) x[i] = float(i);
  CUdeviceptr in = upload(x), out = upload(std::vector<float>(100, -1));
  CHECK_EQUAL(scale(in, out, 100, 0.5f), 0);
  CHECK_EQUAL(cuCtxSynchronize(), 0);
  int wrong = 0;
  std::vector<float> y = download<float>(out, 100);
  for (int i = 0; i < 100; i++) wrong += y[i] != 0.5f * float(i);
  CHECK_EQUAL(wrong, 0);

  int n = 100;
  float factor = 3;
  void* parameters[] = {&in, &out, &n, &factor};
  CUlaunchConfig config = {2, 1, 1, 64, 1, 1, 0, nullptr, nullptr, 0};
  CHECK_EQUAL(cuLaunchKernelEx(&config, scale.kernel, parameters, nullptr), 0);
  CHECK_EQUAL(download<float>(out, 100)[99], 297.f);
}

TEST(driver_wrong_launches) {
  OwnContext context;
  Scale scale;
  CUdeviceptr p = allocate(256);
  CHECK_EQUAL(cuMemsetD8_v2(p, 0, 256), 0);
  int n = 1;
  float factor = 1;
  void* good[] = {&p, &p, &n, &factor};
  void* hole[] = {&p, nullptr, &n, &factor};
  auto launch = [&](unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                    void** parameters) {
    return cuLaunchKernel(scale.kernel, gx, gy, gz, bx, by, bz, shared, nullptr, parameters, nullptr);
  };
  CHECK_EQUAL(launch(1, 1, 1, 1, 1, 1, 0, good), 0);
  CHECK_EQUAL(launch(0, 1, 1, 1, 1, 1, 0, good), 1);
  CHECK_EQUAL(launch(1, 1, 1, 0, 1, 1, 0, good), 1);
  CHECK_EQUAL(launch(1, 65536, 1, 1, 1, 1, 0, good), 1);
  CHECK_EQUAL(launch(1, 1, 1, 1025, 1, 1, 0, good), 1);
  CHECK_EQUAL(launch(1, 1, 1, 512, 3, 1, 0, good), 1);
  CHECK_EQUAL(launch(1, 1, 1, 1, 1, 65, 0, good), 1);
  CHECK_EQUAL(launch(1, 1, 1, 1, 1, 1, (48 << 10) + 1, good), 1);
  CHECK_EQUAL(launch(1, 1, 1, 1, 1, 1, 0, nullptr), 1);
  CHECK_EQUAL(launch(1, 1, 1, 1, 1, 1, 0, hole), 1);
  CHECK_EQUAL(cuLaunchKernel(scale.kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, good), 801);
  CHECK_EQUAL(cuLaunchKernel(reinterpret_cast<CUfunction>(&p), 1, 1, 1, 1, 1, 1, 0, nullptr, good, nullptr), 400);
  CHECK_EQUAL(cuLaunchKernel(scale.kernel, 1, 1, 1, 1, 1, 1, 0, reinterpret_cast<CUstream>(&p), good, nullptr), 400);
  {
    OwnContext other; // neither the kernel nor a stream of this one is the other's
    CHECK_EQUAL(launch(1, 1, 1, 1, 1, 1, 0, good), 400);
  }
  CHECK_EQUAL(cuCtxSynchronize(), 0); // nothing of that was sticky
}

TEST(driver_shared_memory_limit) {
  OwnContext context;
  CUfunction kernel = function("bugs", "dynamic_too_small");
  CUdeviceptr out = allocate(32 * 4);
  void* parameters[] = {&out};
  auto launch = [&](unsigned shared) {
    return cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, shared, nullptr, parameters, nullptr);
  };
  int value = 0;
  CHECK_EQUAL(launch(100 << 10), 1);
  CHECK_EQUAL(cuFuncSetAttribute(kernel, 8, 228 << 10), 1);
  CHECK_EQUAL(cuFuncSetAttribute(kernel, 8, 100 << 10), 0);
  CHECK_EQUAL(cuFuncGetAttribute(&value, 8, kernel), 0);
  CHECK_EQUAL(value, 100 << 10);
  CHECK_EQUAL(launch(100 << 10), 0);
  CHECK_EQUAL(launch((100 << 10) + 1), 1);
  CHECK_EQUAL(cuFuncGetAttribute(&value, 0, kernel), 0);
  CHECK_EQUAL(value, 1024);
  CHECK_EQUAL(cuFuncSetAttribute(kernel, 0, 512), 1); // read only
}

TEST(driver_limits_of_another_gpu) {
  emu::set_options("gpu=8.9");
  OwnContext context;
  CUfunction kernel = function("features", "scale");
  int value = 0, blocks = 0;
  for (const auto& [attribute, expected] : {std::pair{39, 1536}, {75, 8}, {76, 9}, {81, 100 << 10}, {97, 99 << 10}, {106, 24}}) {
    CHECK_EQUAL(cuDeviceGetAttribute(&value, attribute, 0), 0);
    CHECK_EQUAL(value, expected);
  }
  CHECK_EQUAL(cuFuncSetAttribute(kernel, 8, 100 << 10), 1);
  CHECK_EQUAL(cuFuncSetAttribute(kernel, 8, 99 << 10), 0);
  CHECK_EQUAL(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 32, 0), 0);
  CHECK_EQUAL(blocks, 24);
  CHECK_EQUAL(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 256, 48 << 10), 0);
  CHECK_EQUAL(blocks, 2); // 100 KiB / 49 KiB
  emu::set_options("gpu=9.0");
}

TEST(driver_occupancy) {
  OwnContext context;
  CUfunction kernel = function("features", "scale");
  int blocks = 0, grid = 0, block = 0;
  CHECK_EQUAL(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 256, 0), 0);
  CHECK_EQUAL(blocks, 8); // 2048 / 256
  CHECK_EQUAL(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 32, 40 << 10), 0);
  CHECK_EQUAL(blocks, 5); // 228 KiB / 41 KiB
  CHECK_EQUAL(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 32, 100 << 10), 0);
  CHECK_EQUAL(blocks, 0); // more than it may have
  CHECK_EQUAL(cuOccupancyMaxPotentialBlockSize(&grid, &block, kernel, nullptr, 0, 0), 0);
  CHECK_EQUAL(block, 1024);
  int multiprocessors = 0;
  cuDeviceGetAttribute(&multiprocessors, 16, 0);
  CHECK_EQUAL(grid, 2 * multiprocessors);
}

TEST(driver_parameters_of_a_kernel) {
  OwnContext context;
  CUfunction scale = function("features", "scale"); // x, y, n, factor
  size_t offset[4], size[4];
  for (size_t i = 0; i < 4; i++) CHECK_EQUAL(cuFuncGetParamInfo(scale, i, &offset[i], &size[i]), 0);
  CHECK_EQUAL(size[1], 8u);
  CHECK_EQUAL(size[3], 4u);
  CHECK_EQUAL(offset[1], 8u);
  CHECK_EQUAL(offset[3], 20u);
  CHECK_EQUAL(cuFuncGetParamInfo(scale, 4, offset, size), 1);
  char kind[5] = {};
  for (size_t i = 0; i < 4; i++) CHECK_EQUAL(dvlFuncGetParamKind(scale, i, &kind[i]), 0);
  CHECK(std::string(kind) == "ppif");
  CHECK_EQUAL(dvlFuncGetParamKind(scale, 4, kind), 1);
  CHECK_EQUAL(cuFuncGetParamInfo(scale, 0, nullptr, size), 1);
}
