// SPDX-License-Identifier: Apache-2.0
// Device memory, modules and launch configurations, as the driver facade uses them.
#include <sys/mman.h>

#include <cmath>

#include "harness.h"

using namespace selftest;

TEST(allocations) {
  char* p = static_cast<char*>(emu::device_alloc(1000));
  char* q = static_cast<char*>(emu::device_alloc(256));
  CHECK(p && q && p != q);
  CHECK_EQUAL(reinterpret_cast<uintptr_t>(p) % 256, uintptr_t{0});
  CHECK_EQUAL(emu::device_used(), size_t{1256});
  CHECK_EQUAL(emu::device_allocations(), size_t{2});
  for (int i = 0; i < 1000; i++) CHECK_EQUAL(static_cast<int>(static_cast<unsigned char>(p[i])), 0xff);
  CHECK(emu::device_range(p, 1000));
  CHECK(emu::device_range(p + 1, 999));
  CHECK(emu::device_range(p + 999, 1));
  CHECK(!emu::device_range(p, 1001));
  CHECK(!emu::device_range(p - 1, 1));
  CHECK(!emu::device_range(p + 1000, 1));
  CHECK(!emu::device_range(p + 1, ~size_t{0}));
  CHECK(!emu::device_range(nullptr, 0));
  void* start = nullptr;
  size_t bytes = 0;
  CHECK(emu::device_find(q + 255, &start, &bytes) && start == q && bytes == 256);
  CHECK(!emu::device_free(p + 256));
  CHECK(emu::device_free(p));
  CHECK(!emu::device_free(p));
  CHECK(!emu::device_range(p, 1));
  CHECK(emu::device_free(q));
  CHECK(emu::device_alloc(0) == nullptr);
}

TEST(out_of_memory) {
  const size_t total = emu::device_total();
  CHECK(emu::device_alloc(total + 1) == nullptr);
  CHECK(emu::device_alloc(~size_t{0}) == nullptr);
  void* most = emu::device_alloc(total - 4096);  // lazily committed
  CHECK(most != nullptr);
  CHECK(emu::device_alloc(4097) == nullptr);
  void* rest = emu::device_alloc(4096);
  CHECK(rest != nullptr);
  CHECK(emu::device_free(rest) && emu::device_free(most));
}

TEST(overrun_into_the_padding_is_found) {
  auto* p = static_cast<char*>(emu::device_alloc(100));
  p[100] = 1;
  CHECK(emu::device_free(p));
  CHECK_CONTAINS(emu::take_reports(), "past the end of an allocation of 100 bytes");
}

namespace {
std::string load_error(const void* image, size_t size) {
  std::string error;
  emu::Module* m = emu::module_load(image, size, error);
  if (m) emu::module_unload(m);
  return m ? "loaded" : error;
}
}  // namespace

TEST(modules) {
  const std::vector<char> image = module_image("features");
  CHECK_CONTAINS(load_error(image.data(), 0), "loaded");
  CHECK_CONTAINS(load_error(image.data(), image.size()), "loaded");
  std::string error;
  emu::Module* a = emu::module_load(image.data(), 0, error);
  emu::Module* b = emu::module_load(image.data(), 0, error);  // two copies live side by side
  CHECK(a && b);
  if (!a || !b) return;
  const emu::Kernel* first = emu::module_find(a, "scale");
  const emu::Kernel* second = emu::module_find(b, "scale");
  CHECK(first && second && first != second && first->thunk != second->thunk);
  CHECK(emu::module_find(a, "scal") == nullptr);
  CHECK_EQUAL(first->parameters, 4);
  CHECK_EQUAL(first->parameter_size[2], 4u);
  emu::module_unload(a);
  Buffer<float> x(std::vector<float>{1.f, 2.f}), y(2);
  expect_clean(launch(*second, {1, 32}, x.data(), y.data(), 2, 4.f));
  CHECK_EQUAL(y[1], 8.f);
  emu::module_unload(b);
  // A new module may get the file number of one that was unloaded, and must not be taken for it.
  const std::vector<char> other = module_image("bugs");
  emu::Module* c = emu::module_load(other.data(), 0, error);
  CHECK(c && emu::module_find(c, "red_zone") && !emu::module_find(c, "scale"));
  emu::module_unload(c);
}

