// SPDX-License-Identifier: Apache-2.0
// Block-masked attention over segments in bf16 or f16 on tensor cores (docs/kernel-contract.md): prefill, denoising, fused store,
// speculation and vision windows are the same kernel with other segments. f32: attention_simt.cu.
//
// Shape   q, out [rows, heads, D]; k, v [kv_heads, slots, D]; query head h reads kv head h / (heads / kv_heads). D = 128, 80 or 72.
//         lse [rows, heads] f32 or null (attention_*): log of the sum of exp(scale * score), for the way back.
//         _fp8: k and v are E4M3 codes with scales f32 [kv_heads, slots] (attention_codes.cuh); D = 128.
// Floor   the visible K and V once per segment and kv head; 16, 32 or 64 rows at a time, so more often from L2.
// Idea    All rows of a segment see the same list of keys (the context, then the segment's own slots), or in a causal segment a beginning
//         of it; the heads of a group read the same kv head. So (row, head of the group) are "packed rows", any of which may share a
//         tile; a row's end in the list is its only mask. Nothing behind the end of a tile's last row is loaded. Tiles of 64 keys go
//         through two stages of cp.async, ldmatrix and m16n8k16 products; scores, P and the output stay in registers (online softmax in
//         base 2).
//           attention_*        a warp has 16 of 64 rows and all keys: many rows (prefill, vision).
//           attention_split_*  a warp has 16 rows and 16 keys of every tile, and several blocks share the list, each with a range of
//                              it: few rows (denoising), where latency counts. Partial results (maximum, sum, output) are merged in
//                              the order of the warps, and by the last block in the order of the ranges. A block has 16 rows, or 32
//                              with twice the warps, which halves what is read from L2 (AttentionWorkspace.tilesOfBlock).
// Code    Much of it runs once, so loops that do not wait for each other's results are rolled: kernels of a layer share the instruction
//         cache (cuda/proof/budgets.tsv, column code).
// Bits    of a row depend on its own keys and usual_ranges only: its ranges follow from the length of its own list (Ranges). In a causal
//         segment two rows of a tile may have ranges of different lengths; the block then goes through both, each row within its own.
//         A key that is hidden from one row of a tile and seen by another has the weight 0 for the one: its value must be finite.
// Rounds  P to T before P V (the sum of P is not rounded), times the value's scale where it has one, and the result once; all else is f32.
#include "attention_codes.cuh"
#include "attention_rows.cuh"
#include "grid.cuh"
#include "segment.cuh"

namespace {

using namespace dvl::attention;

constexpr int kTile = 64;  // keys
constexpr int kStages = 2;
constexpr int kRangeTiles = 4;  // of a long list's range, as far as kMostRanges reach

// Blocks of a multiprocessor, of which registers follow: three would not be enough for d80 and d72 in what ptxas makes for 12.0.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ / 100 == 12
template <int D>
constexpr int kResident = 2;
#else
template <int D>
constexpr int kResident = D == 128 ? 2 : 3;
#endif

template <class Form>
struct Arguments {
  const typename Form::T* q;
  const typename Form::Element *k, *v;
  const float *key_scales, *value_scales;  // of Codes
  const Segment* segments;
  typename Form::T* out;
  float* lse;
  int heads, kv_heads, slots;
  float scale;
};

// How a list of keys is cut: `tiles` of every range but the last, and how many ranges there are. That is `usual` at most, and in a long
// list, whose ranges would have more than kRangeTiles, up to kMostRanges.
struct Ranges {
  int tiles, count;

