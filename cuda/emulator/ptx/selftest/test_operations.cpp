// SPDX-License-Identifier: Apache-2.0
// Single instructions on chosen values.
#include <cmath>

#include "ptx_text.h"

using namespace selftest;

namespace {

uint64_t f32(float x) {
  uint32_t b;
  std::memcpy(&b, &x, 4);
  return b;
}
uint64_t f64(double x) {
  uint64_t b;
  std::memcpy(&b, &x, 8);
  return b;
}

struct Case {
  const char* body;  // from %x0 (the input; %r0 and %f0 are its lower half) to %x1
  uint64_t in, out;
};

// What the body needs: the input in registers of all widths; and how a 32-bit result gets into %x1.
std::string wrapped(const std::string& body) {
  const bool narrow = body.find("%r1,") != std::string::npos, real = body.find("%f1,") != std::string::npos;
  const bool wide_real = body.find("%d1,") != std::string::npos;
  return ptx_kernel("  ld.global.u64 %x0, [%in];\n  cvt.u32.u64 %r0, %x0;\n  mov.b32 %f0, %r0;\n  mov.b64 %d0, %x0;\n"
                    "  cvt.u16.u32 %h0, %r0;\n  " + body +
                    (narrow ? "\n  cvt.u64.u32 %x1, %r1;" : real ? "\n  mov.b32 %r2, %f1;\n  cvt.u64.u32 %x1, %r2;" :
                     wide_real ? "\n  mov.b64 %x1, %d1;" : "") +
                    "\n  st.global.u64 [%out], %x1;");
}

void check_cases(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const PtxRun run = run_ptx(wrapped(c.body), {c.in});
    if (run.result != 0 || run.out[0] != c.out) {
      char text[300];
      std::snprintf(text, sizeof text, "%s: of %#lx is %#lx, expected %#lx (result %d)", c.body, c.in, run.out[0], c.out, run.result);
      fail(__FILE__, __LINE__, text);
    }
  }
}

}  // namespace

