// SPDX-License-Identifier: Apache-2.0
// Attention of sixteen rows by one warp on tensor cores: tiles of rows in shared memory and products with them, scores, online softmax,
// P V, and the merging of partial results. Used by attention.cu and attention_backward.cu, whose heads tell the whole.
#pragma once
#include "dvl.cuh"

namespace dvl::attention {

constexpr int kWarps = 4, kThreads = 32 * kWarps;  // of a block

// Rows of D elements of kBytes in shared memory, padded with zeros to a multiple of 16; in chunks of 16 bytes, permuted so that a chunk of
// eight neighbouring rows (ldmatrix) lies in eight different bank groups.
template <int D, int kBytes = 2>
struct RowTile {
  static constexpr int kSteps = (D + 15) / 16;  // of 16 columns
  static constexpr int kChunks = kBytes * kSteps;
  static constexpr int kRowBytes = 16 * kChunks;
  static constexpr int kPieces = D * kBytes / 16;  // chunks that are not padding; of 2 bytes, n8 tiles of the output
  static_assert(D % 8 == 0 && (kChunks == 16 || kChunks == 10 || kChunks == 8), "other widths need another permutation");

  static __device__ __forceinline__ int at(int row, int chunk) {
    return row * kRowBytes + 16 * (chunk ^ (kChunks == 10 ? row >> 2 & 1 : row & 7));
  }
};

// Begins to copy `count` rows; offset(row) = where in `from` the row starts, < 0: a row of zeros. A thread has the same chunk of every row
// that it copies, so that from row to row little is left to compute.
template <int D, int kTogether = 4, class T, class Offset>
__device__ __forceinline__ void copy_rows(unsigned char* tile, const T* from, int count, Offset offset) {
  using R = RowTile<D, sizeof(T)>;
  const int step = int(blockDim.x) / R::kChunks, chunk = int(threadIdx.x) % R::kChunks, row = int(threadIdx.x) / R::kChunks;
  if (row >= step) return;  // a part of a row
#pragma unroll 1
  for (int begin = row; begin < count; begin += kTogether * step) {
#pragma unroll
    for (int i = 0; i < kTogether; i++) {
      const int at = begin + i * step;
      if (at >= count) break;
      const int64_t source = offset(at);
      const bool inside = source >= 0 && chunk < R::kPieces;
      cp_async16(tile + R::at(at, chunk), from + (inside ? source + chunk * (16 / int(sizeof(T))) : 0), inside);
    }
  }
}

// Columns 16 s to 16 s + 15 of sixteen rows of a tile, as an A fragment.
template <int D>
__device__ __forceinline__ void load_rows(uint32_t (&a)[4], const unsigned char* tile, int first_row, int s) {
  const int lane = threadIdx.x & 31;
  ldmatrix_x4<false>(a, tile + RowTile<D>::at(first_row + (lane & 15), 2 * s + (lane >> 4)));
}

// low, high += a * the transpose of eight rows of a tile each, in columns 16 s to 16 s + 15.
template <int D, class T = bf16>
__device__ __forceinline__ void multiply_transposed(float (&low)[4], float (&high)[4], const uint32_t (&a)[4],
                                                    const unsigned char* tile, int first_row, int s) {
  const int lane = threadIdx.x & 31;
  uint32_t b[4];
  ldmatrix_x4<false>(b, tile + RowTile<D>::at(first_row + (lane >> 4) * 8 + (lane & 7), 2 * s + (lane >> 3 & 1)));
  mma<T>(low, a, b[0], b[1]);
  mma<T>(high, a, b[2], b[3]);
}

// out += a * sixteen rows of a tile
template <int D, class T = bf16>
__device__ __forceinline__ void multiply(float (&out)[RowTile<D>::kPieces][4], const uint32_t (&a)[4], const unsigned char* tile,
                                         int first_row) {
  using R = RowTile<D>;
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int s = 0; s < R::kSteps; s++) {
    uint32_t b[4];
    ldmatrix_x4<true>(b, tile + R::at(first_row + (lane & 15), 2 * s + (lane >> 4)));
    mma<T>(out[2 * s], a, b[0], b[1]);
    if (2 * s + 1 < R::kPieces) mma<T>(out[2 * s + 1], a, b[2], b[3]);
  }
}

