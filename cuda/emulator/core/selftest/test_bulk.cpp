// SPDX-License-Identifier: Apache-2.0
// mbarriers and bulk copies: what they bring, and what is found wrong with their use.
#include "../tensor_map.h"
#include "harness.h"

using namespace selftest;

namespace {

constexpr int kLines = 16, kWidth = 64;
const char* const kSchedules[] = {"sched=fwd", "sched=rev,cp=eager", "sched=rand,cp=rand,seed=3", "sched=rand,cp=rand,seed=4,preempt=5"};

struct alignas(64) Map {
  unsigned char bytes[128] = {};
};

Map map_of(const uint16_t* data, int halves, int lines, int width, int swizzle) {
  emu::TensorMap m{};
  m.mark = emu::kTensorMapMark;
  m.rank = 3;
  m.element_bytes = 2;
  m.swizzle = static_cast<uint8_t>(swizzle);
  m.address = reinterpret_cast<const char*>(data);
  const int dimensions[] = {width, lines, halves}, box[] = {kWidth, kLines / halves, halves};
  for (int d = 0; d < 3; d++) {
    m.last[d] = static_cast<uint32_t>(dimensions[d] - 1);
    m.box[d] = static_cast<uint16_t>(box[d]);
  }
  m.stride[0] = static_cast<uint32_t>(width * 2 / 16);
  m.stride[1] = static_cast<uint32_t>(width * lines * 2 / 16);
  Map map;
  std::memcpy(map.bytes, &m, sizeof m);
  return map;
}

std::string line_of(const char* name) {
  std::FILE* file = std::fopen(SELFTEST_SOURCES "/bulk.cu", "r");
  char text[300];
  int line = 0, found = 0;
  while (file && std::fgets(text, sizeof text, file)) {
    line++;
    const char* comment = std::strstr(text, " // ");
    if (comment && std::strstr(comment, name)) found = line;
  }
  if (file) std::fclose(file);
  return "bulk.cu:" + std::to_string(found);
}

}  // namespace

TEST(bulk_boxes_of_a_tensor_map) {
  constexpr int kAllLines = 20, kAllWidth = 72;
  for (int halves : {1, 2}) {
    Buffer<uint16_t> data(halves * kAllLines * kAllWidth), out(kLines * kWidth);
    std::vector<uint16_t> values(data.size());
    for (size_t i = 0; i < values.size(); i++) values[i] = static_cast<uint16_t>(i + 1);
    data.put(values);
    for (int swizzle : {0, 3})
      for (const auto& [x, y] : {std::pair{0, 0}, {64, 16}, {-8, -1}, {8, 19}, {72, 0}, {0, 20}}) {
        const Map map = map_of(data.data(), halves, kAllLines, kAllWidth, swizzle);
        expect_clean(launch(kernel("bulk", "box"), {1, 32, kLines * kWidth * 2}, map, x, y, 0, out.data()));
        for (int i = 0; i < kLines * kWidth; i++) {
          const int row = i / kWidth, column = i % kWidth, half = row / (kLines / halves), line = y + row % (kLines / halves);
          const int piece = column / 8 ^ (swizzle ? row % 8 : 0);
          const int from = x + column;
          const bool inside = from >= 0 && from < kAllWidth && line >= 0 && line < kAllLines;
          const uint16_t expected = inside ? values[(half * kAllLines + line) * kAllWidth + from] : 0;
          if (out[row * kWidth + piece * 8 + column % 8] != expected) fail(__FILE__, __LINE__, "element " + std::to_string(i));
        }
      }
  }
}

TEST(bulk_ring) {
  constexpr int kChunks = 7;
  Buffer<float> in(32 * kChunks), out(32);
  std::vector<float> values(in.size());
  for (size_t i = 0; i < values.size(); i++) values[i] = static_cast<float>(i);
  in.put(values);
  for (const char* schedule : kSchedules) {
    Options set(schedule);
    expect_clean(launch(kernel("bulk", "ring"), {1, 64}, static_cast<const float*>(in.data()), out.data(), kChunks));
    for (int i = 0; i < 32; i++) CHECK_EQUAL(out[i], static_cast<float>(32 * 21 + 7 * i));
  }
}

TEST(bulk_bugs_that_both_builds_find) {
  Buffer<float> in(64), out(32);
  in.fill(1.f);
  const emu::Kernel& k = kernel("bulk", "bulk_bug");
  enum { kNotWaited, kOtherBarrier, kReused, kTooFew, kTooMany, kMisaligned, kSize, kNotReady, kArrivals, kNoInit, kOutside };
  const auto expect = [&](int bug, int result, std::initializer_list<std::string> texts) {
    for (const char* schedule : kSchedules) {
      Options set(schedule);
      expect_report(launch(k, {1, 32}, static_cast<const float*>(in.data()), out.data(), bug), result, texts);
    }
  };
  const int failed = emu::kLaunchFailed;
  expect(kTooFew, failed, {"64 bytes more than were expected"});
  expect(kTooMany, failed, {"deadlock: 32 of 32 threads wait", "lacks 0 of 1 arrivals and 128 bytes"});
  expect(kMisaligned, failed, {line_of("kMisaligned"), "cp.async.bulk from a misaligned address"});
  expect(kSize, failed, {line_of("kSize"), "132 bytes, which is no multiple of 16"});
  expect(kNotReady, failed, {line_of("kNotReady"), "not made visible to copies"});
  expect(kArrivals, failed, {line_of("kArrivals"), "1 arrivals at an mbarrier that waits for 0 of 1"});
  expect(kNoInit, failed, {line_of("kNoInit"), "where none was initialised"});
  expect(kOutside, emu::kIllegalAddress, {line_of("kOutside"), "outside device memory"});
  if (!emu::is_check_build()) return;
  expect(kNotWaited, failed, {line_of("kNotWaited")});
  expect(kOtherBarrier, failed, {line_of("kOtherBarrier")});
  expect(kReused, failed, {line_of("kReused")});
}

TEST(bulk_copies_must_be_awaited) {
  Buffer<float> in(64), out(32);
  in.fill(1.f);
  constexpr int kLeft = 11, kUnordered = 12;
  const emu::Kernel& k = kernel("bulk", "bulk_bug");
  expect_report(launch(k, {1, 32}, static_cast<const float*>(in.data()), out.data(), kLeft), emu::kLaunchFailed,
                {"the block ends while 1 bulk copies are on their way"});
  if (!emu::is_check_build()) return;
  expect_report(launch(k, {1, 32}, static_cast<const float*>(in.data()), out.data(), kUnordered), emu::kLaunchFailed,
                {line_of("kUnordered"), "race: use of an mbarrier that thread 0 initialised"});
}

TEST(bulk_copies_need_a_gpu_that_has_them) {
  Buffer<float> in(32), out(32);
  in.fill(1.f);
  for (const char* gpu : {"gpu=8.0", "gpu=8.9"}) {
    Options set(gpu);
    expect_report(launch(kernel("bulk", "ring"), {1, 64}, static_cast<const float*>(in.data()), out.data(), 1), emu::kLaunchFailed,
                  {std::string("cp.async.bulk on a GPU of compute capability ") + (gpu + 4)});
  }
}
