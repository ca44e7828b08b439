// SPDX-License-Identifier: Apache-2.0
// Block-masked attention over segments in bf16 or f16 on tensor cores (docs/kernel-contract.md): prefill, denoising, fused store,
// speculation and vision windows are the same kernel with other segments. f32: attention_simt.cu.
//
// Shape   q, out [rows, heads, D]; k, v [kv_heads, slots, D]; query head h reads kv head h / (heads / kv_heads). D = 128, 80 or 72.
//         lse [rows, heads] f32 or null (attention_*): log of the sum of exp(scale * score), for the way back.
// Floor   the visible K and V once per segment and kv head; 16 or 64 rows at a time, so more often from L2.
// Idea    All rows of a segment see the same list of keys (the context, then the segment's own slots), or in a causal segment a beginning
//         of it; the heads of a group read the same kv head. So (row, head of the group) are "packed rows", any of which may share a
//         tile; a row's end in the list is its only mask. Nothing behind the end of a tile's last row is loaded. Tiles of 64 keys go
//         through two stages of cp.async, ldmatrix and m16n8k16 products; scores, P and the output stay in registers (online softmax in
//         base 2).
//           attention_*        a warp has 16 of 64 rows and all keys: many rows (prefill, vision).
//           attention_split_*  a warp has the block's 16 rows and 16 keys of every tile, and up to max_splits blocks share the list:
//                              few rows (denoising), where latency counts. Partial results (maximum, sum, output) are merged in
//                              the order of the warps, and by the last block in the order of the ranges.
// Bits    of a row depend on its own keys and max_splits only: its ranges follow from the length of its own list. In a causal segment two
//         rows of a tile may have ranges of different lengths; the block then goes through both, each row within its own.
//         A key that is hidden from one row of a tile and seen by another has the weight 0 for the one: its value must be finite.
// Rounds  P to T before P V (the sum of P is not rounded), and the result once; all else is f32.
#include "attention_rows.cuh"
#include "grid.cuh"
#include "segment.cuh"

namespace {

using namespace dvl::attention;

constexpr int kTile = 64;  // keys
constexpr int kStages = 2;

// Blocks of a multiprocessor, of which registers follow: three would not be enough for d80 and d72 in what ptxas makes for 12.0.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ / 100 == 12
template <int D>
constexpr int kResident = 2;
#else
template <int D>
constexpr int kResident = D == 128 ? 2 : 3;
#endif

template <class T>
struct Arguments {
  const T *q, *k, *v;
  const Segment* segments;
  T* out;
  float* lse;
  int heads, kv_heads, slots;
  float scale;
};

// How a list of keys is cut: `tiles` of every range but the last, and how many ranges there are.
struct Ranges {
  int tiles, count;