  __device__ __forceinline__ Ranges(int keys, int usual) {
    const unsigned all = max(unsigned(keys + kTile - 1) / kTile, 1u);
    const unsigned most = max(min((all + kRangeTiles - 1) / kRangeTiles, unsigned(kMostRanges)), unsigned(usual));
    tiles = int((all + most - 1) / most);
    count = int((all + tiles - 1) / unsigned(tiles));
  }
  __device__ __forceinline__ int begin(int range) const { return range * tiles * kTile; }  // its first key
};

// Where ranges meet.
struct Meeting {
  float4* partial;
  unsigned* arrived;
  int usual, most;  // ranges of a list; `most` for all lists that the grid was made for
};

// One block: packed rows of a segment (blockIdx.x, from the last), sixteen for every kWarps warps; kv head blockIdx.y; range and segment
// (blockIdx.z, the segment from the last), so that blocks without a range come behind all others.
template <int D, bool kSplit, class Form>
__device__ __forceinline__ void attend(const Arguments<Form>& a, const Meeting& meeting) {
  using R = RowTile<D>;
  using T = typename Form::T;
  using Element = typename Form::Element;
  constexpr bool kScaled = sizeof(Element) == 1;
  constexpr int kKeys = kSplit ? kTile / kWarps : kTile;  // of a warp in a tile
  constexpr int kTileBytes = kTile * RowTile<D, sizeof(Element)>::kRowBytes;
  const int rows = kSplit ? int(blockDim.x) / kWarps / 2 : 16 * kWarps;
  DVL_DYN_SHARED(shared);
  unsigned char* const key_tiles = shared;
  unsigned char* const value_tiles = key_tiles + kStages * kTileBytes;
  unsigned char* const rows_tile = value_tiles + kStages * kTileBytes;  // Q, then the output
  int* const row_begin = reinterpret_cast<int*>(rows_tile + rows * R::kRowBytes);  // of each row's range of its own list
  int* const row_end = row_begin + rows;
  float* const scales = reinterpret_cast<float*>(row_end + rows);  // of Codes: [kTile] of a tile's keys, then of its values

  // What has the longest list begins: a prompt's last segment, a causal segment's last tile.
  const int segments = kSplit ? gridDim.z / unsigned(meeting.most) : gridDim.z, split = kSplit ? blockIdx.z / unsigned(segments) : 0;
  const int which = segments - 1 - (int(blockIdx.z) - split * segments), tile = int(gridDim.x) - 1 - int(blockIdx.x);
  const Segment segment = a.segments[which];
  const unsigned group = unsigned(a.heads) / unsigned(a.kv_heads);
  const int kv_head = blockIdx.y;
  const int first_row = tile * rows, packed_rows = segment.rows * int(group);
  // keys of the block's first and last row, whose lists are the shortest and the longest
  const int fewest = segment.keys(unsigned(first_row) / group);
  const int most = segment.keys(unsigned(max(min(first_row + rows, packed_rows), 1) - 1) / group);
  const Ranges first_ranges(fewest, meeting.usual), last_ranges(most, meeting.usual);
  const int splits = kSplit ? max(first_ranges.count, last_ranges.count) : 1;
  if (first_row >= packed_rows || split >= splits) {
    if constexpr (kSplit) dvl::wait_for_previous_grid();  // no block ends before that grid: who waits for this one waits for both
    return;
  }
  const int begin = kSplit ? first_ranges.begin(split) : 0, end = kSplit ? min(most, last_ranges.begin(split + 1)) : most;

  // where a packed row starts in q and out; < 0 behind the last
  const auto row_offset = [&](int row) {
    const int packed = first_row + row, of_segment = unsigned(packed) / group, head = packed - of_segment * int(group);
    return packed < packed_rows ? (int64_t(segment.row + of_segment) * a.heads + kv_head * int(group) + head) * D : -1;
  };
  const int64_t plane = int64_t(kv_head) * a.slots * D;
  const auto copy_keys = [&](int first, int stage) {  // and values, as the next group
#pragma unroll 1
    for (int i = 0; i < 2; i++) {
      if (first < end)
        copy_rows<D>((i == 0 ? key_tiles : value_tiles) + stage * kTileBytes, (i == 0 ? a.k : a.v) + plane, kTile,
                     [&](int key) { return first + key < end ? int64_t(segment.slot_of_key(first + key)) * D : -1; });
      dvl::cp_async_commit();
    }
  };
  if constexpr (kSplit) {
    // While the kernel before ends: what the segment sees is known, and of the context most was there before. Only the L2 cache is asked
    // for it, so that keys which that kernel writes are right, too.
    constexpr int kLines = (D * int(sizeof(Element)) + 127) / 128;
    const int there = min(min(begin + kTile, end), segment.context_end - segment.context_begin);
    for (int i = int(threadIdx.x); i < (there - begin) * kLines; i += int(blockDim.x)) {
      const int64_t at = plane + int64_t(segment.slot_of_key(begin + i / kLines)) * D + i % kLines * (128 / int(sizeof(Element)));
      dvl::prefetch_line(a.k + at);
      dvl::prefetch_line(a.v + at);
    }
    dvl::wait_for_previous_grid();
  }
  copy_rows<D, 1>(rows_tile, a.q, rows, row_offset);  // with the first keys

  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const int warp_row = kSplit ? warp / kWarps * 16 : warp * 16, warp_key = kSplit ? kKeys * (warp % kWarps) : 0;
  const float scale = a.scale * dvl::kLog2E;
  // A thread's share of a tile's scales: that of a key or of a value. 0 behind the end, where weights are 0 and stay so.
  const auto scale_of = [&](int first) {
    const int key = first + int(threadIdx.x) % kTile;
    if (!kScaled || key >= end || threadIdx.x >= 2 * kTile) return 0.f;
    return (threadIdx.x < kTile ? a.key_scales : a.value_scales)[int64_t(kv_head) * a.slots + segment.slot_of_key(key)];
  };
  float next_scale = 0.f;
  Warp16<D, Form> state;
#pragma unroll 1
  for (int first = begin - kTile, stage = 1; first < end; first += kTile, stage ^= 1) {
    uint32_t p[kKeys / 16][4];
    if constexpr (kScaled) {
      if (threadIdx.x < 2 * kTile) scales[threadIdx.x] = next_scale * (threadIdx.x < kTile ? scale * Form::kUnit : Form::kUnit);
    }
    const bool busy = first_row + warp_row < packed_rows && first + warp_key < end;
    dvl::cp_async_wait<1>();  // keys are there
    __syncthreads();          // for everyone; and everyone is done with the other stage
    copy_keys(first + kTile, stage ^ 1);
    next_scale = scale_of(first + kTile);
    if (first < begin) {  // there are none yet
      if constexpr (kSplit) dvl::let_next_grid_start();  // the output projection, whose weights come behind these keys and values
      if (int(threadIdx.x) < rows) {
        const int keys = segment.keys((first_row + threadIdx.x) / group);
        const Ranges ranges(keys, meeting.usual);
        row_begin[threadIdx.x] = ranges.begin(split);
        row_end[threadIdx.x] = kSplit ? min(keys, ranges.begin(split + 1)) : keys;
      }
      continue;
    }
    if (busy) {
      int valid[2];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = warp_row + (lane >> 2) + 8 * half;
        valid[half] = kSplit && first < row_begin[row] ? 0 : row_end[row] - first - warp_key;
      }
      state.load_query(rows_tile, warp_row);
      Form form;
      if constexpr (kScaled) form = {scales, scales + kTile};
      else form = {scale};
      state.template weigh<kKeys>(key_tiles + stage * kTileBytes, warp_key, valid, form, p);
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
    constexpr int kVectors = kPartialVectors<D>;
    constexpr int kMergedBytes[] = {kMergeBytes<D, Form, 1>, 2 * kMergeBytes<D, Form, 2>};  // of one and of two row tiles
    static_assert(kMergedBytes[0] <= 16 * R::kRowBytes + 2 * kStages * kTileBytes, "as much as there is");
    static_assert(kMergedBytes[1] <= 2 * 16 * R::kRowBytes + 2 * kStages * kTileBytes, "as much as there is");
    const int own = warp / kWarps, share = warp % kWarps;  // row tile of the block, pieces
    float4* const met = reinterpret_cast<float4*>(shared) + own * kWarps * kVectors;
#pragma unroll
    for (int piece = 0; piece < R::kPieces; piece++)
      met[share * kVectors + piece * 32 + lane] =
          make_float4(state.out[piece][0], state.out[piece][1], state.out[piece][2], state.out[piece][3]);
    met[share * kVectors + R::kPieces * 32 + lane] =
        make_float4(softmax.maximum[0], softmax.sum[0], softmax.maximum[1], softmax.sum[1]);
    __syncthreads();
    Softmax total;
    float out[kShare<D>][4];
    merge<D>(kWarps, [&](int i, int piece) { return met[i * kVectors + piece * 32 + lane]; }, total, out);
    if (splits > 1) {
      const int place = (which * a.kv_heads + kv_head) * int(gridDim.x) + tile, tiles = rows / 16;
      float4* const ranges = meeting.partial + (int64_t(place) * tiles + own) * meeting.most * kVectors;
      float4* const mine = ranges + split * kVectors + lane;
#pragma unroll
      for (int s = 0; s < kShare<D>; s++)
        if (share + s * kWarps < R::kPieces) mine[(share + s * kWarps) * 32] = make_float4(out[s][0], out[s][1], out[s][2], out[s][3]);
      if (share == 0) mine[R::kPieces * 32] = make_float4(total.maximum[0], total.sum[0], total.maximum[1], total.sum[1]);
      if (!dvl::last_block(meeting.arrived + place, splits)) return;
      merge_ranges<D, Form>(shared + own * kMergeBytes<D, Form, 2>, ranges, splits, tiles, total, out);
    }
    __syncthreads();  // everyone is done with what met, where the output comes
#pragma unroll
    for (int s = 0; s < kShare<D>; s++)
      if (share + s * kWarps < R::kPieces)
        put<D, T>(rows_tile, warp_row, share + s * kWarps, out[s], total.inverse(0), total.inverse(1));
  }
  __syncthreads();
  store_rows<D>(a.out, rows_tile, rows, row_offset);
}

}  // namespace

