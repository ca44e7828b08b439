// SPDX-License-Identifier: Apache-2.0
// Control flow, what lanes do together, memory spaces, loading.
#include <numeric>

#include "ptx_text.h"

using namespace selftest;

namespace {

std::vector<uint64_t> numbers(unsigned n) {
  std::vector<uint64_t> v(n);
  std::iota(v.begin(), v.end(), 0);
  return v;
}

template <class F>
void check_all(const PtxRun& run, F expected) {
  CHECK_EQUAL(run.result, 0);
  const std::string reports = emu::take_reports();
  if (!reports.empty()) fail(__FILE__, __LINE__, reports.substr(0, 400));
  for (size_t i = 0; i < run.out.size(); i++) {
    if (run.out[i] == expected(i)) continue;
    CHECK_EQUAL(run.out[i], expected(i));
    break;
  }
}

}  // namespace

TEST(ptx_divergence) {
  // The number of steps of the Collatz sequence: every lane loops for itself, and they come together for the vote.
  const std::string body = R"(  ld.global.u64 %x0, [%in];
  mov.u32 %r0, 0;
next:
  setp.le.u64 %p0, %x0, 1;
  @%p0 bra ended;
  and.b64 %x1, %x0, 1;
  setp.eq.u64 %p1, %x1, 0;
  @%p1 bra even;
  mad.lo.u64 %x0, %x0, 3, 1;
  bra joined;
even:
  shr.u64 %x0, %x0, 1;
joined:
  add.u32 %r0, %r0, 1;
  bra.uni next;
ended:
  vote.sync.ballot.b32 %r1, %p0, 0xffffffff;
  add.u32 %r0, %r0, %r1;
  cvt.u64.u32 %x2, %r0;
  st.global.u64 [%out], %x2;)";
  for (const char* order : {"sched=fwd", "sched=rev", "sched=rand,seed=3"}) {
    Options options(order);
    check_all(run_ptx(ptx_kernel(body), numbers(64)), [](uint64_t n) {
      uint32_t steps = 0;
      for (; n > 1; steps++) n = n % 2 ? 3 * n + 1 : n / 2;
      return uint64_t{steps + 0xffffffffu};
    });
  }
}

TEST(ptx_branch_table) {
  const std::string body = R"(  rem.u32 %r0, %t, 3;
table: .branchtargets zero, one, two;
  brx.idx %r0, table;
zero: mov.u64 %x0, 10; bra end;
one: mov.u64 %x0, 21; bra end;
two: mov.u64 %x0, 32;
end: st.global.u64 [%out], %x0;)";
  check_all(run_ptx(ptx_kernel(body), numbers(40)), [](uint64_t i) { return i % 3 * 11 + 10; });
}

// Inline assembly that is inlined twice has its labels twice.
TEST(ptx_labels_of_inner_braces) {
  const std::string loop = "  {\n  .reg .pred p;\n  .reg .u32 n;\n  mov.u32 n, %r1;\nLOOP:\n  setp.eq.u32 p, n, 0;\n  @p bra DONE;\n"
                           "  add.u32 %r2, %r2, n;\n  sub.u32 n, n, 1;\n  bra LOOP;\nDONE:\n  }\n";
  const PtxRun run = run_ptx(ptx_kernel("  ld.global.u64 %x1, [%in];\n  cvt.u32.u64 %r1, %x1;\n  mov.u32 %r2, 0;\n  bra LOOP;\nLOOP:\n" +
                                        loop + "  { {\n" + loop + "  } }\n  cvt.u64.u32 %x1, %r2;\n  st.global.u64 [%out], %x1;"),
      {4, 1, 0});
  CHECK_EQUAL(run.result, 0);
  CHECK_EQUAL(run.out[0], 20u);
  CHECK_EQUAL(run.out[1], 2u);
  CHECK_EQUAL(run.out[2], 0u);
}

