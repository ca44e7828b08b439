// SPDX-License-Identifier: Apache-2.0
// The matrix w [n, k] of a skinny product (skinny.cuh): how a unit of it, 128 rows by 64 of k, comes into a stage of shared memory and from
// there into the tensor cores. Three forms:
//
// Dense   numbers of T, the activations' type (bf16 or f16), row by row; ldmatrix.
// Fp8     E4M3, one byte per weight.        weight = code * scale
// Int4    four bits per weight.             weight = (code - zero) * scale
//
// Packed  Fp8 and Int4 are laid out for the tensor cores when they are loaded, unit after unit (tile by tile, chunk by chunk), zeros where
//         n or k end: what a thread multiplies lies together, so a unit is copied as it is and decoded in registers, without ldmatrix.
//         Codes become T exactly, whatever their scales; 16 of k are multiplied at a time and their sum, in f32, is scaled.
//         2^shift of k share a scale, 32 or more: scales f32 and zeros u8 [groups, tiles * 128]; zeros null: all are 8.
// Order   of a unit: its 4 steps of k, in each thread by thread; t holds of its A fragment the rows 16 (t / 32) + t % 32 / 4 + 8 (r % 2)
//         and the columns 16 step + 2 (t % 4) + 8 (r / 2) + j, for register r of 4 and j of 2; where they lie is said at each code.
// Bits    All of it is a function of w alone: a row of x gives the same bits at every M.
#pragma once
#include "dvl.cuh"
#include "e4m3.cuh"

namespace dvl {

constexpr int kSkinnyThreads = 256;
constexpr int kTile = 128;  // rows of w, columns of y
constexpr int kChunk = 64;  // of k: a line of 128 bytes

// Tile t holds the rows 128 t .. of w; if Paired, 64 t .. of its first half and then of its second: what belongs together (gate and
// up) is in one tile.
template <bool Paired>
__device__ __forceinline__ int weight_row(int tile, int i, int n) {
  if constexpr (!Paired) return tile * kTile + i;
  const int row = tile * (kTile / 2) + (i & (kTile / 2 - 1));
  return row < n / 2 ? row + (i >= kTile / 2 ? n / 2 : 0) : n;
}

template <bool Paired>
__device__ __forceinline__ int tiles_of(int n) {
  return Paired ? (n / 2 + kTile / 2 - 1) / (kTile / 2) : (n + kTile - 1) / kTile;
}

// Address of a 16-byte piece in an operand's [rows][kChunk] of a stage.
__device__ __forceinline__ unsigned char* piece_at(unsigned char* operand, int row, int piece) {
  return operand + row * (kChunk * 2) + ((piece ^ (row & 7)) << 4);
}

template <class T>
struct DenseWeights {
  const T* at;

  template <int M>
  static constexpr int kStages = M <= 32 ? 4 : 3;  // 99 KB are all that sm_86 and sm_89 have
  template <int M>
  static constexpr int kPartsAtOnce = M <= 32 ? 4 : 2;  // when blocks' sums are added up, as registers go
  static constexpr int kUnitBytes = kTile * kChunk * 2;
  static constexpr int kUnitLines = kTile;

  template <bool Paired>
  __device__ __forceinline__ void fetch(unsigned char* stage, int n, int k, int tile, int chunk) const {
    const int piece = int(threadIdx.x) % 8;
    const int from = chunk * kChunk + piece * 8;
#pragma unroll
    for (int i = 0; i < kTile / (kSkinnyThreads / 8); i++) {
      const int line = int(threadIdx.x) / 8 + i * (kSkinnyThreads / 8);
      const int row = weight_row<Paired>(tile, line, n);
      const bool inside = row < n && from < k;
      cp_async16_once(piece_at(stage, line, piece), inside ? at + int64_t(row) * k + from : at, inside);
    }
  }

  template <bool Paired>
  __device__ __forceinline__ void prefetch(int n, int k, int tile, int chunk, int line) const {
    const int row = weight_row<Paired>(tile, line, n);
    if (row < n) prefetch_line(at + int64_t(row) * k + chunk * kChunk);
  }