  __device__ __forceinline__ Ranges(int keys, int most) {
    const int all = (keys + kTile - 1) / kTile;
    tiles = max((all + most - 1) / most, 1);
    count = max((all + tiles - 1) / tiles, 1);
  }
  __device__ __forceinline__ int begin(int range) const { return range * tiles * kTile; }  // its first key
};

// One block: a tile of packed rows of a segment (blockIdx.z, from the last), kv head blockIdx.y; blockIdx.x, from the last:
// tile * max_splits + range.
template <int D, bool kSplit, class T>
__device__ __forceinline__ void attend(const Arguments<T>& a, float4* partial, unsigned* arrived, int max_splits) {
  using R = RowTile<D>;
  constexpr int kRows = kSplit ? 16 : 16 * kWarps, kKeys = kSplit ? kTile / kWarps : kTile;  // of the block, of a warp in a tile
  constexpr int kTileBytes = kTile * R::kRowBytes;
  DVL_DYN_SHARED(shared);
  unsigned char* const rows_tile = shared;  // Q, then the ends of the rows' keys, then the output
  unsigned char* const key_tiles = shared + kRows * R::kRowBytes;
  unsigned char* const value_tiles = key_tiles + kStages * kTileBytes;

  // What has the longest list begins: a prompt's last segment, a causal segment's last tile.
  const int which = int(gridDim.z) - 1 - int(blockIdx.z);
  const int block = int(gridDim.x) - 1 - int(blockIdx.x);
  const Segment segment = a.segments[which];
  const int group = a.heads / a.kv_heads, kv_head = blockIdx.y;
  const int tile = block / max_splits, split = block % max_splits;
  const int first_row = tile * kRows, packed_rows = segment.rows * group;
  if (first_row >= packed_rows) {
    if constexpr (kSplit) dvl::wait_for_previous_grid();  // no block ends before that grid: who waits for this one waits for both
    return;
  }
  // keys of the tile's first and last row, whose lists are the shortest and the longest
  const int fewest = segment.keys(first_row / group), most = segment.keys((min(first_row + kRows, packed_rows) - 1) / group);
  const Ranges first_ranges(fewest, max_splits), last_ranges(most, max_splits);
  const int splits = max(first_ranges.count, last_ranges.count);
  if (split >= splits) {
    if constexpr (kSplit) dvl::wait_for_previous_grid();
    return;
  }
  const int begin = first_ranges.begin(split), end = min(most, last_ranges.begin(split + 1));

  // where a packed row starts in q and out; < 0 behind the last
  const auto row_offset = [&](int row) {
    const int packed = first_row + row;
    return packed < packed_rows ? (int64_t(segment.row + packed / group) * a.heads + kv_head * group + packed % group) * D : -1;
  };
  const int64_t plane = int64_t(kv_head) * a.slots * D;
  const auto copy_keys = [&](int first, int stage) {  // and values, as the next group
    if (first < end)
      copy_rows<D, kTile>(key_tiles + stage * kTileBytes, a.k + plane,
                          [&](int key) { return first + key < end ? int64_t(segment.slot_of_key(first + key)) * D : -1; });
    dvl::cp_async_commit();
    if (first < end)
      copy_rows<D, kTile>(value_tiles + stage * kTileBytes, a.v + plane,
                          [&](int key) { return first + key < end ? int64_t(segment.slot_of_key(first + key)) * D : -1; });
    dvl::cp_async_commit();
  };
  if constexpr (kSplit) {
    // While the kernel before ends: what the segment sees is known, and of the context most was there before. Only the L2 cache is asked
    // for it, so that keys which that kernel writes are right, too.
    constexpr int kLines = (D * int(sizeof(bf16)) + 127) / 128;
    const int there = min(min(begin + kTile, end), segment.context_end - segment.context_begin);
    for (int i = int(threadIdx.x); i < (there - begin) * kLines; i += kThreads) {
      const int64_t at = plane + int64_t(segment.slot_of_key(begin + i / kLines)) * D + i % kLines * 64;
      dvl::prefetch_line(a.k + at);
      dvl::prefetch_line(a.v + at);
    }
    dvl::wait_for_previous_grid();
  }
  copy_rows<D, kRows>(rows_tile, a.q, row_offset);
  dvl::cp_async_commit();
  copy_keys(begin, 0);
  if constexpr (kSplit) dvl::let_next_grid_start();  // the output projection, whose weights come behind these keys and values

  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const int warp_row = kSplit ? 0 : 16 * warp, warp_key = kSplit ? kKeys * warp : 0;
  const float scale = a.scale * dvl::kLog2E;
  Warp16<D, T> state;
  dvl::cp_async_wait<2>();
  __syncthreads();
  state.load_query(rows_tile, warp_row);
  __syncthreads();  // everyone has Q: its place is free for where each row's range of its own list begins and ends
  int* const row_begin = reinterpret_cast<int*>(rows_tile);
  int* const row_end = row_begin + kRows;
  if (threadIdx.x < kRows) {
    const int keys = segment.keys((first_row + int(threadIdx.x)) / group);
    const Ranges ranges(keys, max_splits);
    if (kSplit) row_begin[threadIdx.x] = ranges.begin(split);
    row_end[threadIdx.x] = min(keys, ranges.begin(split + 1));
  }
  for (int first = begin, stage = 0; first < end; first += kTile, stage ^= 1) {
    uint32_t p[kKeys / 16][4];
    const bool busy = first_row + warp_row < packed_rows && first + warp_key < end;
    dvl::cp_async_wait<1>();  // keys are there
    __syncthreads();          // for everyone; and everyone is done with the other stage
    copy_keys(first + kTile, stage ^ 1);
    if (busy) {
      int valid[2];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = warp_row + (lane >> 2) + 8 * half;
        valid[half] = kSplit && first < row_begin[row] ? 0 : row_end[row] - first - warp_key;
      }
      state.template weigh<kKeys>(key_tiles + stage * kTileBytes, warp_key, valid, scale, p);
    }
    dvl::cp_async_wait<2>();  // values too
    __syncthreads();
    if (busy) state.template add_values<kKeys>(value_tiles + stage * kTileBytes, warp_key, p);
  }
  dvl::cp_async_wait<0>();
  __syncthreads();  // everyone is done with all tiles, and with Q where there was no key
  Softmax& softmax = state.softmax;
  for (int half = 0; half < 2; half++) softmax.sum[half] = dvl::warp_sum<4>(softmax.sum[half]);