TEST(ptx_calls) {
  const std::string functions = R"(
.func (.param .b64 result) factorial(.param .b64 n) {
  .reg .pred %p; .reg .b64 %n, %m, %r;
  ld.param.u64 %n, [n];
  mov.u64 %r, 1;
  setp.le.u64 %p, %n, 1;
  @%p bra done;
  sub.u64 %m, %n, 1;
  { .param .b64 a; st.param.b64 [a], %m; .param .b64 r; call.uni (r), factorial, (a); ld.param.b64 %r, [r+0]; }
  mul.lo.u64 %r, %r, %n;
done:
  st.param.b64 [result+0], %r;
  ret;
}
.func (.param .b64 result) negated(.param .b64 n) {
  .reg .b64 %n;
  ld.param.u64 %n, [n];
  neg.s64 %n, %n;
  st.param.b64 [result+0], %n;
}
.global .align 8 .u64 functions[2] = {factorial, negated};
)";
  const std::string body = R"(  ld.global.u64 %x0, [%in];
  and.b64 %x1, %x0, 1;
  shl.b64 %x1, %x1, 3;
  mov.u64 %x2, functions;
  add.u64 %x2, %x2, %x1;
  ld.global.u64 %x3, [%x2];
  { .param .b64 a; st.param.b64 [a], %x0; .param .b64 r;
  prototype: .callprototype (.param .b64 _) _ (.param .b64 _);
  call (r), %x3, (a), prototype; ld.param.b64 %x4, [r]; }
  st.global.u64 [%out], %x4;)";
  check_all(run_ptx(ptx_kernel(body, functions), numbers(16)), [](uint64_t n) {
    uint64_t f = 1;
    for (uint64_t k = 2; k <= n; k++) f *= k;
    return n % 2 ? -n : f;
  });
}

// nvcc for sm_100 takes differences of shared addresses in 32 bits below the start of the memory.
TEST(ptx_shared_address_wraps) {
  const PtxRun run = run_ptx(ptx_kernel("  .shared .align 8 .b64 s[4];\n  mov.u32 %r1, s;\n  ld.global.u64 %x1, [%in];\n"
                                        "  sub.u32 %r1, %r1, 64;\n  st.shared.u64 [%r1+72], %x1;\n  ld.shared.u64 %x2, [s+8];\n"
                                        "  st.global.u64 [%out], %x2;"),
      {77});
  CHECK_EQUAL(run.result, 0);
  CHECK_EQUAL(run.out[0], 77u);
}

TEST(ptx_atomics_of_128_bits) {
  const PtxRun run = run_ptx(ptx_kernel("  .reg .b128 %a, %b, %c;\n  .shared .align 16 .b64 s[2];\n  mov.u64 %x1, 5;\n"
                                        "  mov.u64 %x2, 6;\n  st.shared.v2.u64 [s], {%x1, %x2};\n  mov.b128 %a, {%x1, %x2};\n"
                                        "  mov.b128 %b, {%x2, %x1};\n  atom.shared.cas.b128 %c, [s], %a, %b;\n"
                                        "  atom.shared.exch.b128 %c, [s], %a;\n  mov.b128 {%x3, %x4}, %c;\n"
                                        "  mad.lo.u64 %x3, %x3, 10, %x4;\n  st.global.u64 [%out], %x3;"),
      {0});
  CHECK_EQUAL(run.result, 0);
  CHECK_EQUAL(run.out[0], 65u);
}

TEST(ptx_atomics_of_vectors) {
  const PtxRun run = run_ptx(ptx_kernel("  .shared .align 16 .b32 s[4];\n  mov.b32 %f0, 0f00000000;\n"
                                        "  st.shared.v4.f32 [s], {%f0, %f0, %f0, %f0};\n"
                                        "  mov.f32 %f1, 0f3f800000;\n  mov.f32 %f2, 0f40000000;\n"
                                        "  red.shared.add.v2.f32 [s+8], {%f1, %f2};\n"
                                        "  atom.shared.add.v4.f32 {%f3, %f4, %f5, %f6}, [s], {%f1, %f1, %f2, %f2};\n"
                                        "  ld.shared.v2.f32 {%f7, %f8}, [s+8];\n  fma.rn.f32 %f5, %f5, 0f41200000, %f6;\n"
                                        "  fma.rn.f32 %f7, %f7, 0f41200000, %f8;\n  fma.rn.f32 %f5, %f5, 0f42c80000, %f7;\n"
                                        "  cvt.rzi.u64.f32 %x1, %f5;\n  st.global.u64 [%out], %x1;"),
      {0});
  CHECK_EQUAL(run.result, 0);
  CHECK_EQUAL(run.out[0], 1234u);
}

