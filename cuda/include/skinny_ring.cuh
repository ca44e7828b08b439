// SPDX-License-Identifier: Apache-2.0
// Skinny matrix products whose weights come by bulk copies (compute capability 9.0 and newer). The split, the order of all sums and so all
// bits are those of skinny.cuh; what differs is how a unit comes into its stage.
//
// Idea    A ninth warp, the producer, keeps the ring full: one of its threads asks for a whole unit of weights by one instruction (a box of
//         a tensor map with the 128-byte swizzle, which is piece_at; or the codes as they lie), and all 32 bring the unit's rows of x, with
//         the norm on their way. The eight others wait for a stage, multiply and hand it back; no barrier of the block is left
//         in the loop.
// Ring    For each stage an mbarrier `full`: the weights' bytes, their announcement, and the rows of x; and one `empty`: eight warps. Round
//         r of the ring is the phase of parity r % 2 of both.
// Overlap As in skinny.cuh. All threads wait for the kernel before: the producer reads x, the others fill the first stages' rows with it.
#pragma once
#include "bulk.cuh"
#include "skinny.cuh"

namespace dvl {

constexpr int kRingThreads = kSkinnyThreads + 32;
constexpr int kProducer = kSkinnyWarps;  // the warp
constexpr int kUnitsAhead = 4;           // of the ring's end, prefetched into the L2 cache

// Stages that as many blocks of a multiprocessor of 228 KB leave room for, of which CUDA keeps 1 KB per block; bytes besides the ring are
// the columns of an epilogue and the static variables.
template <int M, int StageBytes>
constexpr int kRingStages = (228 * 1024 / (M <= 16 ? 3 : 2) - 1024 - kSkinnyWarps * kColumnsPitch * 4 - 1024) / StageBytes;

// Dense weights by a tensor map: boxes [1 or 2][128 or 64][kChunk] of a tensor [1][n][k], or, Paired, [2][n / 2][k].
template <class T>
struct MappedWeights {
  const TensorMap* map;

  static constexpr int kUnitBytes = DenseWeights<T>::kUnitBytes;
  template <int M>
  static constexpr int kStages = kRingStages<M, kUnitBytes + M * kChunk * 2>;
  template <int M>
  static constexpr int kPartsAtOnce = DenseWeights<T>::template kPartsAtOnce<M>;

  __device__ __forceinline__ unsigned bytes() const { return kUnitBytes; }

  template <bool Paired>
  __device__ __forceinline__ void copy(unsigned char* stage, int, int, int tile, int chunk, uint64_t* full) const {
    box_copy_once(stage, map, chunk * kChunk, tile * (Paired ? kTile / 2 : kTile), 0, full);
  }

  template <bool Paired>
  __device__ __forceinline__ void prefetch(int, int, int tile, int chunk) const {
    box_prefetch(map, chunk * kChunk, tile * (Paired ? kTile / 2 : kTile), 0);
  }

  template <int M>
  __device__ __forceinline__ void multiply(unsigned char* w, unsigned char* x, float (&sum)[M / 8][4]) const {
    DenseWeights<T>{nullptr}.template multiply<M>(w, x, sum);
  }
};

// Packed weights as they lie, in at most five copies: the codes, and for each half of k its scales and zeros.
template <class Code>
struct BulkWeights {
  using Packed = PackedWeights<Code>;
  Packed packed;

  static constexpr int kUnitBytes = Packed::kUnitBytes;
  template <int M>
  static constexpr int kStages = kRingStages<M, kUnitBytes + M * kChunk * 2>;
  template <int M>
  static constexpr int kPartsAtOnce = Packed::template kPartsAtOnce<M>;

  __device__ __forceinline__ bool has_zeros() const { return Code::kZeros && packed.zeros != nullptr; }
  __device__ __forceinline__ unsigned bytes() const { return has_zeros() ? kUnitBytes : Packed::kZeros; }

  template <bool Paired>
  __device__ __forceinline__ void copy(unsigned char* stage, int n, int k, int tile, int chunk, uint64_t* full) const {
    const int columns = tiles_of<Paired>(n) * kTile;
    bulk_copy_once(stage, packed.unit(k, tile, chunk), Packed::kCodeBytes, full);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int64_t at = int64_t(min(chunk * kChunk + half * 32, k - 1) >> packed.shift) * columns + tile * kTile;
      bulk_copy_once(stage + Packed::kScales + half * kTile * 4, packed.scales + at, kTile * 4, full);
      if (has_zeros()) bulk_copy_once(stage + Packed::kZeros + half * kTile, packed.zeros + at, kTile, full);
    }
  }

  template <bool Paired>
  __device__ __forceinline__ void prefetch(int, int k, int tile, int chunk) const {
    bulk_prefetch(packed.unit(k, tile, chunk), Packed::kCodeBytes);
  }

