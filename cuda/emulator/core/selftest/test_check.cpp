// SPDX-License-Identifier: Apache-2.0
// The check build: each detector on a kernel with one bug, and silence on correct kernels. Nothing to do in the fast build.
#include <cmath>

#include "harness.h"

using namespace selftest;

namespace {

const emu::Kernel& zoo(const char* name) { return kernel("zoo", name); }
constexpr int kFailed = emu::kLaunchFailed;

// Every schedule must find it.
constexpr const char* kSchedules[] = {"sched=fwd", "sched=rev,cp=eager", "sched=rand,cp=rand,seed=1",
                                      "sched=rand,cp=rand,seed=2,preempt=5", "sched=fwd,preempt=3"};

template <class... A>
void expect_bug(const char* name, const char* text, Shape shape, A... args) {
  if (!emu::is_check_build()) return;
  for (const char* schedule : kSchedules) {
    Options set(schedule);
    expect_report(launch(zoo(name), shape, args...), kFailed,
                  {std::string("kernel ") + name + " block (", "thread (", bug_line("zoo", name), text});
  }
}

template <class... A>
void expect_no_bug(const emu::Kernel& k, Shape shape, A... args) {
  for (const char* schedule : kSchedules) {
    Options set(schedule);
    expect_clean(launch(k, shape, args...));
  }
}

}  // namespace

TEST(check_races_on_shared_memory) {
  Buffer<int> out(64);
  expect_bug("missing_syncwarp", "race: read of values+", {1, 32}, out.data());
  expect_bug("shuffle_is_no_barrier", "race: read of values+", {1, 32}, out.data());
  expect_bug("overwrite_while_read", "race: write of values+", {1, 64}, out.data());
  expect_bug("two_writers", "race: write of value+0, written by thread", {1, 64}, out.data());
  Buffer<uint32_t> words(32);
  if (!emu::is_check_build()) return;
  for (const char* schedule : {"sched=fwd", "sched=rev", "sched=rand"}) {
    Options set(schedule);
    // A lane that comes before its neighbour reads what was never written; one that comes later, what no barrier orders.
    expect_report(launch(zoo("ldmatrix_too_early"), {1, 32}, words.data()), kFailed, {bug_line("zoo", "ldmatrix_too_early")});
  }
}

TEST(check_reads_of_unwritten_memory) {
  Buffer<int> out(32), x(40);
  expect_bug("uninitialised_shared", "read of values+128, which was never written", {1, 32}, out.data());
  if (!emu::is_check_build()) return;
  std::memset(x.data(), 0, 32 * sizeof(int));
  emu::device_written(x.data(), 32 * sizeof(int));
  expect_report(launch(zoo("uninitialised_global"), {1, 32}, x.data(), out.data()), kFailed,
                {bug_line("zoo", "uninitialised_global"), "thread (31,0,0)", "offset 128 of 160"});
  emu::device_written(x.data() + 32, 4);
  expect_clean(launch(zoo("uninitialised_global"), {1, 32}, x.data(), out.data()));
}

TEST(check_exact_bounds) {
  Buffer<int> out(33);
  expect_bug("neighbour_array", "out of bounds: read of 4 bytes at offset 2", {1, 32}, out.data());
  if (emu::is_check_build())
    expect_report(launch(zoo("into_the_padding"), {1, 32}, out.data(), 33), emu::kIllegalAddress,
                  {bug_line("zoo", "into_the_padding"), "0 bytes past the end of an allocation of 132 bytes"});
  expect_no_bug(zoo("into_the_padding"), {1, 32}, out.data(), 32);
}

TEST(check_races_between_blocks) {
  Buffer<int> out(128);
  out.fill(0);
  expect_bug("blocks_write", "race between blocks: write", {4, 32}, out.data());
  expect_bug("blocks_read", "race between blocks: ", {4, 32}, out.data());
  expect_bug("lost_update", "race between blocks: ", {4, 1}, out.data());
  expect_no_bug(zoo("blocks_write"), {1, 32}, out.data());  // one block alone; and again, in later launches
  if (!emu::is_check_build()) return;
  Options set("gridrace=0");
  expect_clean(launch(zoo("blocks_write"), {4, 32}, out.data()));
}

