// SPDX-License-Identifier: Apache-2.0
// What correct kernels compute.
#include <cmath>
#include <numeric>

#include "../bfloat16.h"
#include "../float16.h"
#include "harness.h"

using namespace selftest;

namespace {

const emu::Kernel& feature(const char* name) { return kernel("features", name); }

std::vector<float> ramp(size_t n) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; i++) v[i] = static_cast<float>(i * 37 % 101) - 50.f;
  return v;
}

}  // namespace

TEST(plain_loop) {
  const int n = 1000;
  Buffer<float> x(ramp(n)), y(n);
  expect_clean(launch(feature("scale"), {4, 256}, x.data(), y.data(), n, 3.f));
  for (int i = 0; i < n; i++) CHECK_EQUAL(y[i], 3.f * x[i]);
}

TEST(built_in_variables) {
  Buffer<int> out(2 * 3 * 2 * 4 * 3 * 2);
  emu::LaunchConfig config;
  const unsigned grid[] = {2, 3, 2}, block[] = {4, 3, 2};
  std::copy(grid, grid + 3, config.grid);
  std::copy(block, block + 3, config.block);
  int* pointer = out.data();
  void* args[] = {&pointer};
  expect_clean(emu::launch(feature("coordinates"), args, config));
  size_t i = 0;
  for (int bz = 0; bz < 2; bz++)
    for (int by = 0; by < 3; by++)
      for (int bx = 0; bx < 2; bx++)
        for (int z = 0; z < 2; z++)
          for (int y = 0; y < 3; y++)
            for (int x = 0; x < 4; x++) CHECK_EQUAL(out[i++], x + 10 * y + 100 * z + 1000 * (bx + 10 * by + 100 * bz));
}

TEST(block_barriers_and_votes) {
  for (const char* options : {"sched=fwd", "sched=rev", "sched=rand,seed=3"})
    for (unsigned threads : {1u, 31u, 32u, 33u, 100u, 256u, 1024u}) {
      if (threads % 32) continue;  // warp_sum needs whole warps
      Options set(options);
      const unsigned blocks = 5;
      Buffer<float> x(ramp(blocks * threads)), out(blocks);
      Buffer<int> votes(blocks);
      expect_clean(launch(feature("block_sum"), {blocks, threads}, x.data(), out.data(), votes.data()));
      for (unsigned b = 0; b < blocks; b++) {
        float sum = 0;  // small integers: exact in any order
        for (unsigned i = 0; i < threads; i++) sum += x[b * threads + i];
        CHECK_EQUAL(out[b], sum);
        CHECK_EQUAL(votes[b], static_cast<int>((threads + 2) / 3) * 4 + 2);
      }
    }
}

namespace {
template <class T>
void check_shuffles(const char* name) {
  Buffer<T> out(256);
  expect_clean(launch(feature(name), {1, 32}, out.data()));
  for (int lane = 0; lane < 32; lane++) {
    const auto from = [&](int source) { return static_cast<T>(source * 3); };
    CHECK_EQUAL(out[lane], from(5));
    CHECK_EQUAL(out[32 + lane], from(lane ^ 9));
    CHECK_EQUAL(out[64 + lane], from(lane < 2 ? lane : lane - 2));
    CHECK_EQUAL(out[96 + lane], from(lane > 28 ? lane : lane + 3));
    CHECK_EQUAL(out[128 + lane], from(lane % 8 > 4 ? lane : lane + 3));
    CHECK_EQUAL(out[160 + lane], static_cast<T>(3 * 31 * 16));
    CHECK_EQUAL(out[192 + lane], static_cast<T>(93));
    CHECK_EQUAL(out[224 + lane], from(lane / 4 * 4));
  }
}
}  // namespace

TEST(shuffles_of_every_type) {
  for (const char* options : {"sched=fwd", "sched=rev", "sched=rand"}) {
    Options set(options);
    check_shuffles<int>("shuffles_int");
    check_shuffles<unsigned>("shuffles_unsigned");
    check_shuffles<float>("shuffles_float");
    check_shuffles<double>("shuffles_double");
  }
}

