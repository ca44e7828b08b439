// SPDX-License-Identifier: Apache-2.0
// Gradient of block-masked attention in bf16 on tensor cores (docs/kernel-contract.md). f32: attention_backward_simt.cu.
//   p = exp(scale q k - lse),   delta = sum(dout out),   ds = p (dout v - delta):
//   dq = scale * sum over keys of ds k,   dk = scale * sum over queries of ds q,   dv = sum over queries of p dout.
//
// Shape   q, out, dout, dq [rows, heads, D]; k, v, dk, dv [kv_heads, slots, D]; lse, delta f32 [rows, heads]. D = 128, 80 or 72.
// Floor   seven products of 2 D operations per visible pair of query and key: scores and dout v are made twice, once per kernel.
// Idea    "Packed rows" as in attention.cu: (row, head of the group), so a tile of rows holds all heads that read a key, and the sum over
//         the heads of a group is the sum over rows. Products are m16n8k16; fragments come by ldmatrix, transposed where rows are summed.
//           _q   a block has 64 packed rows of a segment, a warp 16 of them with q, dout and dq in registers. Tiles of 32 keys and values
//                go through two stages of cp.async. Makes delta first, from out and dout, and leaves it for _kv.
//           _kv  a block has 64 slots, a warp 16 of them with dk and dv in registers; scores are transposed (slot by row). It tests 512
//                segments at once for whether they see its slots, and lists those that do in order. Tiles of 32 packed rows of the listed
//                segments go through two stages. In a causal segment it begins with the first row that sees a slot.
//         No atomics: sums run in the order of keys, and of segments and packed rows. A slot that nobody sees gets zeros.
// Rounds  p and ds to bf16 before they are multiplied, dq, dk, dv once; all else is f32.
#include "attention_rows.cuh"
#include "segment_list.cuh"

namespace {

using namespace dvl::attention;

constexpr int kRows = 16 * kWarps;  // that a block keeps: packed rows in _q, slots in _kv
constexpr int kTile = 32;           // that it goes through: keys in _q, packed rows in _kv
constexpr int kStages = 2;
constexpr int kTests = 4;  // segments that a thread looks at at once

struct Arguments {
  const bf16 *q, *k, *v;
  const Segment* segments;
  const float* lse;
  const bf16* dout;
  int heads, kv_heads, slots;
  float scale;

  __device__ __forceinline__ int group() const { return heads / kv_heads; }
  // where row and head of a packed row are in [rows, heads]
  __device__ __forceinline__ int64_t at(const Segment& segment, int packed) const {
    return int64_t(segment.row + packed / group()) * heads + int(blockIdx.y) * group() + packed % group();
  }
};

// Two tiles of kCount rows, one behind the other in shared memory, and where their rows start in two buffers of one layout.
template <int D, int kCount>
struct Pair {
  static constexpr int kTileBytes = kCount * RowTile<D>::kRowBytes;
  unsigned char *first, *second;