// The last block may read what the others left, and nothing else orders blocks.
TEST(check_order_by_last_block) {
  constexpr unsigned kBlocks = 5;
  Buffer<int> sums(kBlocks * 32), out(32);
  Buffer<unsigned> counter(1);
  sums.fill(0);
  counter.fill(0);
  expect_no_bug(zoo("grid_sum_right"), {kBlocks, 32}, sums.data(), counter.data(), out.data());
  for (int i = 0; i < 32; i++) CHECK_EQUAL(out[i], static_cast<int>(kBlocks) * i);
  CHECK_EQUAL(counter[0], 0u);
  if (!emu::is_check_build()) return;
  for (const char* schedule : kSchedules) {
    Options set(schedule);
    expect_report(launch(zoo("grid_sum_late"), {kBlocks, 32}, sums.data(), counter.data(), out.data()), kFailed,
                  {"kernel grid_sum_late", bug_line("zoo", "grid_sum"), "race between blocks: read of what block "});
    // The block that reads too early may be the first to run: then the others' writes show it.
    expect_report(launch(zoo("grid_sum_early"), {kBlocks, 32}, sums.data(), counter.data(), out.data()), kFailed,
                  {"kernel grid_sum_early", "zoo.cu:", "race between blocks: "});
  }
}

TEST(check_races_on_global_memory_within_a_block) {
  Buffer<int> scratch(64), out(64);
  scratch.fill(0);
  expect_bug("global_without_barrier", "race: ", {1, 64}, scratch.data(), out.data());
  expect_no_bug(zoo("global_with_barrier"), {1, 64}, scratch.data(), out.data());
}

TEST(check_misaligned_vectors) {
  Buffer<float> out(32);
  if (!emu::is_check_build()) return;
  expect_report(launch(zoo("misaligned_float4"), {1, 32}, out.data()), kFailed,
                {"zoo.cu:", "undefined behaviour: misaligned pointer"});
}

TEST(check_asynchronous_copies) {
  Buffer<float> x(1024), out(64);
  x.fill(1.f);
  expect_bug("read_in_flight", "in flight (not waited for)", {1, 32}, x.data(), out.data());
  expect_bug("waited_without_barrier", "tile+", {1, 32}, x.data(), out.data());
  expect_bug("two_copies_in_flight", "in flight", {1, 32}, x.data(), out.data());
  if (emu::is_check_build())
    for (const char* schedule : kSchedules) {
      Options set(schedule);
      expect_report(launch(zoo("ring_wrong"), {1, 64}, x.data(), out.data(), 4), kFailed,
                    {"kernel ring_wrong", bug_line("zoo", "ring") + " race: cp.async of tile+"});
    }
  expect_no_bug(zoo("ring_right"), {1, 64}, x.data(), out.data(), 4);
  for (int i = 0; i < 64; i++) CHECK_EQUAL(out[i], 4.f);
}

TEST(check_is_silent_on_correct_kernels) {
  Buffer<int> ints(64);
  ints.fill(7);
  expect_no_bug(zoo("constants"), {1, 32}, ints.data());
  Buffer<unsigned char> bytes(64);
  expect_no_bug(zoo("bytes"), {1, 64}, bytes.data());
  for (int i = 0; i < 64; i++) CHECK_EQUAL(static_cast<int>(bytes[i]), i);

  Buffer<float> x(1000), out(8 * 256), sums(8);
  Buffer<int> votes(8);
  for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(i % 13);
  emu::device_written(x.data(), x.size() * sizeof(float));
  expect_no_bug(kernel("features", "mixed"), {8, 256}, x.data(), out.data(), 1000);
  expect_no_bug(kernel("features", "block_sum"), {8, 96}, x.data(), sums.data(), votes.data());
  expect_no_bug(kernel("features", "spin"), {1, 64}, ints.data());
  Buffer<unsigned> words(256);
  expect_no_bug(kernel("features", "reductions"), {1, 32}, words.data());
}

TEST(check_pinned_memory_and_leaks) {
  std::vector<float> host(64, 1.f);
  Buffer<float> y(64);
  if (emu::is_check_build()) {
    const int rc = launch(kernel("features", "scale"), {1, 64}, host.data(), y.data(), 64, 2.f);
    expect_report(rc, emu::kIllegalAddress, {"kernel scale", "outside device memory"});
  }
  emu::host_memory_added(host.data(), host.size() * sizeof(float));
  expect_clean(launch(kernel("features", "scale"), {1, 64}, host.data(), y.data(), 64, 2.f));
  emu::host_memory_removed(host.data());
  CHECK_EQUAL(y[63], 2.f);

  CHECK_EQUAL(emu::report_leaks(), size_t{256});  // y
  CHECK_CONTAINS(emu::take_reports(), "leak: 1 allocations, 256 bytes");
}