TEST(warp_reductions) {
  Buffer<unsigned> out(32 * 8);
  expect_clean(launch(feature("reductions"), {1, 32}, out.data()));
  const auto v = [](unsigned lane) { return lane * 7 % 32; };
  unsigned ballot = 0, half[2] = {0, 0};
  for (unsigned lane = 0; lane < 32; lane++) {
    ballot |= (v(lane) % 3 == 0 ? 1u : 0u) << lane;
    half[lane / 16] += v(lane);
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    unsigned match = 0;
    for (unsigned other = 0; other < 32; other++) match |= (v(other) / 8 == v(lane) / 8 ? 1u : 0u) << other;
    const unsigned* o = out.data() + lane * 8;
    CHECK_EQUAL(o[0], ballot);
    CHECK_EQUAL(o[1], 496u);
    CHECK_EQUAL(o[2], 31u);
    CHECK_EQUAL(o[3], static_cast<unsigned>(-16));
    CHECK_EQUAL(o[4], match);
    CHECK_EQUAL(o[5], 0u);
    CHECK_EQUAL(o[6], half[lane / 16]);
    CHECK_EQUAL(o[7], 2u);
  }
}

TEST(atomic_operations) {
  Buffer<int> counters(std::vector<int>{0, -1, 1, 0});
  Buffer<float> sum(std::vector<float>{0.f});
  Buffer<unsigned> ticket(std::vector<unsigned>{0});
  expect_clean(launch(feature("atomics"), {8, 64}, counters.data(), sum.data(), ticket.data()));
  CHECK_EQUAL(counters[0], 512);
  CHECK_EQUAL(counters[1], 511);
  CHECK_EQUAL(counters[2], -63);
  CHECK_EQUAL(counters[3], 1024);
  CHECK_EQUAL(sum[0], 256.f);
  CHECK_EQUAL(ticket[0], 512u % 7);
}

TEST(spinning_with_nanosleep) {
  for (const char* options : {"sched=fwd", "sched=rev", "sched=rand"}) {
    Options set(options);
    Buffer<int> out(64);
    out.fill(0);
    expect_clean(launch(feature("spin"), {1, 64}, out.data()));
    for (int i = 0; i < 64; i++) CHECK_EQUAL(out[i], 1);
  }
}

TEST(async_copies_with_zero_fill) {
  for (const char* options : {"cp=defer", "cp=eager", "cp=rand", "cp=rand,sched=rand,seed=9", "sched=rev,cp=eager"}) {
    Options set(options);
    const int threads = 64, each = threads * 4, tiles = 5;
    Buffer<float> x(ramp(each * tiles)), y(each * tiles);
    expect_clean(launch(feature("async_copies"), {1, threads, each * 2 * sizeof(float)}, x.data(), y.data(), tiles));
    for (int i = 0; i < each * tiles; i++) {
      const int in_tile = each - 1 - i % each;
      CHECK_EQUAL(y[i], in_tile / 4 % 3 ? x[i / each * each + in_tile] : 0.f);
    }
  }
}

TEST(ldmatrix_against_definition) {
  std::vector<uint16_t> element(32 * 8);
  std::iota(element.begin(), element.end(), uint16_t{1000});
  Buffer<uint16_t> rows(element);
  for (bool transposed : {false, true}) {
    Buffer<uint32_t> out(32 * 4);
    expect_clean(launch(feature(transposed ? "ldmatrix_transposed" : "ldmatrix_plain"), {1, 32}, rows.data(), out.data()));
    for (unsigned lane = 0; lane < 32; lane++)
      for (unsigned tile = 0; tile < 4; tile++)
        for (unsigned half = 0; half < 2; half++) {
          const unsigned g = lane / 4, t = lane % 4 * 2 + half;
          const unsigned row = transposed ? t : g, column = transposed ? g : t;
          CHECK_EQUAL(out[lane * 4 + tile] >> (16 * half) & 0xffffu, uint32_t{element[(tile * 8 + row) * 8 + column]});
        }
  }
}

void check_mma(const char* kernel, uint16_t (*narrow)(float), float (*widen)(uint16_t)) {
  std::vector<uint16_t> a(256), b(128);
  std::vector<float> c(128);
  unsigned random = 12345;
  const auto next = [&] { return static_cast<float>((random = random * 1664525u + 1013904223u) >> 8) / (1 << 23) - 1.f; };
  for (auto& v : a) v = narrow(next());
  for (auto& v : b) v = narrow(next());
  for (auto& v : c) v = next();
  Buffer<uint16_t> da(a), db(b);
  Buffer<float> dc(c), d(128);
  expect_clean(launch(feature(kernel), {1, 32}, da.data(), db.data(), dc.data(), d.data()));
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 8; j++) {
      double sum = c[i * 8 + j];
      for (int k = 0; k < 16; k++) sum += double{widen(a[i * 16 + k])} * widen(b[k * 8 + j]);
      CHECK(std::fabs(d[i * 8 + j] - sum) < 1e-5);
    }
}

