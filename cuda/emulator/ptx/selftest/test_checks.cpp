// SPDX-License-Identifier: Apache-2.0
// What is wrong in a program is found and named.
#include "ptx_text.h"

using namespace selftest;

namespace {

// The body has its mistake on line 19 of the text, its first one.
void expect_finding(const std::string& body, int result, std::initializer_list<std::string> texts,
                    const std::string& before = "", unsigned threads = 64) {
  const PtxRun run = run_ptx(ptx_kernel(body, before), std::vector<uint64_t>(threads), threads);
  expect_report(run.result, result, texts);
}

}  // namespace

TEST(ptx_bounds_and_alignment) {
  expect_finding("  ld.global.u64 %x0, [%in+512];", 700,
                 {"kernel test block (0,0,0) thread (0,0,0) at PTX:19:", "illegal address: read of 8 bytes",
                                                        "0 bytes past the end", "lane 0", "ld.global.u64"});
  expect_finding("  ld.global.u64 %x0, [%in+4];", 719, {"misaligned read", "lane 0"});
  expect_finding("  st.shared.u32 [few+32], %t;", 719,
                 {"out of bounds: write of 4 bytes at offset 32 of few, which has 32 bytes"}, ".shared .align 4 .b8 few[32];\n");
  expect_finding("  mov.u64 %x0, 65536; ld.local.u32 %r0, [%x0];", 719, {"out of bounds", "local"});
  expect_finding("  mov.u32 %r0, 1; setp.ge.u32 %p0, %t, 40; @%p0 st.global.u64 [0], %in;", 700, {"thread (40,0,0)", "lane 8"});
  // By lines of a source, if the text has them
  expect_finding("  .loc 7 42 3\n  ld.global.u64 %x0, [%in+512];", 700, {"at mine.cu:42:"}, ".file 7 \"folder/mine.cu\"\n");
}

TEST(ptx_meetings) {
  expect_finding("  setp.lt.u32 %p0, %t, 7; @%p0 bra end; shfl.sync.idx.b32 %r0, %t, 0, 31, 0xffffffff; end: bar.sync 0;", 719,
                 {"deadlock: 64 of 64 threads wait", "shfl.sync.idx.b32", "bar.sync"});
  expect_finding("  setp.lt.u32 %p0, %t, 7; @%p0 bra end; shfl.sync.idx.b32 %r0, %t, 0, 31, 0x0000007f; end: ret;", 719,
                 {"leaves out one that is here"});
  expect_finding("  setp.lt.u32 %p0, %t, 32; @%p0 bra other; bar.sync 0; bra end; other: bar.sync 0; end:", 719,
                 {"different __syncthreads"});
  expect_finding("  mov.f32 %f0, 0f00000000; setp.eq.u32 %p0, %t, 0; @%p0 exit; "
                 "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f4,%f1,%f2,%f3}, {%t,%t}, {%t}, {%f0,%f0,%f0,%f0};", 719,
                 {"an instruction of the whole warp, but only lanes fffffffe"});
  expect_finding("  trap;", 719, {"trap"});
}

TEST(ptx_check_build) {
  if (!emu::is_check_build()) return;
  const char* const shared = ".shared .align 4 .b8 few[256];\n";
  expect_finding("  setp.eq.u32 %p0, %r1, 1;", 719, {"register %r1 was never written", "lane 0"});
  expect_finding("  add.u32 %r0, %r1, 1; setp.eq.u32 %p0, %r0, 1;", 719, {"register %r0 was never written"});
  expect_finding("  add.u32 %r0, %r1, 1; st.global.u32 [%out], %r0;", 719, {"register %r0 was never written"});
  expect_finding("  setp.lt.u32 %p0, %t, 40; @%p0 mov.u32 %r1, 3; mov.u32 %r2, %r1; setp.eq.u32 %p1, %r2, 1;", 719,
                 {"register %r2 was never written", "thread (40,0,0)"});
  expect_finding("  ld.shared.u32 %r0, [few];", 719, {"few+0, which was never written"}, shared);
  expect_finding("  .local .align 4 .b8 own[8]; ld.local.u32 %r0, [own+4]; setp.eq.u32 %p0, %r0, 1;", 719,
                 {"register %r0 was never written"});
  // What nvcc does with values that were never written: it packs them and cuts them off, and copies them.
  expect_finding("  mov.b32 %r1, {%h1, %h2}; setp.eq.u32 %p0, %r1, 1;", 719, {"register %r1 was never written"});
  expect_finding("  mov.u16 %h2, 5; mov.b32 %r1, {%h1, %h2}; shr.u32 %r1, %r1, 16; st.global.u32 [%out], %r1;", 0, {""});
  expect_finding("  .local .align 4 .b8 own[8]; st.local.u32 [own], %r1; ld.local.v2.u32 {%r2, %r3}, [own]; st.local.u32 [own+4], %r2;", 0,
                 {""});
  expect_finding("  .local .align 4 .b8 own[8]; st.local.u32 [own], %r1; st.global.u32 [%out], %t; ld.local.u32 %r2, [own]; "
                 "st.global.u32 [%out], %r2;", 719, {"register %r2 was never written"});
  // The second warp waits for the first one, which does not wait.
  const std::string hands_over = "  mov.u32 %r0, few; shl.b32 %r1, %t, 2; and.b32 %r1, %r1, 127; add.u32 %r0, %r0, %r1; "
                                 "setp.lt.u32 %p0, %t, 32; @%p0 st.shared.u32 [%r0], %t; ";
  expect_finding(hands_over + "@%p0 bar.arrive 1, 64; @!%p0 bar.sync 1, 64; @!%p0 ld.shared.u32 %r2, [%r0];", 0, {""}, shared);
  expect_finding(hands_over + "@!%p0 ld.shared.u32 %r2, [%r0];", 719, {"race"}, shared);
  // A race between warps, and none with a barrier between
  const std::string write = "  mov.u32 %r0, few; shl.b32 %r1, %t, 2; add.u32 %r0, %r0, %r1; st.shared.u32 [%r0], %t; ";
  const std::string read = " mov.u32 %r3, few; xor.b32 %r1, %r1, 128; add.u32 %r3, %r3, %r1; ld.shared.u32 %r2, [%r3];";
  expect_finding(write + "bar.sync 0;" + read, 0, {""}, shared);
  expect_finding(write + read, 719, {"race"}, shared);
  // Inside a warp only bar.warp.sync orders.
  const std::string neighbour = " mov.u32 %r3, few; xor.b32 %r1, %r1, 4; add.u32 %r3, %r3, %r1; ld.shared.u32 %r2, [%r3];";
  expect_finding(write + "bar.warp.sync 0xffffffff;" + neighbour, 0, {""}, shared);
  expect_finding(write + neighbour, 719, {"race"}, shared);
}