// Sixteen rows of products of which a thread has four in every eight columns, rounded, as A fragments.
template <int kColumns, class T = bf16>
__device__ __forceinline__ void pack(const float (&value)[kColumns / 8][4], uint32_t (&a)[kColumns / 16][4]) {
#pragma unroll
  for (int j = 0; j < kColumns / 16; j++) {
#pragma unroll
    for (int i = 0; i < 4; i++) a[j][i] = pack_pair<T>(value[2 * j + i / 2][2 * (i % 2)], value[2 * j + i / 2][2 * (i % 2) + 1]);
  }
}

// Eight columns of a warp's sixteen rows, each of a thread's two rows times a factor, rounded, into a tile.
template <int D, class T = bf16>
__device__ __forceinline__ void put(unsigned char* tile, int first_row, int piece, const float (&value)[4], float upper, float lower) {
  using R = RowTile<D>;
  const int row = first_row + (int(threadIdx.x & 31) >> 2), offset = 4 * int(threadIdx.x & 3);
  *reinterpret_cast<uint32_t*>(tile + R::at(row, piece) + offset) = pack_pair<T>(value[0] * upper, value[1] * upper);
  *reinterpret_cast<uint32_t*>(tile + R::at(row + 8, piece) + offset) = pack_pair<T>(value[2] * lower, value[3] * lower);
}

// Copies `count` rows of a tile; offset(row) = where in `to` the row starts, < 0: it is left out.
template <int D, class T, class Offset>
__device__ __forceinline__ void store_rows(T* to, const unsigned char* tile, int count, Offset offset) {
  using R = RowTile<D>;
#pragma unroll 1
  for (int item = threadIdx.x; item < count * R::kPieces; item += int(blockDim.x)) {
    const int row = item / R::kPieces, piece = item % R::kPieces;
    const int64_t target = offset(row);
    if (target >= 0) copy16(to + target + piece * 8, tile + R::at(row, piece));
  }
}

// Maximum and sum of two rows, lane / 4 and that + 8 of a warp's sixteen. Scores are in units of log 2.
struct Softmax {
  float maximum[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0.f, 0.f};

  // The maximum as a subtrahend: a row of -inf scores only must not make inf - inf.
  static __device__ __forceinline__ float reference(float maximum) { return maximum == -INFINITY ? 0.f : maximum; }
  // 1 / sum, and 0 for a row that sees nothing
  __device__ __forceinline__ float inverse(int half) const { return sum[half] == 0.f ? 0.f : 1.f / sum[half]; }
};

// Tiles of keys and values that hold numbers of T. Other forms (attention_codes.cuh) have the same members.
template <int D, class Number>
struct Numbers {
  using T = Number;
  using Element = T;
  float scale;  // of the scores

  // The score of a key of the tile, from its product; what its weight is multiplied with before P V.
  __device__ __forceinline__ float score(float product, int) const { return product * scale; }
  static __device__ __forceinline__ float weight(float p, int) { return p; }

  // low, high += the products of a warp's queries with keys first_key to first_key + 7, and with the eight keys behind them.
  static __device__ __forceinline__ void multiply_keys(float (&low)[4], float (&high)[4], const uint32_t (&query)[RowTile<D>::kSteps][4],
                                                       const unsigned char* keys, int first_key) {
#pragma unroll
    for (int s = 0; s < RowTile<D>::kSteps; s++) multiply_transposed<D, T>(low, high, query[s], keys, first_key, s);
  }
  // out += p * sixteen values
  static __device__ __forceinline__ void add_values(float (&out)[RowTile<D>::kPieces][4], const uint32_t (&p)[4],
                                                    const unsigned char* values, int first_key) {
    multiply<D, T>(out, p, values, first_key);
  }
};

// Sixteen rows of a warp: what a thread carries from tile to tile. Fragments as mma has them.
template <int D, class Form>
struct Warp16 {
  using T = typename Form::T;
  using R = RowTile<D>;
  uint32_t query[R::kSteps][4];
  Softmax softmax;  // sum: of the thread's own columns
  float out[R::kPieces][4] = {};

