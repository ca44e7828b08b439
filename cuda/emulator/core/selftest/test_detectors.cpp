// SPDX-License-Identifier: Apache-2.0
// Every detector fires on the kernel that has its bug, and the next launch works again.
#include <cmath>

#include "harness.h"

using namespace selftest;

namespace {

const emu::Kernel& bug(const char* name) { return kernel("bugs", name); }
// "bugs.cu:<line>:" where the report must point
std::string at(const char* name) { return bug_line("bugs", name); }
constexpr int kFailed = emu::kLaunchFailed, kIllegal = emu::kIllegalAddress;

// Values a kernel must produce in the fast build show its bug as poison; the check build reports it by name.
void expect_poison_or_report(int result, float value, const std::string& text) {
  if (emu::is_check_build()) {
    expect_report(result, kFailed, {text});
  } else {
    CHECK_EQUAL(result, 0);
    CHECK(std::isnan(value));
  }
}

}  // namespace

TEST(missing_barrier_reads_poison) {
  Buffer<float> out(64);
  out.fill(0.f);
  const int rc = launch(bug("missing_barrier"), {1, 64}, out.data());
  expect_poison_or_report(rc, out[0], at("missing_barrier"));
}

TEST(divergent_barrier_is_reported) {
  Buffer<float> out(64);
  expect_report(launch(bug("divergent_barrier"), {1, 64}, out.data()), kFailed,
                {"kernel divergent_barrier block (0,0,0) thread (", at("divergent_barrier"), "__syncthreads"});
}

TEST(two_barriers_on_one_line_are_told_apart) {
  Buffer<float> out(64);
  expect_report(launch(bug("two_barriers"), {1, 64}, out.data()), kFailed,
                {at("two_barriers"), "different __syncthreads"});
}

TEST(barrier_after_an_exit_is_reported) {
  Buffer<float> out(64);
  expect_report(launch(bug("early_exit"), {1, 64}, out.data(), 50), kFailed, {at("early_exit"), "a thread ends"});
  {
    Options set("sched=rev");
    expect_report(launch(bug("early_exit"), {1, 64}, out.data(), 50), kFailed,
                  {at("early_exit"), "after 14 threads of the block have ended"});
  }
  expect_clean(launch(bug("early_exit"), {1, 64}, out.data(), 64));
}

TEST(deadlock_says_who_waits_where) {
  Buffer<float> out(64);
  expect_report(launch(bug("deadlock"), {1, 32}, out.data()), kFailed,
                {"deadlock: 32 of 32 threads wait: thread 0 on at line", "for __syncthreads, thread 16 on at line",
                 "for __syncwarp"});
}

TEST(collective_misuse_is_reported) {
  Buffer<int> out(32);
  expect_report(launch(bug("divergent_shuffle"), {1, 32}, out.data()), kFailed, {"diverged", at("divergent_shuffle")});
  expect_report(launch(bug("bad_mask"), {1, 32}, out.data()), kFailed, {"leaves it out", at("bad_mask")});
  expect_report(launch(bug("shuffle_from_outsider"), {1, 32}, out.data()), kFailed,
                {"from lane 20", at("shuffle_from_outsider")});
  Buffer<float> sums(32);
  expect_report(launch(bug("divergent_mma"), {1, 32}, sums.data()), kFailed, {"whole warp", at("divergent_mma")});
}

TEST(ldmatrix_addresses_are_checked) {
  Buffer<uint32_t> out(32);
  expect_report(launch(bug("misaligned_ldmatrix"), {1, 32}, out.data()), kFailed,
                {"misaligned ldmatrix", at("misaligned_ldmatrix")});
  expect_report(launch(bug("ldmatrix_outside"), {1, 32}, out.data()), kFailed,
                {"thread (31,0,0)", "not inside shared", at("ldmatrix_outside")});
}

TEST(asynchronous_copies_are_checked) {
  Buffer<float> x(128), out(32);
  x.fill(1.f);
  expect_clean(launch(bug("copy_waited"), {1, 32}, x.data(), out.data()));
  CHECK_EQUAL(out[5], 1.f);
  expect_report(launch(bug("copy_never_waited"), {1, 32}, x.data(), out.data()), kFailed,
                {"never waited for", at("copy_never_waited")});
  for (const char* name : {"copy_weak_wait", "copy_no_commit"}) {
    out.fill(0.f);
    const int rc = launch(bug(name), {1, 32}, x.data(), out.data());
    expect_poison_or_report(rc, out[0], "cp.async");
  }
  expect_report(launch(bug("copy_misaligned"), {1, 32}, x.data(), out.data()), kFailed,
                {"misaligned", at("copy_misaligned")});
  expect_report(launch(bug("copy_illegal_source"), {1, 32}, x.data(), out.data()), kIllegal,
                {"kernel copy_illegal_source", "past the end of an allocation of 512 bytes"});
}