  template <int M>
  __device__ __forceinline__ void multiply(unsigned char* w, unsigned char* x, float (&sum)[M / 8][4]) const {
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int half = 0; half < 2; half++) {  // 32 of k
      uint32_t a[2][4];
#pragma unroll
      for (int s = 0; s < 2; s++) ldmatrix_x4<false>(a[s], piece_at(w, warp * 16 + lane % 16, half * 4 + s * 2 + lane / 16));
#pragma unroll
      for (int m = 0; m < M / 8; m++) {
        uint32_t b[4];
        ldmatrix_x4<false>(b, piece_at(x, m * 8 + lane % 8, half * 4 + lane / 8));
        mma<T>(sum[m], a[0], b[0], b[1]);
        mma<T>(sum[m], a[1], b[2], b[3]);
      }
    }
  }
};

// Four bits per weight. A thread's codes of a step are one word, register r's pair at the bits 4 r and 16 + 4 r.
template <class Number>
struct Int4Code {
  using T = Number;
  using Codes = uint32_t;
  static constexpr bool kZeros = true;
  static constexpr uint32_t kBase = kIsF16<T> ? 0x64006400u : 0x43004300u;  // a pair of 1024, of 128: where the last place is 1
  static constexpr uint32_t kOne = kIsF16<T> ? 0x3c003c00u : 0x3f803f80u;

  // -(base + zero) as a pair
  static __device__ __forceinline__ uint32_t offset_of(unsigned zero) { return (kBase | 0x80008000u) + zero * 0x00010001u; }

  // The bits of base + code are those of the base with the code in the lowest places.
  static __device__ __forceinline__ void decode(Codes codes, const uint32_t (&offset)[2], uint32_t (&a)[4]) {
#pragma unroll
    for (int r = 0; r < 4; r++) a[r] = fma_pair<T>((codes >> 4 * r & 0x000f000fu) | kBase, kOne, offset[r & 1]);
  }
};

// E4M3. A thread's codes of a step are two words: word r / 2 has the pair of an even r in the bytes 1 and 3, of an odd r in 0 and 2.
template <class Number>
struct Fp8Code {
  using T = Number;
  using Codes = uint2;
  static constexpr bool kZeros = false;

  static __device__ __forceinline__ void decode(const Codes& codes, const uint32_t (&)[2], uint32_t (&a)[4]) {
    a[0] = widened_codes<T>(codes.x), a[1] = widened_codes<T>(codes.x << 8);
    a[2] = widened_codes<T>(codes.y), a[3] = widened_codes<T>(codes.y << 8);
  }
};

template <class Code>
struct PackedWeights {
  using T = typename Code::T;
  const unsigned char* codes;
  const float* scales;
  const unsigned char* zeros;
  int shift;  // 2^shift of k have one scale, 32 or more

  static constexpr int kCodeBytes = kChunk / 16 * kSkinnyThreads * int(sizeof(typename Code::Codes));
  static constexpr int kScales = kCodeBytes;                               // f32 [2 halves][kTile]
  static constexpr int kZeros = kScales + 2 * kTile * int(sizeof(float));  // u8 [2 halves][kTile]
  static constexpr int kUnitBytes = kZeros + (Code::kZeros ? 2 * kTile : 0);
  static constexpr int kUnitLines = kCodeBytes / 128;
  template <int M>
  static constexpr int kStages = M <= 32 ? 6 : 4;  // smaller than dense ones, so more of them
  template <int M>
  static constexpr int kPartsAtOnce = M == 16 ? 2 : M <= 32 ? 4 : 1;

  __device__ __forceinline__ const unsigned char* unit(int k, int tile, int chunk) const {
    return codes + (int64_t(tile) * ((k + kChunk - 1) / kChunk) + chunk) * kCodeBytes;
  }

  template <bool Paired>
  __device__ __forceinline__ void fetch(unsigned char* stage, int n, int k, int tile, int chunk) const {
    const unsigned char* const from = unit(k, tile, chunk);
#pragma unroll
    for (int i = 0; i < kCodeBytes / (kSkinnyThreads * 16); i++) {
      const int at = (i * kSkinnyThreads + int(threadIdx.x)) * 16;
      cp_async16_once(stage + at, from + at);
    }
    constexpr int kScalePieces = kTile * int(sizeof(float)) / 16, kZeroPieces = kTile / 16;
    const int t = int(threadIdx.x), columns = tiles_of<Paired>(n) * kTile;
    const auto group_of = [&](int half) { return min(chunk * kChunk + half * 32, k - 1) >> shift; };
    if (t < 2 * kScalePieces) {
      const int half = t / kScalePieces, piece = t % kScalePieces;
      cp_async16(stage + kScales + t * 16, scales + int64_t(group_of(half)) * columns + tile * kTile + piece * 4);
    } else if (Code::kZeros && zeros != nullptr && t < 2 * kScalePieces + 2 * kZeroPieces) {
      const int half = (t - 2 * kScalePieces) / kZeroPieces, piece = t % kZeroPieces;
      cp_async16(stage + kZeros + (t - 2 * kScalePieces) * 16, zeros + int64_t(group_of(half)) * columns + tile * kTile + piece * 16);
    }
  }