  __device__ __forceinline__ explicit Pair(unsigned char* shared) : first(shared), second(shared + kTileBytes) {}
  template <class Offset>
  __device__ __forceinline__ void copy(const bf16* a, const bf16* b, Offset offset) const {
    copy_rows<D>(first, a, kCount, offset);
    copy_rows<D>(second, b, kCount, offset);
  }
};

// One block: a tile of packed rows of a segment (blockIdx.z, from the last), kv head blockIdx.y.
template <int D>
__device__ __forceinline__ void backward_q(const Arguments& a, const bf16* out, bf16* dq, float* delta) {
  using R = RowTile<D>;
  DVL_DYN_SHARED(shared);
  DVL_SHARED(float[kRows], row_delta);
  const Pair<D, kRows> rows(shared);  // of q and dout
  const auto stage = [&](int s) { return Pair<D, kTile>(shared + 2 * Pair<D, kRows>::kTileBytes + s * 2 * Pair<D, kTile>::kTileBytes); };

  const Segment segment = a.segments[gridDim.z - 1 - blockIdx.z];
  const int group = a.group(), packed_rows = segment.rows * group;
  const int first_row = int(gridDim.x - 1 - blockIdx.x) * kRows;  // what has the longest list begins
  if (first_row >= packed_rows) return;
  const auto keys_of = [&](int row) { return segment.keys(min(first_row + row, packed_rows - 1) / group); };
  const auto row_offset = [&](int row) { return first_row + row < packed_rows ? a.at(segment, first_row + row) * D : -1; };
  const int end = keys_of(kRows - 1);
  const int64_t plane = int64_t(blockIdx.y) * a.slots * D;
  const auto copy_keys = [&](int first, int s) {
    if (first < end)
      stage(s).copy(a.k + plane, a.v + plane,
                    [&](int key) { return first + key < end ? int64_t(segment.slot_of_key(first + key)) * D : -1; });
    dvl::cp_async_commit();
  };
  rows.copy(a.q, a.dout, row_offset);
  dvl::cp_async_commit();
  copy_keys(0, 0);

  const int warp_row = 16 * (threadIdx.x >> 5), lane = threadIdx.x & 31;
#pragma unroll
  for (int i = 0; i < 4; i++) {  // delta meanwhile: eight lanes per row
    const int row = warp_row + 4 * i + (lane >> 3);
    const int64_t offset = row_offset(row);
    float sum = 0.f;
    for (int piece = lane & 7; offset >= 0 && piece < R::kPieces; piece += 8) {
      float x[8], y[8];
      dvl::load<8>(out + offset + piece * 8, x);
      dvl::load<8>(a.dout + offset + piece * 8, y);
#pragma unroll
      for (int j = 0; j < 8; j++) sum += x[j] * y[j];
    }
    sum = dvl::warp_sum<8>(sum);
    if ((lane & 7) == 0) {
      row_delta[row] = sum;
      if (offset >= 0) delta[offset / D] = sum;
    }
  }
  dvl::cp_async_wait<1>();
  __syncthreads();
  uint32_t query[R::kSteps][4], gradient[R::kSteps][4];
#pragma unroll
  for (int s = 0; s < R::kSteps; s++) {
    load_rows<D>(query[s], rows.first, warp_row, s);
    load_rows<D>(gradient[s], rows.second, warp_row, s);
  }
  float row_lse[2], mean[2];
  int row_keys[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int row = warp_row + (lane >> 2) + 8 * half;
    const int64_t offset = row_offset(row);
    row_lse[half] = offset < 0 ? 0.f : a.lse[offset / D] * dvl::kLog2E;
    mean[half] = row_delta[row];
    row_keys[half] = keys_of(row);
  }
  const int warp_end = first_row + warp_row < packed_rows ? keys_of(warp_row + 15) : 0;
  const float scale = a.scale * dvl::kLog2E;
  float sum[R::kPieces][4] = {};
  for (int first = 0, s = 0; first < end; first += kTile, s ^= 1) {
    dvl::cp_async_wait<0>();  // keys and values are there
    __syncthreads();          // for everyone; and everyone is done with the other stage
    copy_keys(first + kTile, s ^ 1);
    if (first >= warp_end) continue;
    float score[kTile / 8][4] = {}, dp[kTile / 8][4] = {};
    const Pair<D, kTile> keys = stage(s);
#pragma unroll
    for (int j = 0; j < kTile / 16; j++) {
#pragma unroll
      for (int step = 0; step < R::kSteps; step++) {
        multiply_transposed<D>(score[2 * j], score[2 * j + 1], query[step], keys.first, 16 * j, step);
        multiply_transposed<D>(dp[2 * j], dp[2 * j + 1], gradient[step], keys.second, 16 * j, step);
      }
    }
#pragma unroll
    for (int n = 0; n < kTile / 8; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int half = i >> 1, key = first + 8 * n + 2 * (lane & 3) + (i & 1);
        const float ds = dvl::exp2_fast(score[n][i] * scale - row_lse[half]) * (dp[n][i] - mean[half]);
        dp[n][i] = key < row_keys[half] ? ds : 0.f;
      }
    }
    uint32_t ds[kTile / 16][4];
    pack<kTile>(dp, ds);
#pragma unroll
    for (int j = 0; j < kTile / 16; j++) multiply<D>(sum, ds[j], keys.first, 16 * j);
  }
  dvl::cp_async_wait<0>();
  __syncthreads();
#pragma unroll
  for (int piece = 0; piece < R::kPieces; piece++) put<D>(rows.first, warp_row, piece, sum[piece], a.scale, a.scale);
  __syncthreads();
  store_rows<D>(dq, rows.first, kRows, row_offset);
}