TEST(ptx_matrices_are_stored) {
  std::vector<uint64_t> lanes(32);
  const PtxRun run = run_ptx(ptx_kernel("  .shared .align 16 .b8 s[128];\n  mov.u32 %r1, s;\n  and.b32 %r2, %t, 7;\n"
                                        "  mad.lo.u32 %r2, %r2, 16, %r1;\n"
                                        "  mad.lo.u32 %r3, %t, 0x20002, 0x10000;\n"
                                        "  stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%r2], {%r3};\n"
                                        "  bar.sync 0;\n  mad.lo.u32 %r4, %t, 4, %r1;\n  ld.shared.u32 %r5, [%r4];\n"
                                        "  cvt.u64.u32 %x1, %r5;\n"
                                        "  st.global.u64 [%out], %x1;"),
      lanes);
  CHECK_EQUAL(run.result, 0);
  // The matrix counts by rows; it is stored with rows and columns exchanged.
  for (unsigned k = 0; k < 64; k++) CHECK_EQUAL(run.out[k / 2] >> 16 * (k % 2) & 0xffff, k % 8 * 8 + k / 8);
}

TEST(ptx_memory_spaces) {
  const std::string before = R"(
.const .align 4 .u32 primes[4] = {2, 3, 5, 7};
.global .align 8 .u64 where = generic(count);
.global .u32 count = 100;
.shared .align 8 .b8 exchange[256];
)";
  // Through local memory by a generic address, through shared memory to the neighbour, and with a constant.
  const std::string body = R"(  .local .align 8 .b8 mine[16];
  mov.u64 %x0, mine;
  cvta.local.u64 %x0, %x0;
  cvt.u64.u32 %x1, %t;
  st.u64 [%x0+8], %x1;
  ld.local.u64 %x2, [mine+8];
  mov.u32 %r0, exchange;
  shl.b32 %r1, %t, 3;
  add.u32 %r0, %r0, %r1;
  st.shared.u64 [%r0], %x2;
  bar.sync 0;
  xor.b32 %r1, %r1, 8;
  mov.u64 %x3, exchange;
  cvta.shared.u64 %x3, %x3;
  cvt.u64.u32 %x4, %r1;
  add.u64 %x3, %x3, %x4;
  ld.u64 %x5, [%x3];
  and.b32 %r2, %t, 3;
  mul.wide.u32 %x6, %r2, 4;
  mov.u64 %x7, primes;
  add.u64 %x7, %x7, %x6;
  ld.const.u32 %r3, [%x7];
  ld.global.u64 %x6, [where];
  ld.u32 %r4, [%x6];
  mad.lo.u32 %r3, %r3, 1000, %r4;
  cvt.u64.u32 %x6, %r3;
  add.u64 %x5, %x5, %x6;
  isspacep.shared %p0, %x3;
  @!%p0 trap;
  st.global.u64 [%out], %x5;)";
  check_all(run_ptx(ptx_kernel(body, before), numbers(32)), [](uint64_t i) {
    const uint64_t primes[] = {2, 3, 5, 7};
    return (i ^ 1) + primes[i % 4] * 1000 + 100;
  });
  CHECK_EQUAL(run_ptx(ptx_kernel("  mov.u64 %x0, primes; st.u32 [%x0], %t;", before), {1}).result, 719);
  CHECK_CONTAINS(emu::take_reports(), "write of constant memory");
}