TEST(shared_red_zones_are_verified) {
  Buffer<float> out(32);
  expect_clean(launch(bug("red_zone"), {1, 32}, out.data(), 0));
  expect_report(launch(bug("red_zone"), {1, 32}, out.data(), 33), kFailed, {"values"});
  expect_report(launch(bug("red_zone"), {1, 32}, out.data(), 60), kFailed, {"values"});
  expect_report(launch(bug("red_zone"), {1, 32}, out.data(), -1), kFailed, {"dynamic shared memory"});
  Buffer<int> ints(32);
  expect_clean(launch(bug("dynamic_too_small"), {1, 32, 128}, ints.data()));
  expect_report(launch(bug("dynamic_too_small"), {1, 32, 124}, ints.data()), kFailed, {"dynamic shared memory"});
  expect_report(launch(bug("too_much_static"), {1, 32}, out.data()), kFailed, {"shared memory", "80000 bytes"});
}

TEST(illegal_addresses_are_reported_and_survived) {
  Buffer<float> x(64), out(64);
  x.fill(1.f);
  for (int round = 0; round < 3; round++) {
    expect_report(launch(bug("read_outside"), {1, 32}, x.data(), out.data(), 64l), kIllegal,
                  {"kernel read_outside block (0,0,0) thread (0,0,0) at " + at("read_outside")});
    expect_report(launch(bug("write_outside"), {1, 32}, out.data(), 64l), kIllegal, {at("write_outside")});
    expect_report(launch(bug("write_outside"), {1, 32}, out.data(), -(1l << 40)), kIllegal, {at("write_outside")});
    // A null pointer itself is caught as undefined behaviour; any other small address as an illegal one.
    expect_report(launch(bug("write_outside"), {1, 32}, static_cast<float*>(nullptr), 0l), kFailed, {at("write_outside")});
    expect_report(launch(bug("write_outside"), {1, 32}, static_cast<float*>(nullptr), 8l), kIllegal, {at("write_outside")});
    out.fill(0.f);
    expect_clean(launch(bug("write_outside"), {1, 1}, out.data(), 63l));
    CHECK_EQUAL(out[63], 1.f);
  }
}

TEST(undefined_behaviour_is_reported) {
  Buffer<float> x(64), out(64);
  x.fill(1.f);
  expect_report(launch(bug("misaligned_vector"), {1, 32}, x.data(), out.data()), kFailed, {"isaligned"});
  Buffer<int> ints(64);
  expect_report(launch(bug("local_bound"), {1, 32}, ints.data()), kFailed,
                {"undefined behaviour", at("local_bound"), "thread (8,0,0)"});
  expect_report(launch(bug("overflow"), {1, 32}, ints.data(), 100000), kFailed, {"undefined behaviour", at("overflow")});
  expect_clean(launch(bug("overflow"), {1, 32}, ints.data(), 1000));
  expect_report(launch(bug("divide"), {1, 32}, ints.data(), 0), kFailed, {at("divide")});
  expect_report(launch(bug("stack_overflow"), {1, 32}, ints.data()), kFailed, {"stack overflow"});
  expect_report(launch(bug("trapped"), {1, 32}, ints.data()), kFailed, {"__trap()", "thread (3,0,0)", at("trapped")});
}

TEST(endless_spinning_is_reported) {
  Buffer<int> flag(1);
  flag.fill(0);
  expect_report(launch(bug("spin_forever"), {1, 2}, flag.data()), kFailed, {"spins", at("spin_forever")});
}

TEST(a_fault_in_one_block_of_many) {
  Buffer<float> x(64), y(64), out(64);
  for (const char* options : {"workers=1", "workers=4", "workers=4,sched=rand"}) {
    Options set(options);
    x.fill(1.f);
    expect_report(launch(bug("write_outside"), {200, 64}, out.data(), 64l), kIllegal, {"kernel write_outside"});
    expect_clean(launch(kernel("features", "scale"), {200, 64}, x.data(), y.data(), 64, 2.f));
    CHECK_EQUAL(y[63], 2.f);
  }
}

TEST(reports_are_limited) {
  Options set("reports=2");
  Buffer<float> out(64);
  for (const char* name : {"divergent_barrier", "two_barriers", "deadlock"}) launch(bug(name), {1, 64}, out.data());
  launch(bug("early_exit"), {1, 64}, out.data(), 50);
  CHECK_CONTAINS(emu::take_reports(), "more");
  CHECK(emu::take_reports().empty());
}