TEST(ptx_integers) {
  check_cases({
      {"add.s32 %r1, %r0, 5;", 0xffffffff, 4},
      {"sub.s64 %x1, %x0, 1;", 0, ~0ull},
      {"mul.lo.u32 %r1, %r0, %r0;", 0x10001, 0x20001},
      {"mul.hi.s32 %r1, %r0, -2;", 0x80000000, 1},
      {"mul.hi.u64 %x1, %x0, %x0;", ~0ull, ~0ull - 1},
      {"mul.wide.s32 %x1, %r0, %r0;", 0x80000000, 1ull << 62},
      {"mad.lo.s32 %r1, %r0, 3, 7;", 10, 37},
      {"mad.wide.u32 %x1, %r0, %r0, %x0;", 0xffffffff, 0xffffffffull * 0xffffffffull + 0xffffffffull},
      {"mul24.lo.s32 %r1, %r0, 2;", 0x00ffffff, 0xfffffffe},
      {"div.s32 %r1, %r0, 7;", 0xffffff9c, static_cast<uint32_t>(-14)},
      {"rem.s32 %r1, %r0, 7;", 0xffffff9c, static_cast<uint32_t>(-2)},
      {"div.u64 %x1, %x0, 10;", ~0ull, ~0ull / 10},
      {"sad.s32 %r1, %r0, 5, 100;", 0xfffffffd, 108},
      {"abs.s32 %r1, %r0;", 0xfffffff0, 16},
      {"min.s32 %r1, %r0, 3;", 0xffffffff, 0xffffffff},
      {"max.u32 %r1, %r0, 3;", 0xffffffff, 0xffffffff},
      {"popc.b64 %r1, %x0;", 0xf0f0f0f0f0f0f0f0, 32},
      {"clz.b32 %r1, %r0;", 0x00010000, 15},
      {"clz.b64 %r1, %x0;", 0, 64},
      {"bfind.u32 %r1, %r0;", 0x00010000, 16},
      {"bfind.s32 %r1, %r0;", 0xffffffff, 0xffffffff},
      {"bfind.shiftamt.u32 %r1, %r0;", 0x00010000, 15},
      {"brev.b32 %r1, %r0;", 0x1, 0x80000000},
      {"bfe.u32 %r1, %r0, 8, 8;", 0xabcdef12, 0xef},
      {"bfe.s32 %r1, %r0, 8, 8;", 0xabcdef12, 0xffffffef},
      {"bfe.s32 %r1, %r0, 28, 10;", 0xabcdef12, 0xfffffffa},
      {"bfi.b32 %r1, %r0, 0, 8, 16;", 0xabcdef12, 0x00ef1200},
      {"shl.b32 %r1, %r0, 32;", 1, 0},
      {"bmsk.clamp.b32 %r1, %r0, 8;", 4, 0xff0},
      {"bmsk.clamp.b32 %r1, %r0, 40;", 28, 0xf0000000},
      {"bmsk.wrap.b32 %r1, %r0, 33;", 36, 0x10},
      {"szext.clamp.s32 %r1, %r0, 8;", 0x1f0, 0xfffffff0},
      {"szext.wrap.u32 %r1, %r0, 40;", 0x1f0, 0xf0},
      {"fns.b32 %r1, %r0, 3, 2;", 0x38, 4},
      {"fns.b32 %r1, %r0, 31, -1;", 0x38, 5},
      {"fns.b32 %r1, %r0, 3, 4;", 0x38, 0xffffffff},
      {"fns.b32 %r1, %r0, 3, 0;", 0x38, 3},
      {"dp2a.lo.s32.s32 %r1, %r0, %r0, 10;", 0x00020103, 10 + 0x0103 * 3 + 2},
      {"dp2a.hi.u32.u32 %r1, %r0, %r0, 0;", 0x00020003, 6},
      {"vabsdiff4.u32.u32.u32 %r1, %r0, 0x10203040, 0;", 0x40302010, 0x30101030},
      {"vabsdiff2.u32.u32.u32.add %r1, %r0, 0x00010005, 100;", 0x00030001, 106},
      {"vadd4.s32.s32.s32.sat %r1, %r0, %r0, 0;", 0x7f80017f, 0x7f80027f},
      {"vavrg4.u32.u32.u32 %r1, %r0, 0, 0;", 0xff030200, 0x80020100},
      {"max.s16x2.relu %r1, %r0, 0xfff00002;", 0xfffe0001, 2},
      {"min.relu.s32 %r1, %r0, 9;", 0xffffff00, 0},
      {"min.relu.s32 %r1, %r0, 9;", 7, 7},
      {"shr.s32 %r1, %r0, 40;", 0x80000000, 0xffffffff},
      {"shr.u64 %x1, %x0, 63;", 1ull << 63, 1},
      {"shf.l.wrap.b32 %r1, %r0, %r0, 8;", 0x12345678, 0x34567812},
      {"shf.r.clamp.b32 %r1, %r0, 7, 40;", 0x12345678, 7},
      {"lop3.b32 %r1, %r0, 0x0f0f0f0f, 0x00ff00ff, 0xe8;", 0x33333333, 0x033f033f},  // the majority
      {"prmt.b32 %r1, %r0, 0x99aabbcc, 0x7410;", 0x11223384, 0x99cc3384},
      {"prmt.b32 %r1, %r0, 0, 0x8888;", 0x84, 0xffffffff},
      {"not.b32 %r1, %r0;", 0xf0, 0xffffff0f},
      {"cnot.b32 %r1, %r0;", 0, 1},
      {"dp4a.s32.s32 %r1, %r0, 0x01010101, 10;", 0xff02ff03, 13},
      {"add.u16x2 %r1, %r0, 0x0001ffff;", 0x00050002, 0x00060001},
      {"max.s16x2 %r1, %r0, 0x00010001;", 0xffff0002, 0x00010002},
      {"slct.u32.s32 %r1, 1, 2, %r0;", 0xffffffff, 2},
      {"set.lt.u32.s32 %r1, %r0, 0;", 0xffffffff, 0xffffffff},
  });
}