  __device__ __forceinline__ void load_query(const unsigned char* tile, int first_row) {
#pragma unroll
    for (int s = 0; s < R::kSteps; s++) load_rows<D>(query[s], tile, first_row, s);
  }

  // P of kKeys keys of a tile as A fragments; `out` is scaled to the new maximum. valid: how many of the keys the thread's two rows see,
  // 0 or less: none, which changes no bit of the row's state.
  template <int kKeys>
  __device__ __forceinline__ void weigh(const unsigned char* keys, int first_key, const int (&valid)[2], const Form& form,
                                        uint32_t (&p)[kKeys / 16][4]) {
    const int lane = threadIdx.x & 31;
    float score[kKeys / 8][4] = {};
#pragma unroll
    for (int j = 0; j < kKeys / 16; j++) Form::multiply_keys(score[2 * j], score[2 * j + 1], query, keys, first_key + 16 * j);
    float highest[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int n = 0; n < kKeys / 8; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int key = 8 * n + 2 * (lane & 3) + (i & 1);
        score[n][i] = key < valid[i >> 1] ? form.score(score[n][i], first_key + key) : -INFINITY;
        highest[i >> 1] = max(highest[i >> 1], score[n][i]);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const float maximum = max(softmax.maximum[half], warp_max<4>(highest[half]));
      const float reference = Softmax::reference(maximum);
      const float correction = exp2_fast(softmax.maximum[half] - reference);
      softmax.maximum[half] = maximum;
      softmax.sum[half] *= correction;
#pragma unroll
      for (int n = 0; n < kKeys / 8; n++) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) {
          score[n][i] = exp2_fast(score[n][i] - reference);
          softmax.sum[half] += score[n][i];
          score[n][i] = form.weight(score[n][i], first_key + 8 * n + 2 * (lane & 3) + (i & 1));
        }
      }
#pragma unroll
      for (int n = 0; n < R::kPieces; n++) out[n][2 * half] *= correction, out[n][2 * half + 1] *= correction;
    }
    pack<kKeys, T>(score, p);
  }

  // out += P V
  template <int kKeys>
  __device__ __forceinline__ void add_values(const unsigned char* values, int first_key, const uint32_t (&p)[kKeys / 16][4]) {
#pragma unroll
    for (int j = 0; j < kKeys / 16; j++) Form::add_values(out, p[j], values, first_key + 16 * j);
  }
};

// Sixteen rows' partial result in memory: for each lane its four values of every piece, then maximum and sum of its two rows.
template <int D>
constexpr int kPartialVectors = (RowTile<D>::kPieces + 1) * 32;
// Merging, a warp takes every fourth piece.
template <int D>
constexpr int kShare = (RowTile<D>::kPieces + kWarps - 1) / kWarps;

// Sums up `count` partial results in their order; load(i, piece) gives this lane's vector of one of them.
template <int D, class Load>
__device__ __forceinline__ void merge(int count, Load load, Softmax& total, float (&out)[kShare<D>][4]) {
  constexpr int kPieces = RowTile<D>::kPieces;
  const int share = int(threadIdx.x) / 32 % kWarps;
  total = Softmax();
#pragma unroll 4
  for (int i = 0; i < count; i++) {
    const float4 state = load(i, kPieces);
    total.maximum[0] = max(total.maximum[0], state.x);
    total.maximum[1] = max(total.maximum[1], state.z);
  }
#pragma unroll
  for (int s = 0; s < kShare<D>; s++)
#pragma unroll
    for (int j = 0; j < 4; j++) out[s][j] = 0.f;
#pragma unroll 4
  for (int i = 0; i < count; i++) {
    const float4 state = load(i, kPieces);
    const float weight0 = exp2_fast(state.x - Softmax::reference(total.maximum[0]));
    const float weight1 = exp2_fast(state.z - Softmax::reference(total.maximum[1]));
    total.sum[0] += weight0 * state.y;
    total.sum[1] += weight1 * state.w;
#pragma unroll
    for (int s = 0; s < kShare<D>; s++) {
      const int piece = share + s * kWarps;
      if (piece >= kPieces) break;
      const float4 part = load(i, piece);
      out[s][0] += weight0 * part.x, out[s][1] += weight0 * part.y;
      out[s][2] += weight1 * part.z, out[s][3] += weight1 * part.w;
    }
  }
}