  template <int M>
  __device__ __forceinline__ void multiply(unsigned char* w, unsigned char* x, float (&sum)[M / 8][4]) const {
    packed.template multiply<M>(w, x, sum);
  }
};

// A thread's pieces of 16 bytes of the rows of x in a chunk, as `Threads` threads share them out.
template <int M, int Threads>
constexpr int kRingPieces = (M * 8 + Threads - 1) / Threads;

template <class T, class W>
__device__ __forceinline__ uint4 load_piece_of_row(const Product<T, W>& p, int row, int chunk, int piece) {
  const int at = chunk * kChunk + piece * 8;
  if (row >= p.rows || at >= p.k) return make_uint4(0, 0, 0, 0);
  return *reinterpret_cast<const uint4*>(p.x + int64_t(row) * p.k + at);
}

// RMSNorm of a piece; rounds twice, as rms_norm does.
template <class T>
__device__ __forceinline__ uint4 normalised_piece(uint4 x, const NormPiece<T>& weight, float scale) {
  NormPiece<T> piece;
  piece.word = x;
#pragma unroll
  for (int i = 0; i < 8; i++)
    piece.element[i] = from_float<T>(normalised<T>(to_float(piece.element[i]), scale, to_float(weight.element[i])));
  return piece.word;
}

template <int M, bool Paired, bool Normed, class T, class W, class Epilogue>
__device__ __forceinline__ void ring_product(const Product<T, W>& p, const InputNorm<T>& norm, const SkinnySplit& split,
                                             const Epilogue& epilogue) {
  using Ring = SkinnyRing<M, W>;
  constexpr int kStages = Ring::kStages;
  DVL_DYN_SHARED(memory);
  DVL_SHARED(float[M], scale);
  DVL_SHARED(uint64_t[kStages], full);
  DVL_SHARED(uint64_t[kStages], empty);
  const int chunks = (p.k + kChunk - 1) / kChunk;
  const int begin = int(blockIdx.x) * split.span, end = min(begin + split.span, tiles_of<Paired>(p.n) * chunks);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const bool multiplies = warp != kProducer;

  int tile = begin / chunks, chunk = begin % chunks;
  int next_tile = tile, next_chunk = chunk;
  const auto next_unit = [&] {
    if (++next_chunk == chunks) next_chunk = 0, next_tile++;
  };
  const auto fetch_weights = [&](int stage) {
    mbarrier_arrive_expecting(full + stage, p.w.bytes());
    p.w.template copy<Paired>(memory + stage * Ring::kStageBytes, p.n, p.k, next_tile, next_chunk, full + stage);
  };
  if (int(threadIdx.x) == kProducer * 32) {
#pragma unroll 1
    for (int s = 0; s < kStages; s++) {
      mbarrier_init(full + s, 2);
      mbarrier_init(empty + s, kSkinnyWarps);
    }
    mbarriers_ready();
  }
  if (!multiplies) {
#pragma unroll 1
    for (int s = 0; s < kStages && begin + s < end; s++, next_unit())
      if (lane == 0) fetch_weights(s);
    int tile_ahead = next_tile, chunk_ahead = next_chunk;
#pragma unroll 1
    for (int unit = begin + kStages; unit < min(begin + kStages + kUnitsAhead, end); unit++) {
      if (lane == 0) p.w.template prefetch<Paired>(p.n, p.k, tile_ahead, chunk_ahead);
      if (++chunk_ahead == chunks) chunk_ahead = 0, tile_ahead++;
    }
  }

  // The rows of x of the first stages, by all threads; they and their squares are asked for before any of them is needed.
  constexpr int kFirst = kRingPieces<M * kStages, kRingThreads>;
  const auto each_first = [&](const auto& visit) {
#pragma unroll
    for (int i = 0; i < kFirst; i++) {
      const int at = i * kRingThreads + int(threadIdx.x), s = at / (M * 8);
      if (s < kStages && begin + s < end) visit(i, s, at / 8 % M, at % 8, (chunk + s) % chunks);
    }
  };
  uint4 first[kFirst];
  NormPiece<T> weight[kFirst];
  if constexpr (Normed) {
    each_first([&](int i, int, int, int piece, int c) {
      if (c * kChunk + piece * 8 < p.k) weight[i].word = *reinterpret_cast<const uint4*>(norm.weight + c * kChunk + piece * 8);
    });
  }
  wait_for_previous_grid();
  each_first([&](int i, int, int row, int piece, int c) { first[i] = load_piece_of_row(p, row, c, piece); });
  if constexpr (Normed) {
    if (multiplies) row_scales<M>(norm, p.rows, p.k, scale);
    __syncthreads();
  }
  each_first([&](int i, int s, int row, int piece, int c) {
    if (Normed && row < p.rows && c * kChunk + piece * 8 < p.k) first[i] = normalised_piece(first[i], weight[i], scale[row]);
    *reinterpret_cast<uint4*>(piece_at(memory + s * Ring::kStageBytes + Ring::kRows, row, piece)) = first[i];
  });
  __syncthreads();

  // The producer's pieces of the next unit that has no stage yet: row lane / 8 and every fourth from there.
  constexpr int kPieces = kRingPieces<M, 32>;
  uint4 rows[kPieces];
  NormPiece<T> row_weight;
  const auto ask_rows = [&] {
#pragma unroll
    for (int i = 0; i < kPieces; i++) rows[i] = load_piece_of_row(p, i * 4 + lane / 8, next_chunk, lane % 8);
    const int at = next_chunk * kChunk + lane % 8 * 8;
    if (Normed && at < p.k) row_weight.word = *reinterpret_cast<const uint4*>(norm.weight + at);
  };
  if (!multiplies) {
    if (end - begin <= kStages) let_next_grid_start();
#pragma unroll 1
    for (int s = 0; s < kStages && begin + s < end; s++)
      if (lane == 0) mbarrier_arrive(full + s);
    if (begin + kStages < end) ask_rows();
  }

  float sum[M / 8][4] = {};
  int stage = 0;
  unsigned parity = 0;
  for (int unit = begin; unit < end; unit++) {
    unsigned char* const at = memory + stage * Ring::kStageBytes;
    if (multiplies) {
      mbarrier_wait(full + stage, parity);
      p.w.template multiply<M>(at, at + Ring::kRows, sum);
      __syncwarp();
      if (lane == 0) mbarrier_arrive(empty + stage);
    } else if (unit + kStages < end) {
      mbarrier_wait(empty + stage, parity);
      if (lane == 0) fetch_weights(stage);
      if (unit + kStages + 1 == end) let_next_grid_start();
#pragma unroll
      for (int i = 0; i < kPieces; i++) {
        const int row = i * 4 + lane / 8;
        if (Normed && row < p.rows && next_chunk * kChunk + lane % 8 * 8 < p.k)
          rows[i] = normalised_piece(rows[i], row_weight, scale[row]);
        *reinterpret_cast<uint4*>(piece_at(at + Ring::kRows, row, lane % 8)) = rows[i];
      }
      __syncwarp();
      if (lane == 0) mbarrier_arrive(full + stage);
      next_unit();
      if (unit + kStages + 1 < end) ask_rows();
    }
    if (++stage == kStages) stage = 0, parity ^= 1;
    if (++chunk == chunks || unit + 1 == end) {
      typename Epilogue::Operands operands{};
      if (kEarly<M> && warp < p.rows) operands = epilogue.ask(warp, tile);
      if (combine_tile<M, W::template kPartsAtOnce<M>>(split, int(blockIdx.x), tile, chunks, sum, multiplies))
        finish_tile<M>(sum, reinterpret_cast<float*>(memory + Ring::kColumns), p.rows, tile, epilogue, operands, multiplies);
#pragma unroll
      for (int m = 0; m < M / 8; m++) sum[m][0] = sum[m][1] = sum[m][2] = sum[m][3] = 0.f;
      chunk = 0;
      tile++;
    }
  }
}

}  // namespace dvl