TEST(bad_module_images) {
  CHECK_CONTAINS(load_error(nullptr, 0), "no image");
  CHECK_CONTAINS(load_error("", 0), "not an ELF file");
  CHECK_CONTAINS(load_error(".version 8.0\n.target sm_80\nrubbish", 0), "PTX line 3: unknown directive 'rubbish'");
  // At the very end of a readable page, too.
  auto* page = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(page + 4096, 4096, PROT_NONE);
  CHECK_CONTAINS(load_error(page + 4095, 0), "not readable");
  std::memcpy(page + 4092, "\177ELF", 4);
  CHECK_CONTAINS(load_error(page + 4092, 0), "not readable");
  CHECK_CONTAINS(load_error(reinterpret_cast<void*>(16), 0), "not readable");

  const std::vector<char> image = module_image("features");
  for (size_t n : {size_t{1}, size_t{63}, size_t{64}, size_t{200}, image.size() / 2, image.size() - 1}) {
    // Given its length, and given only memory that ends there.
    CHECK(load_error(image.data(), n) != "loaded");
    const size_t pages = (n + 4095) / 4096 * 4096;
    auto* tail = static_cast<char*>(mmap(nullptr, pages + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(tail + pages, 4096, PROT_NONE);
    std::memcpy(tail + pages - n, image.data(), n);
    CHECK(load_error(tail + pages - n, 0) != "loaded");
    munmap(tail, pages + 4096);
  }
  munmap(page, 8192);

  // Every header byte set to other values: an error or a working module, never a crash.
  for (size_t i = 0; i < 64; i++)
    for (int value : {0, 1, 0x7f, 0xff}) {
      std::vector<char> changed = image;
      changed[i] = static_cast<char>(value);
      load_error(changed.data(), changed.size());
    }
  std::vector<char> cubin = image;
  cubin[18] = static_cast<char>(190);
  CHECK_CONTAINS(load_error(cubin.data(), 0), "cubin");
  // A shared object that is none of ours.
  FILE* self = std::fopen("/proc/self/exe", "rb");
  std::vector<char> program(1 << 20);
  program.resize(std::fread(program.data(), 1, program.size(), self));
  std::fclose(self);
  CHECK(load_error(program.data(), program.size()) != "loaded");
}

TEST(launch_configurations) {
  Buffer<int> out(1024);
  const emu::Kernel& k = kernel("features", "coordinates");
  int* pointer = out.data();
  void* args[] = {&pointer};
  const auto result = [&](unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, size_t smem,
                          size_t limit) {
    emu::LaunchConfig config;
    config.grid[0] = gx, config.grid[1] = gy, config.grid[2] = gz;
    config.block[0] = bx, config.block[1] = by, config.block[2] = bz;
    config.dynamic_smem = smem;
    config.max_dynamic_smem = limit;
    return emu::launch(k, args, config);
  };
  constexpr size_t normal = 48 << 10, most = 227 << 10;
  CHECK_EQUAL(result(1, 1, 1, 1024, 1, 1, 0, normal), 0);
  CHECK_EQUAL(result(1, 1, 1, 16, 16, 4, normal, normal), 0);
  CHECK_EQUAL(result(1, 1, 1, 32, 1, 1, most, most), 0);
  CHECK_EQUAL(result(0, 1, 1, 32, 1, 1, 0, normal), 1);
  CHECK_EQUAL(result(1, 0, 1, 32, 1, 1, 0, normal), 1);
  CHECK_EQUAL(result(1, 65536, 1, 32, 1, 1, 0, normal), 1);
  CHECK_EQUAL(result(1, 1, 65536, 32, 1, 1, 0, normal), 1);
  CHECK_EQUAL(result(0x80000000u, 1, 1, 32, 1, 1, 0, normal), 1);
  CHECK_EQUAL(result(1, 1, 1, 0, 1, 1, 0, normal), 1);
  CHECK_EQUAL(result(1, 1, 1, 1025, 1, 1, 0, normal), 1);
  CHECK_EQUAL(result(1, 1, 1, 33, 32, 1, 0, normal), 1);
  CHECK_EQUAL(result(1, 1, 1, 1, 1, 65, 0, normal), 1);
  CHECK_EQUAL(result(1, 1, 1, 0x10000u, 0x10000u, 1, 0, normal), 1);
  CHECK_EQUAL(result(1, 1, 1, 32, 1, 1, normal + 1, normal), 1);
  CHECK_EQUAL(result(1, 1, 1, 32, 1, 1, most + 1, ~size_t{0}), 1);
  CHECK_EQUAL(emu::launch(k, nullptr, emu::LaunchConfig{}), 1);
  expect_clean(0);
}