// Most ranges of a list.
constexpr int kMostRanges = 32;

// The same for partial results in the grid's memory, on their way together as far as `memory` is large: a row tile's, of kMergeBytes.
// kMergeStages groups of copies are under way. Where row tiles share a block, a range is followed by empty groups: as many as tiles.
template <int D, class Form>
constexpr int kMergeStages = D == 128 ? 4 * int(sizeof(typename Form::Element)) : 6;
template <int D, class Form, int kTiles>
constexpr int kMergeBytes = kMostRanges * 16 * int(sizeof(float2)) + kMergeStages<D, Form> / kTiles * kShare<D> * kThreads * 16;

template <int D, class Form>
__device__ __forceinline__ void merge_ranges(unsigned char* memory, const float4* ranges, int count, int tiles, Softmax& total,
                                             float (&out)[kShare<D>][4]) {
  constexpr int kPieces = RowTile<D>::kPieces, kStates = kMostRanges * 16 / kThreads, kAtOnce = 4;
  const int thread = int(threadIdx.x) % kThreads, share = thread / 32, lane = thread % 32, stages = kMergeStages<D, Form> / tiles;
  float2* const states = reinterpret_cast<float2*>(memory);  // [range][row]: maximum, sum
  float4* const parts = reinterpret_cast<float4*>(memory + kMostRanges * 16 * sizeof(float2)) + thread;
  const auto fetch = [&](int i, int stage) {  // a thread's own pieces
#pragma unroll
    for (int s = 0; s < kShare<D>; s++) {
      const int piece = share + s * kWarps;
      if (i < count && piece < kPieces)
        cp_async16(parts + (stage * kShare<D> + s) * kThreads, ranges + i * kPartialVectors<D> + piece * 32 + lane);
    }
#pragma unroll 1
    for (int t = 0; t < tiles; t++) cp_async_commit();
  };
#pragma unroll 1
  for (int i = 0; i < stages; i++) fetch(i, i);
  float2 state[kStates];
#pragma unroll
  for (int i = 0; i < kStates; i++) {
    const int item = i * kThreads + thread, range = item / 16, row = item % 16;
    state[i] = make_float2(-INFINITY, 0.f);
    if (range < count)
      state[i] = __ldcg(reinterpret_cast<const float2*>(ranges + range * kPartialVectors<D> + kPieces * 32 + row % 8 * 4) + row / 8);
  }
#pragma unroll
  for (int i = 0; i < kStates; i++) states[i * kThreads + thread] = state[i];
  __syncthreads();
  total = Softmax();
  const float2* const own = states + (lane >> 2);
#pragma unroll 1
  for (int begin = 0; begin < count; begin += kAtOnce) {
#pragma unroll
    for (int i = begin; i < begin + kAtOnce; i++) {
      total.maximum[0] = max(total.maximum[0], own[i * 16].x);
      total.maximum[1] = max(total.maximum[1], own[i * 16 + 8].x);
    }
  }
#pragma unroll
  for (int s = 0; s < kShare<D>; s++) out[s][0] = out[s][1] = out[s][2] = out[s][3] = 0.f;
#pragma unroll 1
  for (int i = 0, stage = 0; i < count; i++, stage = stage + 1 == stages ? 0 : stage + 1) {
    const float weight0 = exp2_fast(own[i * 16].x - Softmax::reference(total.maximum[0]));
    const float weight1 = exp2_fast(own[i * 16 + 8].x - Softmax::reference(total.maximum[1]));
    total.sum[0] += weight0 * own[i * 16].y;
    total.sum[1] += weight1 * own[i * 16 + 8].y;
    cp_async_wait<kMergeStages<D, Form> - 1>();
#pragma unroll
    for (int s = 0; s < kShare<D>; s++) {
      if (share + s * kWarps >= kPieces) break;
      const float4 part = parts[(stage * kShare<D> + s) * kThreads];
      out[s][0] += weight0 * part.x, out[s][1] += weight0 * part.y;
      out[s][2] += weight1 * part.z, out[s][3] += weight1 * part.w;
    }
    fetch(i + stages, stage);
  }
  cp_async_wait<0>();
}

}  // namespace dvl::attention