// Keys and values as parameters, and what the arguments and the type of their tiles are, by form.
#define KEYS_dense(T) const T *k, const T *v
#define KEYS_fp8(T) const unsigned char *k, const unsigned char *v, const float *key_scales, const float *value_scales
#define GIVEN_dense k, v, nullptr, nullptr
#define GIVEN_fp8 k, v, key_scales, value_scales
#define TILES_dense(D, T) Numbers<D, T>
#define TILES_fp8(D, T) Codes<T>

#define ATTENTION(D, T, FORM, suffix)                                                                                          \
  extern "C" __global__ void __launch_bounds__(kThreads, kResident<D>)                                                         \
      attention_d##D##_##suffix(const T* q, KEYS_##FORM(T), const Segment* segments, T* out, float* lse, int heads,            \
                                int kv_heads, int slots, float scale) {                                                        \
    attend<D, false, TILES_##FORM(D, T)>({q, GIVEN_##FORM, segments, out, lse, heads, kv_heads, slots, scale},                 \
                                         {nullptr, nullptr, 1, 1});                                                            \
  }                                                                                                                            \
  DVL_EXPORT(attention_d##D##_##suffix);                                                                                       \
  extern "C" __global__ void __launch_bounds__(2 * kThreads, 2)                                                                \
      attention_split_d##D##_##suffix(const T* q, KEYS_##FORM(T), const Segment* segments, T* out, int heads, int kv_heads,    \
                                      int slots, float scale, float4* partial, unsigned* arrived, int usual_ranges,            \
                                      int most_ranges) {                                                                       \
    attend<D, true, TILES_##FORM(D, T)>({q, GIVEN_##FORM, segments, out, nullptr, heads, kv_heads, slots, scale},              \
                                        {partial, arrived, usual_ranges, most_ranges});                                        \
  }                                                                                                                            \
  DVL_EXPORT(attention_split_d##D##_##suffix)

ATTENTION(128, bf16, dense, bf16);
ATTENTION(80, bf16, dense, bf16);
ATTENTION(72, bf16, dense, bf16);
ATTENTION(128, bf16, fp8, bf16_fp8);
ATTENTION(128, f16, dense, f16);
ATTENTION(80, f16, dense, f16);
ATTENTION(72, f16, dense, f16);
ATTENTION(128, f16, fp8, f16_fp8);