TEST(ptx_carries) {
  check_cases({
      {"add.cc.u64 %x2, %x0, 1; addc.u64 %x1, 5, 0;", ~0ull, 6},
      {"add.cc.u32 %r3, %r0, 1; addc.cc.u32 %r4, 0xffffffff, 0; addc.u32 %r1, 0, 0;", 0xffffffff, 1},
      {"sub.cc.u64 %x2, %x0, 1; subc.u64 %x1, 5, 0;", 0, 4},
      {"sub.cc.u64 %x2, %x0, 1; subc.u64 %x1, 5, 0;", 1, 5},
      {"sub.cc.u32 %r3, %r0, 5; addc.u32 %r1, 0, 0;", 4, 0},  // a borrow is no carry
      {"sub.cc.u32 %r3, %r0, 5; addc.u32 %r1, 0, 0;", 5, 1},
      {"add.cc.u32 %r3, %r0, 1; subc.u32 %r1, 5, 0;", 4, 4},
      {"mad.lo.cc.u32 %r3, %r0, %r0, 1; madc.hi.u32 %r1, %r0, %r0, 0;", 0xffffffff, 0xfffffffe},
  });
}

TEST(ptx_floats) {
  check_cases({
      {"add.rz.f32 %f1, %f0, 0f33800000;", f32(1), f32(1)},
      {"add.rp.f32 %f1, %f0, 0f33800000;", f32(1), f32(std::nextafter(1.f, 2.f))},
      {"fma.rn.f32 %f1, %f0, %f0, 0fBF800000;", f32(1 + 0x1p-12f), f32(std::fma(1 + 0x1p-12f, 1 + 0x1p-12f, -1.f))},
      {"add.sat.f32 %f1, %f0, %f0;", f32(0.75f), f32(1)},
      {"mul.ftz.f32 %f1, %f0, 0f3F000000;", f32(0x1p-126f), f32(0)},
      {"min.f32 %f1, %f0, 0f7FC00000;", f32(3), f32(3)},
      {"max.f32 %f1, %f0, 0f80000000;", f32(0), f32(0)},
      {"copysign.f32 %f1, %f0, 0f40400000;", f32(-0.f), f32(-3)},
      {"sqrt.rn.f32 %f1, %f0;", f32(2), f32(std::sqrt(2.f))},
      {"rcp.rn.f32 %f1, %f0;", f32(3), f32(1 / 3.f)},
      {"rsqrt.approx.f32 %f1, %f0;", f32(4), f32(0.5f)},
      {"ex2.approx.ftz.f32 %f1, %f0;", f32(-3), f32(0.125f)},
      {"lg2.approx.f32 %f1, %f0;", f32(8), f32(3)},
      {"rcp.approx.ftz.f64 %d1, %d0;", f64(4), f64(0.25)},
      {"div.rn.f64 %d1, %d0, 0d4008000000000000;", f64(1), f64(1 / 3.0)},
      {"fma.rn.f64 %d1, %d0, %d0, 0dBFF0000000000000;", f64(3), f64(8)},
      {"testp.infinite.f32 %p0, %f0; selp.u32 %r1, 7, 8, %p0;", f32(INFINITY), 7},
      {"setp.ltu.f32 %p0, %f0, 0f00000000; selp.u32 %r1, 7, 8, %p0;", f32(NAN), 7},
      {"mov.pred %p2, 0; setp.lt.and.f32 %p0|%p1, %f0, 0f3F800000, !%p2; selp.u32 %r1, 7, 8, %p0;", f32(NAN), 8},
  });
}

TEST(ptx_pairs_of_floats) {
  const auto pair = [](float low, float high) { return f32(low) | f32(high) << 32; };
  check_cases({
      {"add.rn.f32x2 %x1, %x0, %x0;", pair(1.5f, -2), pair(3, -4)},
      {"fma.rn.f32x2 %x1, %x0, %x0, %x0;", pair(2, 3), pair(6, 12)},
      {"mul.rz.ftz.f32x2 %x1, %x0, %x0;", pair(1 + 0x1p-23f, 0x1p-127f), pair(1 + 0x1p-22f, 0)},
  });
}

TEST(ptx_8_bit_floats) {
  check_cases({
      {"cvt.rn.satfinite.e4m3x2.f32 %h1, %f0, 0f3f800000; cvt.u32.u16 %r1, %h1;", f32(-1000), 0xfe38},
      {"cvt.rn.satfinite.e5m2x2.f16x2 %h1, %r0; cvt.u32.u16 %r1, %h1;", 0x3c017bff, 0x3c7b},
      {"cvt.rn.satfinite.relu.e5m2x2.f16x2 %h1, %r0; cvt.u32.u16 %r1, %h1;", 0xbc003c00, 0x003c},
      {"cvt.rn.f16x2.e4m3x2 %r1, %h0;", 0x7f39, 0x7fff3c80},
      {"cvt.rn.relu.f16x2.e5m2x2 %r1, %h0;", 0xbc7c, 0x00007c00},
      {"cvt.rna.tf32.f32 %r1, %f0;", 0x3f801000, 0x3f802000},
      {"cvt.rn.tf32.f32 %r1, %f0;", 0x3f801000, 0x3f800000},
  });
}