#define DVL_PARAMETERS_mapped(T) const __grid_constant__ dvl::TensorMap map
#define DVL_WEIGHTS_mapped(T) dvl::MappedWeights<T>{&map}
#define DVL_PARAMETERS_bulk_fp8(T) DVL_PARAMETERS_fp8(T)
#define DVL_PARAMETERS_bulk_int4(T) DVL_PARAMETERS_fp8(T)
#define DVL_WEIGHTS_bulk_fp8(T) dvl::BulkWeights<dvl::Fp8Code<T>>{DVL_WEIGHTS_fp8(T)}
#define DVL_WEIGHTS_bulk_int4(T) dvl::BulkWeights<dvl::Int4Code<T>>{DVL_WEIGHTS_int4(T)}
#define DVL_THREADS_mapped dvl::kRingThreads
#define DVL_THREADS_bulk_fp8 dvl::kRingThreads
#define DVL_THREADS_bulk_int4 dvl::kRingThreads
#define DVL_PRODUCT_mapped dvl::ring_product
#define DVL_PRODUCT_bulk_fp8 dvl::ring_product
#define DVL_PRODUCT_bulk_int4 dvl::ring_product

// KERNEL(M, T, FORM, suffix) for every M, type and form.
#define DVL_RING_INSTANCES(KERNEL) DVL_RING_TYPE(KERNEL, bf16) DVL_RING_TYPE(KERNEL, f16)
#define DVL_RING_TYPE(KERNEL, T) \
  KERNEL(8, T, mapped, T##_ring) KERNEL(8, T, bulk_fp8, T##_fp8_ring) KERNEL(8, T, bulk_int4, T##_int4_ring)
