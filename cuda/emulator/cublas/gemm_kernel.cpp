// SPDX-License-Identifier: Apache-2.0
// Blocking: a task owns a GROUP x CHUNK part of C and walks k in slices of DEPTH. Per slice it packs its rows of op(A)
// into panels of ROWS and runs the register kernel (ROWS x up to COLUMNS accumulators) over tiles of op(B), which was
// packed once for all tasks. Partial sums wait in an f32 scratch between slices, so slicing changes no bit.
#include "gemm_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <immintrin.h>
#include <new>

#include "gemm_pack.h"

namespace emu::gemm {
namespace {

constexpr int ROWS = 16;    // two AVX registers
constexpr int COLUMNS = 6;  // 12 accumulators + 2 of A + 1 of B: the 16 registers of AVX2
constexpr int GROUP = 64;   // rows of C of one task
constexpr int CHUNK = 240;  // columns of C of one task
constexpr int DEPTH = 256;  // k of one slice: a panel of A (16 KB) stays in the first-level cache
constexpr int64_t SERIAL_WORK = 1 << 17; // multiply-adds below which waking other threads costs more than it gives

// Aligned f32 scratch that only grows.
class Scratch {
public:
  ~Scratch() { std::free(data_); }
  float* get(size_t count) {
    if (count > size_) {
      std::free(data_);
      size_ = (count + 1023) / 1024 * 1024;
      data_ = static_cast<float*>(std::aligned_alloc(64, size_ * sizeof(float)));
      if (!data_) {
        size_ = 0;
        throw std::bad_alloc();
      }
    }
    return data_;
  }

private:
  float* data_ = nullptr;
  size_t size_ = 0;
};

// Columns [0, n) in tiles of at most COLUMNS of nearly equal width: 8 = 4 + 4, not 6 + 2.
struct Tiles {
  explicit Tiles(int64_t n) : n(n), count((n + COLUMNS - 1) / COLUMNS) {}
  int64_t begin(int64_t tile) const { return tile * n / count; }
  int width(int64_t tile) const { return int(begin(tile + 1) - begin(tile)); }
  int64_t n, count;
};

// sum[j * ROWS + i] (+)= sum over p of a[p * ROWS + i] * b[p * N + j], p ascending
template <int N> void kernel(const float* a, const float* b, int depth, bool first, float* sum) {
  __m256 low[N], high[N];
#pragma GCC unroll 8
  for (int j = 0; j < N; j++) {
    low[j] = first ? _mm256_setzero_ps() : _mm256_load_ps(sum + j * ROWS);
    high[j] = first ? _mm256_setzero_ps() : _mm256_load_ps(sum + j * ROWS + 8);
  }
  for (int p = 0; p < depth; p++) {
    __m256 a_low = _mm256_load_ps(a), a_high = _mm256_load_ps(a + 8);
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) {
      __m256 x = _mm256_broadcast_ss(b + j);
      low[j] = _mm256_fmadd_ps(a_low, x, low[j]);
      high[j] = _mm256_fmadd_ps(a_high, x, high[j]);
    }
    a += ROWS;
    b += N;
  }
#pragma GCC unroll 8
  for (int j = 0; j < N; j++) {
    _mm256_store_ps(sum + j * ROWS, low[j]);
    _mm256_store_ps(sum + j * ROWS + 8, high[j]);
  }
}

using Kernel = void (*)(const float*, const float*, int, bool, float*);
constexpr Kernel KERNELS[COLUMNS + 1] = {nullptr, kernel<1>, kernel<2>, kernel<3>, kernel<4>, kernel<5>, kernel<6>};

template <class T>
void pack_columns(int width, const T* b, int64_t ldb, bool contiguous_in_p, int64_t first, int64_t from, int depth,
                  float* out) {
  switch (width) {
  case 1: return pack<1>(b, ldb, contiguous_in_p, first, 1, from, depth, out);
  case 2: return pack<2>(b, ldb, contiguous_in_p, first, 2, from, depth, out);
  case 3: return pack<3>(b, ldb, contiguous_in_p, first, 3, from, depth, out);
  case 4: return pack<4>(b, ldb, contiguous_in_p, first, 4, from, depth, out);
  case 5: return pack<5>(b, ldb, contiguous_in_p, first, 5, from, depth, out);
  default: return pack<6>(b, ldb, contiguous_in_p, first, 6, from, depth, out);
  }
}

inline void put(float* c, float value) { *c = value; }
inline void put(bf16* c, float value) { *c = bf16_from_float(value); }
inline void put(f16* c, float value) { *c = f16_from_float(value); }

template <class C> void store(C* c, float sum, float alpha, float beta) {
  float value = alpha * sum;
  put(c, beta == 0 ? value : std::fma(beta, widen(*c), value));
}

template <class T, class C> class Multiplication {
public:
  Multiplication(const Problem& p, const ParallelFor& parallel_for)
      : p_(p), parallel_for_(parallel_for), tiles_(p.n), slices_((p.k + DEPTH - 1) / DEPTH) {}

  void run() {
    static thread_local Scratch packed; // the caller's; tasks on other threads read it
    packed_b_ = packed.get(size_t(p_.n) * size_t(p_.k));
    bool serial = p_.m * p_.n * p_.k < SERIAL_WORK;
    each(serial, slices_, [this](int slice) { pack_b(slice); });

    int64_t groups = (p_.m + GROUP - 1) / GROUP, chunks = (p_.n + CHUNK - 1) / CHUNK;
    each(serial, groups * chunks, [this, groups](int task) { part(task % groups * GROUP, task / groups); });
  }

private:
  template <class Body> void each(bool serial, int64_t count, const Body& body) {
    if (serial || count == 1) {
      for (int i = 0; i < count; i++) body(i);
    } else {
      parallel_for_(int(count), body);
    }
  }

  int depth(int64_t slice) const { return int(std::min<int64_t>(DEPTH, p_.k - slice * DEPTH)); }

  // slice s of tile t starts at n * (k before the slice) + (columns before the tile) * (depth of the slice)
  float* packed_tile(int64_t slice, int64_t tile) const {
    return packed_b_ + p_.n * slice * DEPTH + tiles_.begin(tile) * depth(slice);
  }

  void pack_b(int64_t slice) {
    for (int64_t t = 0; t < tiles_.count; t++) {
      pack_columns(tiles_.width(t), static_cast<const T*>(p_.b), p_.ldb, !p_.transpose_b, tiles_.begin(t),
                   slice * DEPTH, depth(slice), packed_tile(slice, t));
    }
  }

  // rows [row, row + GROUP) of C, columns of the tiles that begin in chunk number `chunk`
  void part(int64_t row, int64_t chunk) {
    static thread_local Scratch panel_scratch, sum_scratch;
    int rows = int(std::min<int64_t>(GROUP, p_.m - row)), panels = (rows + ROWS - 1) / ROWS;
    int64_t tile_begin = first_tile(chunk), tile_end = first_tile(chunk + 1);
    int64_t column = tiles_.begin(tile_begin);
    int64_t columns = tile_end == tiles_.count ? p_.n - column : tiles_.begin(tile_end) - column;
    float* panel = panel_scratch.get(ROWS * DEPTH);
    float* sums = sum_scratch.get(size_t(panels) * ROWS * columns);

    for (int64_t slice = 0; slice < slices_; slice++) {
      for (int q = 0; q < panels; q++) {
        pack<ROWS>(static_cast<const T*>(p_.a), p_.lda, p_.transpose_a, row + q * ROWS,
                   std::min(ROWS, rows - q * ROWS), slice * DEPTH, depth(slice), panel);
        float* sum = sums + q * ROWS * columns;
        for (int64_t t = tile_begin; t < tile_end; t++) {
          KERNELS[tiles_.width(t)](panel, packed_tile(slice, t), depth(slice), slice == 0,
                                   sum + (tiles_.begin(t) - column) * ROWS);
        }
      }
    }
    for (int q = 0; q < panels; q++) {
      int here = std::min(ROWS, rows - q * ROWS);
      for (int64_t j = 0; j < columns; j++) {
        C* c = static_cast<C*>(p_.c) + (column + j) * p_.ldc + row + q * ROWS;
        const float* sum = sums + (q * columns + j) * ROWS;
        for (int i = 0; i < here; i++) store(c + i, sum[i], p_.alpha, p_.beta);
      }
    }
  }

  int64_t first_tile(int64_t chunk) const {
    int64_t chunks = (p_.n + CHUNK - 1) / CHUNK;
    return tiles_.count * chunk / chunks;
  }

  const Problem& p_;
  const ParallelFor& parallel_for_;
  Tiles tiles_;
  int64_t slices_;
  float* packed_b_ = nullptr;
};

// C = beta * C, which is all that is left when alpha or k is 0
template <class C> void scale(const Problem& p) {
  for (int64_t j = 0; j < p.n; j++) {
    C* c = static_cast<C*>(p.c) + j * p.ldc;
    for (int64_t i = 0; i < p.m; i++) store(c + i, 0.f, 0.f, p.beta);
  }
}

// Calls body with a null pointer to the type.
template <class Body> void with(Type type, const Body& body) {
  switch (type) {
  case Type::F32: return body(static_cast<float*>(nullptr));
  case Type::BF16: return body(static_cast<bf16*>(nullptr));
  case Type::F16: return body(static_cast<f16*>(nullptr));
  }
}

} // namespace

void multiply(const Problem& p, const ParallelFor& parallel_for) {
  if (p.m == 0 || p.n == 0) return;
  if (p.k == 0 || p.alpha == 0) {
    with(p.type_c, [&]<class C>(C*) { scale<C>(p); });
  } else if (p.type_c == Type::F32) {
    with(p.type_ab, [&]<class T>(T*) { Multiplication<T, float>(p, parallel_for).run(); });
  } else {
    with(p.type_ab, [&]<class T>(T*) { Multiplication<T, T>(p, parallel_for).run(); });
  }
}

} // namespace emu::gemm