TEST(mma_against_naive) {
  check_mma("mma", [](float f) { return emu::bf16_from_float(f).bits; }, [](uint16_t b) { return emu::bf16_to_float({b}); });
  check_mma("mma_f16", [](float f) { return emu::f16_from_float(f).bits; }, [](uint16_t b) { return emu::f16_to_float({b}); });
}

TEST(vector_loads_and_stores) {
  std::vector<uint16_t> x(960);
  for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<uint16_t>(i * 17);
  Buffer<uint16_t> dx(x), dy(x.size());
  Buffer<float> u(ramp(480)), v(480);
  expect_clean(launch(feature("vectors"), {1, 32}, dx.data(), dy.data(), u.data(), v.data()));
  CHECK(std::memcmp(dx.data(), dy.data(), x.size() * 2) == 0);
  CHECK(std::memcmp(u.data(), v.data(), 480 * 4) == 0);
}

TEST(arguments_of_every_size) {
  struct alignas(64) Wide {
    int value[32];
  } wide{};
  wide.value[0] = 100;
  wide.value[31] = 1000;
  Buffer<double> out(1);
  const char a = 1;
  const short c = 10000;
  expect_clean(launch(feature("arguments"), {1, 32}, a, 0.5, wide, c, 1ull << 40, out.data()));
  CHECK_EQUAL(out[0], 1 + 0.5 + 1100 + 10000 + static_cast<double>(1ull << 40));
}

TEST(results_do_not_depend_on_workers_or_order) {
  const int n = 3000;
  Buffer<float> x(ramp(n)), out(40 * 256);
  std::vector<float> first;
  for (const char* options : {"workers=1", "workers=2", "workers=5", "sched=rev", "sched=rand,seed=5", "sched=rand,workers=1"}) {
    Options set(options);
    out.fill(0);
    expect_clean(launch(feature("mixed"), {40, 256}, x.data(), out.data(), n));
    const std::vector<float> now(out.data(), out.data() + out.size());
    if (first.empty()) first = now;
    CHECK(std::memcmp(first.data(), now.data(), now.size() * sizeof(float)) == 0);
  }
}

// The documented rule, written independently: drop 16 bits, round half to even, quiet NaN 0x7fff.
TEST(bf16_conversion_of_every_float) {
  const auto reference = [](uint32_t bits) -> uint16_t {
    float f;
    std::memcpy(&f, &bits, 4);
    if (std::isnan(f)) return 0x7fff;
    const uint32_t kept = bits >> 16, dropped = bits & 0xffff;
    const bool up = dropped > 0x8000 || (dropped == 0x8000 && kept % 2 == 1);
    return static_cast<uint16_t>(kept + up);
  };
  uint64_t wrong = 0;
  const uint32_t step = emu::is_check_build() ? 251 : 1;  // once in full is enough
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += step) {
    const auto b = static_cast<uint32_t>(bits);
    float f;
    std::memcpy(&f, &b, 4);
    wrong += emu::bf16_from_float(f).bits != reference(b);
  }
  CHECK_EQUAL(wrong, uint64_t{0});
  for (uint32_t b = 0; b < 0x10000; b++) {
    const float f = emu::bf16_to_float({static_cast<uint16_t>(b)});
    uint32_t back;
    std::memcpy(&back, &f, 4);
    wrong += back != b << 16;
  }
  CHECK_EQUAL(wrong, uint64_t{0});
}

// Back and forth, and by the distance to the two neighbours: the halfway point between f16 numbers goes to the even one.
TEST(f16_conversions) {
  const auto bits_of = [](float f) { return emu::f16_from_float(f).bits; };
  for (uint32_t b = 0; b < 0x7c00; b++) {
    const auto here = static_cast<uint16_t>(b), next = static_cast<uint16_t>(b + 1);
    const float f = emu::f16_to_float({here}), g = next == 0x7c00 ? 65536.f : emu::f16_to_float({next});
    CHECK_EQUAL(bits_of(f), here);
    CHECK_EQUAL(bits_of(-f), uint16_t(here | 0x8000));
    const float middle = (f + g) / 2;
    CHECK_EQUAL(bits_of(middle), b % 2 ? next : here);
    CHECK_EQUAL(bits_of(std::nextafter(middle, 0.f)), here);
    CHECK_EQUAL(bits_of(std::nextafter(middle, 1e9f)), next);
  }
  CHECK_EQUAL(emu::f16_to_float({1}), 0x1p-24f);
  CHECK_EQUAL(emu::f16_to_float({0x3c00}), 1.f);
  CHECK_EQUAL(bits_of(1e30f), uint16_t{0x7c00});
  CHECK_EQUAL(bits_of(-NAN), uint16_t{0x7fff});
}