  if constexpr (!kSplit) {
#pragma unroll
    for (int piece = 0; piece < R::kPieces; piece++)
      put<D, T>(rows_tile, warp_row, piece, state.out[piece], softmax.inverse(0), softmax.inverse(1));
    if (a.lse != nullptr && (lane & 3) == 0) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int64_t offset = row_offset(warp_row + (lane >> 2) + 8 * half);
        if (offset >= 0) a.lse[offset / D] = (softmax.maximum[half] + log2f(softmax.sum[half])) / dvl::kLog2E;
      }
    }
  } else {
    // Warps meet in the memory of the keys; then blocks in that of the grid, each warp with its share of the pieces.
    float4* const met = reinterpret_cast<float4*>(key_tiles);
#pragma unroll
    for (int piece = 0; piece < R::kPieces; piece++)
      met[(warp * (R::kPieces + 1) + piece) * 32 + lane] =
          make_float4(state.out[piece][0], state.out[piece][1], state.out[piece][2], state.out[piece][3]);
    met[(warp * (R::kPieces + 1) + R::kPieces) * 32 + lane] =
        make_float4(softmax.maximum[0], softmax.sum[0], softmax.maximum[1], softmax.sum[1]);
    __syncthreads();
    Softmax total;
    float out[kShare<D>][4];
    merge<D>(kWarps, [&](int i, int piece) { return met[(i * (R::kPieces + 1) + piece) * 32 + lane]; }, total, out);
    if (splits > 1) {
      const int place = (which * a.kv_heads + kv_head) * (int(gridDim.x) / max_splits) + tile;
      float4* const ranges = partial + int64_t(place) * max_splits * kPartialVectors<D>;
      float4* const mine = ranges + split * kPartialVectors<D> + lane;
#pragma unroll
      for (int s = 0; s < kShare<D>; s++)
        if (warp + s * kWarps < R::kPieces) mine[(warp + s * kWarps) * 32] = make_float4(out[s][0], out[s][1], out[s][2], out[s][3]);
      if (warp == 0) mine[R::kPieces * 32] = make_float4(total.maximum[0], total.sum[0], total.maximum[1], total.sum[1]);
      if (!dvl::last_block(arrived + place, splits)) return;
      static_assert(kMergeBytes<D> <= kRows * R::kRowBytes + 2 * kStages * kTileBytes, "as much as there is");
      merge_ranges<D>(shared, ranges, splits, total, out);
      __syncthreads();  // everyone is done with the states, where the output comes
    }
#pragma unroll
    for (int s = 0; s < kShare<D>; s++)
      if (warp + s * kWarps < R::kPieces) put<D, T>(rows_tile, 0, warp + s * kWarps, out[s], total.inverse(0), total.inverse(1));
  }
  __syncthreads();
  store_rows<D, kRows>(a.out, rows_tile, row_offset);
}

}  // namespace

#define ATTENTION(D, T, suffix)                                                                                               \
  extern "C" __global__ void __launch_bounds__(kThreads, kResident<D>)                                                        \
      attention_d##D##_##suffix(const T* q, const T* k, const T* v, const Segment* segments, T* out, float* lse, int heads,   \
                                int kv_heads, int slots, float scale) {                                                       \
    attend<D, false, T>({q, k, v, segments, out, lse, heads, kv_heads, slots, scale}, nullptr, nullptr, 1);                   \
  }                                                                                                                           \
  DVL_EXPORT(attention_d##D##_##suffix);                                                                                      \
  extern "C" __global__ void __launch_bounds__(kThreads, D == 128 ? 3 : 4)                                                    \
      attention_split_d##D##_##suffix(const T* q, const T* k, const T* v, const Segment* segments, T* out, int heads,         \
                                      int kv_heads, int slots, float scale, float4* partial, unsigned* arrived,               \
                                      int max_splits) {                                                                       \
    attend<D, true, T>({q, k, v, segments, out, nullptr, heads, kv_heads, slots, scale}, partial, arrived, max_splits);       \
  }                                                                                                                           \
  DVL_EXPORT(attention_split_d##D##_##suffix)

ATTENTION(128, bf16, bf16);
ATTENTION(80, bf16, bf16);
ATTENTION(72, bf16, bf16);
ATTENTION(128, f16, f16);
ATTENTION(80, f16, f16);
ATTENTION(72, f16, f16);
