// SPDX-License-Identifier: Apache-2.0
// ldmatrix, stmatrix and mma: PTX ISA, "Matrix Fragments for mma.m16n8k16" and its neighbours.
#include <algorithm>
#include <cstring>

#include "half.h"
#include "matrix.h"
#include "memory.h"
#include "operations.h"

namespace emu::ptx {
namespace {

// ---- ldmatrix.sync.aligned.m8n8.xN[.trans].shared.b16 {r...}, [row]
void load_matrix(Meeting& m) {
  const Part& p = m.part[0];
  const Ins& i = *p.i;
  const unsigned tiles = i.detail[1];
  uint64_t address[kWarpSize];
  addresses_of(p.c, i, i.o[tiles], address);
  uint16_t tile[4][8][8];
  for (unsigned t = 0; t < tiles; t++) {
    uint32_t banks = 0;
    for (unsigned r = 0; r < 8; r++) {
      const char* row = reach(p.c, i, t * 8 + r, static_cast<Space>(i.detail[0]), address[t * 8 + r], 16, Access::kRead);
      std::memcpy(tile[t][r], row, 16);
      const uint32_t bank = 1u << (reinterpret_cast<uintptr_t>(row) >> 4 & 7);
      m.machine.worker.stats.ldmatrix_conflicts += (banks & bank) != 0;
      banks |= bank;
    }
  }
  for (unsigned t = 0; t < tiles; t++) {
    uint32_t* d = values<uint32_t>(p.c, i.o[t]);
    for (unsigned l = 0; l < kWarpSize; l++) {
      const unsigned g = l / 4, q = 2 * (l % 4);
      d[l] = i.detail[2] ? tile[t][q][g] | static_cast<uint32_t>(tile[t][q + 1][g]) << 16
          : tile[t][g][q] | static_cast<uint32_t>(tile[t][g][q + 1]) << 16;
    }
  }
  m.machine.worker.stats.ldmatrix++;
}

// ---- stmatrix.sync.aligned.m8n8.xN[.trans].shared.b16 [row], {r...}
void store_matrix(Meeting& m) {
  const Part& p = m.part[0];
  const Ins& i = *p.i;
  uint64_t address[kWarpSize];
  addresses_of(p.c, i, i.o[0], address);
  for (unsigned t = 0; t < i.detail[1]; t++) {
    const uint32_t* s = values<uint32_t>(p.c, i.o[1 + t]);
    uint16_t tile[8][8];
    for (unsigned l = 0; l < kWarpSize; l++)
      for (unsigned h = 0; h < 2; h++) {
        const unsigned g = l / 4, q = 2 * (l % 4) + h;
        (i.detail[2] ? tile[q][g] : tile[g][q]) = static_cast<uint16_t>(s[l] >> 16 * h);
      }
    for (unsigned r = 0; r < 8; r++) {
      char* row = reach(p.c, i, t * 8 + r, static_cast<Space>(i.detail[0]), address[t * 8 + r], 16, Access::kWrite);
      std::memcpy(row, tile[r], 16);
    }
  }
}

template <bool kStore>
void make_ldmatrix(Decoder& d) {
  if (!d.take("sync") || !d.take("aligned") || !d.take("m8n8") || !d.take("b16")) d.unknown();
  const int n = d.take_one({"x1", "x2", "x4"});
  d.out.detail[2] = d.take("trans");
  const Space space = take_space(d);
  if (n < 0 || (space != Space::kShared && space != Space::kGeneric)) d.unknown();
  const unsigned tiles = 1u << n;
  d.out.flow = Flow::kMeet;
  d.out.meet = kStore ? &store_matrix : &load_matrix;
  d.out.aligned = true;
  d.out.detail[0] = static_cast<uint8_t>(space);
  d.out.detail[1] = static_cast<uint8_t>(tiles);
  d.done(2);
  const Arg& list = d.arg(kStore);
  const std::vector<Arg> parts = list.form == Arg::kVector ? list.parts : std::vector<Arg>{list};
  if (parts.size() != tiles) d.refuse("'" + std::string(d.base()) + "' with another number of registers");
  if (kStore) d.address(d.arg(0));
  for (const Arg& a : parts) kStore ? d.source(a, kU32) : d.result(a, 32);
  if (!kStore) d.address(d.arg(1));
}

// ---- mma.sync.aligned.m16n8kK.row.col.D.A.B.C d, a, b, c with K 8 or 16: 16-bit floats, sums in f32 or f16. Other types: matrix_types.cpp
//
// detail: [0] K, [1] sums in f16
template <class H>
void multiply(Meeting& m) {
  const Part& p = m.part[0];
  const Ins& i = *p.i;
  const int depth = i.detail[0];
  const bool half_sums = i.detail[1];
  const int na = depth / 4, nb = depth / 8, nc = half_sums ? 2 : 4;
  const Operand *od = i.o, *oa = od + nc, *ob = oa + na, *oc = ob + nb;
  alignas(32) float a[16][16], b[16][8], c[16][8];
  const auto low = [](uint32_t v) { return H::widen({static_cast<uint16_t>(v)}); };
  const auto high = [](uint32_t v) { return H::widen({static_cast<uint16_t>(v >> 16)}); };
  for (unsigned l = 0; l < kWarpSize; l++) {
    const unsigned g = l / 4, q = 2 * (l % 4);
    for (int r = 0; r < na; r++) {
      const uint32_t v = values<uint32_t>(p.c, oa[r])[l];
      const unsigned row = g + 8 * (r & 1), column = q + 8 * (static_cast<unsigned>(r) >> 1);
      a[row][column] = low(v), a[row][column + 1] = high(v);
    }
    for (int r = 0; r < nb; r++) {
      const uint32_t v = values<uint32_t>(p.c, ob[r])[l];
      b[q + 8 * static_cast<unsigned>(r)][g] = low(v), b[q + 8 * static_cast<unsigned>(r) + 1][g] = high(v);
    }
    for (int r = 0; r < nc; r++) {
      const uint32_t v = values<uint32_t>(p.c, oc[r])[l];
      if (half_sums) {
        c[g + 8 * r][q] = low(v), c[g + 8 * r][q + 1] = high(v);
      } else {
        std::memcpy(&c[g + 8 * (r >> 1)][q + static_cast<unsigned>(r & 1)], &v, 4);
      }
    }
  }
  const uint64_t choice = options().mma;
  const SumOrder order = order_of(choice, depth);
  for (int x = 0; x < 16; x++)
    for (int y = 0; y < 8; y++) {
      if (choice == 3) {  // exact products, one sum in f64, rounded once
        double s = c[x][y];
        for (int k = 0; k < depth; k++) s += static_cast<double>(a[x][k]) * b[k][y];
        c[x][y] = static_cast<float>(s);
        continue;
      }
      float s = c[x][y];
      for (int k = 0; k < depth; k++) s = __builtin_fmaf(a[x][order.k[k]], b[order.k[k]][y], s);
      c[x][y] = s;
    }
  for (unsigned l = 0; l < kWarpSize; l++) {
    const unsigned g = l / 4, q = 2 * (l % 4);
    for (int r = 0; r < nc; r++) {
      uint32_t v;
      if (half_sums) v = H::narrow(c[g + 8 * r][q]).bits | static_cast<uint32_t>(H::narrow(c[g + 8 * r][q + 1]).bits) << 16;
      else std::memcpy(&v, &c[g + 8 * (r >> 1)][q + static_cast<unsigned>(r & 1)], 4);
      values<uint32_t>(p.c, od[r])[l] = v;
    }
  }
  m.machine.worker.stats.mma++;
}

void make_mma(Decoder& d) {
  if (!d.take("sync") || !d.take("aligned") || !d.take("row") || !d.take("col")) d.unknown();
  const Element tc = take_element(d), tb = take_element(d), ta = take_element(d), td = take_element(d);
  const bool bf = ta == Element::kBrain, half_sums = td == Element::kHalf;
  if (ta != Element::kHalf && !bf) return make_typed_mma(d, td, ta, tb, tc);
  const int shape = d.take_one({"m16n8k8", "m16n8k16"});
  if (shape < 0 || tb != ta || tc != td || (!half_sums && td != Element::kF32) || (bf && half_sums)) d.unknown();
  const int depth = shape == 0 ? 8 : 16;
  d.out.flow = Flow::kMeet;
  d.out.meet = bf ? &multiply<Brain> : &multiply<Half>;
  d.out.aligned = true;
  d.out.detail[0] = static_cast<uint8_t>(depth);
  d.out.detail[1] = half_sums;
  d.done(4);
  const size_t counts[] = {half_sums ? 2u : 4u, static_cast<size_t>(depth) / 4, static_cast<size_t>(depth) / 8, half_sums ? 2u : 4u};
  for (size_t k = 0; k < 4; k++) {
    const std::vector<Arg> parts = d.arg(k).form == Arg::kVector ? d.arg(k).parts : std::vector<Arg>{d.arg(k)};
    if (parts.size() != counts[k]) d.refuse("mma with another number of registers");
    for (const Arg& a : parts) {
      if (k == 0) d.result(a, 32);
      else d.source(a, kU32);
    }
  }
}

}  // namespace

const Table& matrix_operations() {
  static const Table table = {
      {"ldmatrix", make_ldmatrix<false>}, {"stmatrix", make_ldmatrix<true>}, {"mma", make_mma}, {"wmma", make_wmma}};
  return table;
}

}  // namespace emu::ptx