// One block: slots from 64 * blockIdx.x, kv head blockIdx.y.
template <int D>
__device__ __forceinline__ void backward_kv(const Arguments& a, const float* delta, bf16* dk, bf16* dv, int count) {
  using R = RowTile<D>;
  DVL_DYN_SHARED(shared);
  DVL_SHARED(int[kTests * kThreads], list);
  DVL_SHARED_ALIGNED(8, float[kStages * 2 * kTile], of_rows);  // lse in units of log 2 and delta, of each stage's rows
  const Pair<D, kRows> keys(shared);                           // and values
  const auto stage = [&](int s) { return Pair<D, kTile>(shared + 2 * Pair<D, kRows>::kTileBytes + s * 2 * Pair<D, kTile>::kTileBytes); };

  const int group = a.group(), begin = int(blockIdx.x) * kRows, end = min(begin + kRows, a.slots);
  const int64_t plane = int64_t(blockIdx.y) * a.slots * D;
  const auto slot_offset = [&](int key) { return begin + key < end ? plane + int64_t(begin + key) * D : -1; };
  keys.copy(a.k, a.v, slot_offset);
  dvl::cp_async_commit();

  const int warp_key = 16 * (threadIdx.x >> 5), lane = threadIdx.x & 31;
  const float scale = a.scale * dvl::kLog2E;
  float key_sum[R::kPieces][4] = {}, value_sum[R::kPieces][4] = {};
  for (int base = 0; base < count; base += kTests * kThreads) {
    const int listed = dvl::list_segments<kTests, kThreads>(a.segments, base, count, begin, end, list);
    int next = 0;         // in the list: the segment whose rows are copied next
    Segment coming{};     // that segment
    int next_row = 0;     // its first packed row to be copied
    float pending = 0.f;  // lse or delta of one of the rows that were copied last
    const auto enter = [&] {
      if (next == listed) return;
      coming = a.segments[list[next]];
      next_row = coming.first_row_that_sees(begin, end) * group;
    };
    const auto copy_next = [&](int s) {
      if (next < listed) {
        const int packed_rows = coming.rows * group;
        stage(s).copy(a.q, a.dout, [&](int row) { return next_row + row < packed_rows ? a.at(coming, next_row + row) * D : -1; });
        if (threadIdx.x < 2 * kTile) {
          const int row = next_row + int(threadIdx.x % kTile);
          const int64_t at = row < packed_rows ? a.at(coming, row) : -1;
          pending = at < 0 ? 0.f : threadIdx.x < kTile ? a.lse[at] * dvl::kLog2E : delta[at];
        }
      }
      dvl::cp_async_commit();
    };
    enter();
    copy_next(0);
    for (int s = 0; next < listed; s ^= 1) {
      const Segment segment = coming;
      const int first = next_row, packed_rows = segment.rows * group;
      next_row += kTile;
      if (next_row >= packed_rows) {
        next++;
        enter();
      }
      if (threadIdx.x < 2 * kTile) of_rows[s * 2 * kTile + threadIdx.x] = pending;
      dvl::cp_async_wait<0>();  // the rows are there
      __syncthreads();          // for everyone; and everyone is done with the other rows
      copy_next(s ^ 1);
      int seen_from[2];  // the first packed row that sees the thread's slots
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int slot = begin + warp_key + (lane >> 2) + 8 * half;
        seen_from[half] = slot < end ? segment.first_row_that_sees(slot, slot + 1) * group : packed_rows;
      }
      if (dvl::ballot(min(seen_from[0], seen_from[1]) < min(first + kTile, packed_rows)) == 0) continue;
      const Pair<D, kTile> rows = stage(s);
      float score[kTile / 8][4] = {}, dp[kTile / 8][4] = {};
#pragma unroll
      for (int step = 0; step < R::kSteps; step++) {
        uint32_t key[4], value[4];
        load_rows<D>(key, keys.first, warp_key, step);
        load_rows<D>(value, keys.second, warp_key, step);
#pragma unroll
        for (int j = 0; j < kTile / 16; j++) {
          multiply_transposed<D>(score[2 * j], score[2 * j + 1], key, rows.first, 16 * j, step);
          multiply_transposed<D>(dp[2 * j], dp[2 * j + 1], value, rows.second, 16 * j, step);
        }
      }
#pragma unroll
      for (int n = 0; n < kTile / 8; n++) {
        float row_lse[2], row_delta[2];
        dvl::load<2>(of_rows + s * 2 * kTile + 8 * n + 2 * (lane & 3), row_lse);
        dvl::load<2>(of_rows + (s * 2 + 1) * kTile + 8 * n + 2 * (lane & 3), row_delta);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int row = first + 8 * n + 2 * (lane & 3) + (i & 1);
          const bool sees = row >= seen_from[i >> 1] && row < packed_rows;
          const float p = dvl::exp2_fast(score[n][i] * scale - row_lse[i & 1]);
          score[n][i] = sees ? p : 0.f;
          dp[n][i] = sees ? p * (dp[n][i] - row_delta[i & 1]) : 0.f;
        }
      }
      uint32_t p[kTile / 16][4], ds[kTile / 16][4];
      pack<kTile>(score, p);
      pack<kTile>(dp, ds);
#pragma unroll
      for (int j = 0; j < kTile / 16; j++) {
        multiply<D>(value_sum, p[j], rows.second, 16 * j);
        multiply<D>(key_sum, ds[j], rows.first, 16 * j);
      }
    }
  }
  dvl::cp_async_wait<0>();
  __syncthreads();