TEST(ptx_warp_operations) {
  const std::string load = "  ld.global.u64 %x0, [%in];\n  cvt.u32.u64 %r0, %x0;\n  ";
  const std::string store = "\n  cvt.u64.u32 %x1, %r1;\n  st.global.u64 [%out], %x1;";
  const auto run = [&](const std::string& op) { return run_ptx(ptx_kernel(load + op + store), numbers(32)); };
  check_all(run("shfl.sync.up.b32 %r1, %r0, 3, 0, 0xffffffff;"), [](uint64_t i) { return i < 3 ? i : i - 3; });
  check_all(run("shfl.sync.down.b32 %r1, %r0, 3, 0x181f, 0xffffffff;"), [](uint64_t i) { return i % 8 + 3 < 8 ? i + 3 : i; });
  check_all(run("shfl.sync.bfly.b32 %r1, %r0, 5, 0x1f, 0xffffffff;"), [](uint64_t i) { return i ^ 5; });
  check_all(run("shfl.sync.idx.b32 %r1|%p0, %r0, 33, 0x1f, 0xffffffff; @!%p0 trap;"), [](uint64_t) { return uint64_t{1}; });
  check_all(run("redux.sync.add.s32 %r1, %r0, 0xffffffff;"), [](uint64_t) { return uint64_t{496}; });
  check_all(run("shr.u32 %r2, %r0, 2; match.any.sync.b32 %r1, %r2, 0xffffffff;"), [](uint64_t i) { return uint64_t{15} << (i / 4 * 4); });
  check_all(run("match.all.sync.b32 %r1|%p0, %r0, 0xffffffff; @%p0 trap;"), [](uint64_t) { return uint64_t{0}; });
  check_all(run("setp.lt.u32 %p0, %r0, 9; vote.sync.any.pred %p1, %p0, 0xffffffff; selp.u32 %r1, 1, 0, %p1;"),
            [](uint64_t) { return uint64_t{1}; });
  check_all(run("mov.u32 %r1, %lanemask_lt;"), [](uint64_t i) { return (uint64_t{1} << i) - 1; });
  check_all(run("setp.lt.u32 %p0, %r0, 9; bar.red.popc.u32 %r1, 0, %p0;"), [](uint64_t) { return uint64_t{9}; });
  // The two halves meet at different instructions of the same kind.
  check_all(run("setp.lt.u32 %p0, %r0, 16; @%p0 bra low; shfl.sync.bfly.b32 %r1, %r0, 16, 0x1f, 0xffffffff; bra end;\n"
                "low: shfl.sync.idx.b32 %r1, %r0, 31, 0x1f, 0xffffffff;\nend:"),
            [](uint64_t i) { return i < 16 ? 31 : i ^ 16; });
}

TEST(ptx_atomics) {
  const std::string before = ".global .u32 count = 0;\n.global .align 8 .f64 sum = 0d0000000000000000;\n";
  PtxModule module(ptx_kernel("  atom.global.add.u32 %r0, [count], 2; red.global.max.u32 [count], 5; "
                              "atom.global.add.f64 %d0, [sum], 0d3FE0000000000000;\n"
                              "  atom.global.cas.b32 %r1, [count], 1000, 7; atom.global.inc.u32 %r2, [count], 0xffff;", before));
  Buffer<uint64_t> in(64), out(64);
  void *a = in.data(), *b = out.data();
  void* args[] = {&a, &b};
  emu::LaunchConfig config;
  config.block[0] = 64;
  CHECK_EQUAL(emu::launch(*module.find("test"), args, config), 0);
  void* at;
  size_t bytes;
  CHECK(emu::module_global(module.get(), "sum", &at, &bytes) && bytes == 8);
  double sum;
  std::memcpy(&sum, at, 8);
  CHECK(sum == 32);
  CHECK(emu::module_global(module.get(), "count", &at, &bytes) && bytes == 4);
  uint32_t count;
  std::memcpy(&count, at, 4);
  CHECK_EQUAL(count, 192u);
  CHECK(!emu::module_global(module.get(), "none", &at, &bytes));
}

// A lock that lanes of one warp take in turn: the holder must get on although the others spin at an earlier instruction.
TEST(ptx_spinning_lanes) {
  const std::string body = R"(again:
  atom.global.cas.b32 %r0, [lock], 0, 1;
  setp.ne.u32 %p0, %r0, 0;
  @%p0 bra again;
  ld.volatile.global.u32 %r1, [sum];
  add.u32 %r1, %r1, 1;
  st.volatile.global.u32 [sum], %r1;
  membar.gl;
  atom.global.exch.b32 %r2, [lock], 0;
  cvt.u64.u32 %x0, %r1;
  st.global.u64 [%out], %x0;)";
  for (const char* order : {"sched=fwd", "sched=rev", "sched=rand,seed=5"}) {
    Options options((std::string(order) + ",gridrace=0").c_str());
    const PtxRun run = run_ptx(ptx_kernel(body, ".global .u32 lock = 0;\n.global .u32 sum = 0;\n"), numbers(64));
    CHECK_EQUAL(std::accumulate(run.out.begin(), run.out.end(), uint64_t{0}), uint64_t{64 * 65 / 2});
    emu::take_reports();
  }
}

