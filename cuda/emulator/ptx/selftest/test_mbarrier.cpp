// SPDX-License-Identifier: Apache-2.0
// mbarrier and cp.async.bulk in PTX.
#include "../../core/tensor_map.h"
#include "ptx_text.h"

using namespace selftest;

namespace {

const std::string kShared = ".shared .align 128 .b8 stage[512];\n.shared .align 8 .b64 bar;\n";
// Thread 0 initialises; everybody gets to know. %p1: thread 0; %r1, %r2: addresses of the stage and the mbarrier; %x2: the input
const std::string kBegin =
    "  setp.eq.u32 %p1, %t, 0; mov.u32 %r1, stage; mov.u32 %r2, bar; ld.param.u64 %x2, [a];\n"
    "  @%p1 mbarrier.init.shared::cta.b64 [%r2], 1; @%p1 fence.mbarrier_init.release.cluster; bar.sync 0;\n";
const std::string kExpect = "  @%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r2], 512;\n";
const std::string kCopy =
    "  @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%x2], 512, [%r2];\n";
const std::string kWait = "again: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r2], 0; @!%p2 bra again;\n";
const std::string kRead =
    "  shl.b32 %r3, %t, 3; add.u32 %r3, %r3, %r1; ld.shared.u64 %x0, [%r3]; st.global.u64 [%out], %x0;";

std::vector<uint64_t> numbers() {
  std::vector<uint64_t> in(64);
  for (size_t i = 0; i < in.size(); i++) in[i] = 3 * i + 1;
  return in;
}

void expect_finding(const std::string& body, std::initializer_list<std::string> texts, int result = emu::kLaunchFailed) {
  expect_report(run_ptx(ptx_kernel(body, kShared), numbers()).result, result, texts);
}

}  // namespace

TEST(ptx_bulk_copies) {
  for (const char* schedule : {"sched=fwd", "sched=rev,cp=eager", "sched=rand,cp=rand"}) {
    Options set(schedule);
    for (const std::string& wait : {kWait, std::string("again: mbarrier.test_wait.parity.b64 %p2, [%r2], 0; @!%p2 bra again;\n")}) {
      const PtxRun run = run_ptx(ptx_kernel(kBegin + kExpect + kCopy + wait + kRead, kShared), numbers());
      expect_clean(run.result);
      for (size_t i = 0; i < run.out.size(); i++) CHECK_EQUAL(run.out[i], 3 * i + 1);
    }
  }
}

TEST(ptx_boxes_of_a_tensor_map) {
  Buffer<uint64_t> data(64);
  data.put(numbers());
  emu::TensorMap map{};  // 8 lines of 8 numbers of 64 bits; a box of 4 lines from line 6 on: two of them are outside
  map.mark = emu::kTensorMapMark;
  map.rank = 2;
  map.element_bytes = 8;
  map.address = reinterpret_cast<const char*>(data.data());
  map.last[0] = map.last[1] = 7;
  map.stride[0] = 4;
  map.box[0] = 8, map.box[1] = 4;
  std::vector<uint64_t> in(64);
  std::memcpy(in.data(), &map, sizeof map);
  const std::string body = kBegin + "  @%p1 mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r2], 256; mov.u32 %r4, 6; mov.u32 %r5, 0;\n"
      "  @%p1 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r1+128], [%x2, {%r5, %r4}], [%r2];\n"
      "  @%p1 mbarrier.arrive.shared::cta.b64 %x3, [%r2];\n" + kWait +
      "  setp.lt.u32 %p3, %t, 32; shl.b32 %r3, %t, 3; add.u32 %r3, %r3, %r1;\n  @%p3 ld.shared.u64 %x0, [%r3+128]; @%p3 st.global.u64 "
      "[%out], %x0;";
  const PtxRun run = run_ptx(ptx_kernel(body, kShared), in);
  expect_clean(run.result);
  for (size_t i = 0; i < 32; i++) CHECK_EQUAL(run.out[i], i < 16 ? 3 * (48 + i) + 1 : 0);
  expect_report(run_ptx(ptx_kernel(body, kShared), numbers()).result, emu::kLaunchFailed,
                {"what is no tensor map", "at PTX:24:"});
}

TEST(ptx_bulk_bugs) {
  expect_finding(kBegin + kCopy + kWait, {"deadlock: 64 of 64 threads wait", "lacks 1 of 1 arrivals and -512 bytes"});
  expect_finding(kBegin + kExpect + kWait, {"deadlock: 64 of 64 threads wait", "lacks 0 of 1 arrivals and 512 bytes"});
  expect_finding(kBegin + kExpect + kExpect, {"1 arrivals at an mbarrier that waits for 0 of 1", "at PTX:24:"});
  expect_finding(kBegin + "  @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%x2+8], 512, [%r2];",
                 {"misaligned address", "at PTX:23:"});
  expect_finding(kBegin + "  @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%x2+16], 512, [%r2];",
                 {"outside device memory", "at PTX:23:"}, emu::kIllegalAddress);
  expect_finding(kBegin + kExpect + kCopy, {"the block ends while 1 bulk copies are on their way", "PTX:24:"});
  if (!emu::is_check_build()) return;
  expect_finding(kBegin + kExpect + kCopy + kRead, {"into which a cp.async of thread 0 is in flight"});
}