  template <bool Paired>
  __device__ __forceinline__ void prefetch(int, int k, int tile, int chunk, int line) const {
    prefetch_line(unit(k, tile, chunk) + line * 128);
  }

  template <int M>
  __device__ __forceinline__ void multiply(unsigned char* w, unsigned char* x, float (&sum)[M / 8][4]) const {
    const int lane = int(threadIdx.x) % 32, row = int(threadIdx.x) / 32 * 16 + lane / 4;
#pragma unroll(M < 64 ? 4 : 1)  // with 64 rows, several steps at once take more registers than there are
    for (int step = 0; step < kChunk / 16; step++) {
      uint32_t a[4], offset[2] = {};
      if constexpr (Code::kZeros) {
        const unsigned char* const zero = w + kZeros + step / 2 * kTile + row;
        offset[0] = Code::offset_of(zeros != nullptr ? zero[0] : 8);
        offset[1] = Code::offset_of(zeros != nullptr ? zero[8] : 8);
      }
      Code::decode(reinterpret_cast<const typename Code::Codes*>(w)[step * kSkinnyThreads + int(threadIdx.x)], offset, a);
      const float* const scale = reinterpret_cast<const float*>(w + kScales) + step / 2 * kTile + row;
      const float low = scale[0], high = scale[8];
#pragma unroll
      for (int m = 0; m < M / 8; m++) {
        uint32_t b[2];
        float part[4] = {};
        ldmatrix_x2(b, piece_at(x, m * 8 + lane % 8, step * 2 + lane / 8 % 2));
        mma<T>(part, a, b[0], b[1]);
        sum[m][0] = fmaf(part[0], low, sum[m][0]), sum[m][1] = fmaf(part[1], low, sum[m][1]);
        sum[m][2] = fmaf(part[2], high, sum[m][2]), sum[m][3] = fmaf(part[3], high, sum[m][3]);
      }
    }
  }
};

}  // namespace dvl

// By form: a kernel's parameters for its weights, and the weights that they make, T being the activations' type; its threads, its product.
#define DVL_PARAMETERS_dense(T) const T* w
#define DVL_PARAMETERS_fp8(T) const unsigned char* codes, const float* scales, const unsigned char* zeros, int shift
#define DVL_PARAMETERS_int4(T) DVL_PARAMETERS_fp8(T)
#define DVL_WEIGHTS_dense(T) dvl::DenseWeights<T>{w}
#define DVL_WEIGHTS_fp8(T) dvl::PackedWeights<dvl::Fp8Code<T>>{codes, scales, zeros, shift}
#define DVL_WEIGHTS_int4(T) dvl::PackedWeights<dvl::Int4Code<T>>{codes, scales, zeros, shift}
#define DVL_THREADS_dense dvl::kSkinnyThreads
#define DVL_THREADS_fp8 DVL_THREADS_dense
#define DVL_THREADS_int4 DVL_THREADS_dense
#define DVL_PRODUCT_dense dvl::skinny_product
#define DVL_PRODUCT_fp8 DVL_PRODUCT_dense
#define DVL_PRODUCT_int4 DVL_PRODUCT_dense

// KERNEL(M, T, FORM, suffix) for every M, type and form.
#define DVL_SKINNY_INSTANCES(KERNEL) \
  DVL_SKINNY_FORMS(KERNEL, 8) DVL_SKINNY_FORMS(KERNEL, 16) DVL_SKINNY_FORMS(KERNEL, 32) DVL_SKINNY_FORMS(KERNEL, 64)
#define DVL_SKINNY_FORMS(KERNEL, M) DVL_SKINNY_TYPE(KERNEL, M, bf16) DVL_SKINNY_TYPE(KERNEL, M, f16)
#define DVL_SKINNY_TYPE(KERNEL, M, T) KERNEL(M, T, dense, T) KERNEL(M, T, fp8, T##_fp8) KERNEL(M, T, int4, T##_int4)