TEST(ptx_approximations) {
  const std::string body = "  ld.global.u64 %x0, [%in]; cvt.rn.f32.u64 %f0, %x0; rcp.approx.f32 %f1, %f0; mov.b32 %r0, %f1; "
                           "cvt.u64.u32 %x1, %r0; st.global.u64 [%out], %x1;";
  std::vector<uint64_t> in = numbers(200);
  in[0] = 1000;
  const std::vector<uint64_t> exact = run_ptx(ptx_kernel(body), in).out;
  Options options("approx=1");
  const std::vector<uint64_t> off = run_ptx(ptx_kernel(body), in).out, again = run_ptx(ptx_kernel(body), in).out;
  emu::set_options("approx=0");
  int different = 0;
  for (size_t i = 0; i < in.size(); i++) {
    CHECK(std::abs(static_cast<int64_t>(exact[i] - off[i])) <= 2);  // one unit of the exact value's binade
    different += exact[i] != off[i];
  }
  CHECK(different > 20);
  CHECK(off == again);
}

TEST(ptx_refused) {
  const auto error = [](const std::string& text) {
    PtxModule module(text);
    CHECK_EQUAL(module.result(), 218);
    return module.error();
  };
  CHECK_CONTAINS(error(ptx_kernel("  wgmma.fence.sync.aligned;")),
                 "line 19: instruction 'wgmma.fence.sync.aligned' is not one that this device knows (in test)");
  CHECK_CONTAINS(error(ptx_kernel("  add.s32.strange %r0, %r1, %r2;")), "'add.s32.strange'");
  CHECK_CONTAINS(error(ptx_kernel("  add.s32 %r0, %r1, %x2;")), "register %x2 of another width");
  CHECK_CONTAINS(error(ptx_kernel("  add.s32 %r0, %r1;")), "has 2 operands instead of 3");
  CHECK_CONTAINS(error(ptx_kernel("  bra nowhere;")), "there is no label nowhere");
  CHECK_CONTAINS(error(ptx_kernel("  { INSIDE: }\n  bra INSIDE;")), "there is no label INSIDE");
  CHECK_CONTAINS(error(ptx_kernel("  .reg .b32 %a<600000>;\n  .reg .b32 %b<600000>;")), "too many registers");
  CHECK_CONTAINS(error(ptx_kernel("TWICE:\nTWICE:")), "label 'TWICE' is there twice");
  CHECK_CONTAINS(error(ptx_kernel(std::string(1000000, '{'))), "nested too deeply");
  CHECK_CONTAINS(error(ptx_kernel("  add.s32 %r1, " + std::string(1000000, '!') + "%r1;")), "nested too deeply");
  CHECK_CONTAINS(error(ptx_kernel("  mov.u32 %r1, %envreg3;")), "register '%envreg3' is neither declared nor one that this device has");
  CHECK_CONTAINS(error(ptx_kernel("  .reg .b128 %a, %b;\n  add.b128 %a, %a, %b;")), "instruction 'add.b128'");
  CHECK_CONTAINS(error(ptx_kernel("  mov.u32 %r0, unknown;")), "'unknown' is not known");
  CHECK_CONTAINS(error(ptx_kernel("  call strange, ();")), "function strange");
  CHECK_CONTAINS(error(kPtxHead + ".visible .entry test(.param .u64 a) { ret; "), "does not end");
  CHECK_CONTAINS(error(kPtxHead + ".global .u32 x = {1, 2};"), "too many values");
  CHECK_CONTAINS(error(kPtxHead + ".extern .global .u32 x;"), "another module");
  CHECK_CONTAINS(error("// \x01\n\x01"), "unexpected character");
  CHECK_EQUAL(PtxModule(kPtxHead).result(), 0);
}