#pragma unroll
  for (int piece = 0; piece < R::kPieces; piece++) {
    put<D>(keys.first, warp_key, piece, key_sum[piece], a.scale, a.scale);
    put<D>(keys.second, warp_key, piece, value_sum[piece], 1.f, 1.f);
  }
  __syncthreads();
  store_rows<D>(dk, keys.first, kRows, slot_offset);
  store_rows<D>(dv, keys.second, kRows, slot_offset);
}

}  // namespace

#define ATTENTION_BACKWARD(D)                                                                                                       \
  extern "C" __global__ void __launch_bounds__(kThreads, 2)                                                                         \
      attention_backward_q_d##D##_bf16(const bf16* q, const bf16* k, const bf16* v, const Segment* segments, const bf16* out,       \
                                       const float* lse, const bf16* dout, bf16* dq, float* delta, int heads, int kv_heads,         \
                                       int slots, float scale) {                                                                    \
    backward_q<D>({q, k, v, segments, lse, dout, heads, kv_heads, slots, scale}, out, dq, delta);                                   \
  }                                                                                                                                 \
  DVL_EXPORT(attention_backward_q_d##D##_bf16);                                                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads, 2)                                                                         \
      attention_backward_kv_d##D##_bf16(const bf16* q, const bf16* k, const bf16* v, const Segment* segments, const float* lse,     \
                                        const bf16* dout, const float* delta, bf16* dk, bf16* dv, int count, int heads,             \
                                        int kv_heads, int slots, float scale) {                                                     \
    backward_kv<D>({q, k, v, segments, lse, dout, heads, kv_heads, slots, scale}, delta, dk, dv, count);                            \
  }                                                                                                                                 \
  DVL_EXPORT(attention_backward_kv_d##D##_bf16)

ATTENTION_BACKWARD(128);
ATTENTION_BACKWARD(80);
ATTENTION_BACKWARD(72);