TEST(ptx_conversions) {
  check_cases({
      {"cvt.rzi.s64.f32 %x1, %f0;", 0x7fc00000, 1ull << 63},
      {"cvt.rzi.u32.f64 %r1, %d0;", 0x7ff8000000000000, 0x80000000},
      {"cvt.rzi.s32.f32 %r1, %f0;", 0x7fc00000, 0},
      {"cvt.rzi.s32.f32 %r1, %f0;", f32(-2.7f), static_cast<uint32_t>(-2)},
      {"cvt.rni.s32.f32 %r1, %f0;", f32(2.5f), 2},
      {"cvt.rpi.u32.f32 %r1, %f0;", f32(1e20f), 0xffffffff},
      {"cvt.rzi.s32.f32 %r1, %f0;", f32(NAN), 0},
      {"cvt.s64.s8 %x1, %r0;", 0x80, static_cast<uint64_t>(-128)},
      {"cvt.u16.s32 %h1, %r0; cvt.s32.s16 %r1, %h1;", 0x1ffff, 0xffffffff},
      {"cvt.sat.u8.s32 %r1, %r0;", 0xffffff00, 0},
      {"cvt.rn.f32.u64 %f1, %x0;", ~0ull, f32(0x1p64f)},
      {"cvt.rm.f32.f64 %f1, %d0;", f64(1.1), f32(std::nextafter(1.1f, 0.f))},
      {"cvt.rn.f16.f32 %h1, %f0; cvt.u32.u16 %r1, %h1;", f32(1 + 0x1p-11f), 0x3c00},
      {"cvt.f32.f16 %f1, %h0;", 0x3555, f32(0.333251953125f)},
      {"cvt.rn.bf16.f32 %h1, %f0; cvt.u32.u16 %r1, %h1;", f32(1 + 0x1.8p-8f), 0x3f81},
      {"cvt.rn.bf16x2.f32 %r1, %f0, 0f40000000;", f32(1), 0x3f804000},
      {"cvt.rn.f16x2.f32 %r1, %f0, 0f40000000;", f32(1), 0x3c004000},
      {"cvt.rmi.f32.f32 %f1, %f0;", f32(-1.5f), f32(-2)},
      {"cvt.sat.f32.f32 %f1, %f0;", f32(-1.5f), f32(0)},
      {"mov.b32 {%h1, %h2}, %r0; mov.b32 %r1, {%h2, %h1};", 0x12345678, 0x56781234},
      {"mov.b64 {%r3, %r4}, %x0; add.u32 %r1, %r4, 0;", 0x1122334455667788, 0x11223344},
  });
}

TEST(ptx_halves) {
  check_cases({
      {"add.f16x2 %r1, %r0, %r0;", 0x3c004000, 0x40004400},
      {"fma.rn.f16 %h1, %h0, %h0, %h0; cvt.u32.u16 %r1, %h1;", 0x4000, 0x4600},
      {"mul.bf16x2 %r1, %r0, %r0;", 0x40003f80, 0x40803f80},
      {"mov.b16 %h2, 0xbc00; max.f16 %h1, %h0, %h2; cvt.u32.u16 %r1, %h1;", 0x3c00, 0x3c00},
      {"set.gt.f16x2.f16x2 %r1, %r0, 0x3c003c00;", 0x40003800, 0x3c000000},
      {"set.eq.u32.bf16x2 %r1, %r0, %r0;", 0x3f807fff, 0xffff0000},
      {"neg.f16x2 %r1, %r0;", 0x3c00bc00, 0xbc003c00},
      {"mov.b16 %h3, 0xbc00; setp.gt.f16 %p0, %h0, %h3; selp.u32 %r1, 1, 2, %p0;", 0x3c00, 1},
  });
}
