// SPDX-License-Identifier: Apache-2.0
// A packed matrix (skinny_weights.cuh) as numbers, row by row, for products by cuBLAS where there are many rows of x.
//
// Shape   w [n, k] packed; out T [n, k], k a multiple of 8.
// Floor   the codes read once, out written once.
// Idea    a block takes a unit; the 4 lanes that share a row and a register write 16 bytes side by side.
// Rounds  (code - zero) * scale in f32, then to T. Our own products do not round it: with many rows, weights are a little coarser.
#include "dvl.cuh"
#include "skinny_weights.cuh"

namespace {

template <bool Paired, class Code, class T>
__device__ __forceinline__ void expand(const dvl::PackedWeights<Code>& w, T* out, int n, int k) {
  const int chunk = blockIdx.x, tile = blockIdx.y, lane = int(threadIdx.x) % 32;
  const int columns = dvl::tiles_of<Paired>(n) * dvl::kTile;
  const auto* const codes = reinterpret_cast<const typename Code::Codes*>(w.unit(k, tile, chunk));
#pragma unroll
  for (int step = 0; step < dvl::kChunk / 16; step++) {
    const int column = chunk * dvl::kChunk + step * 16 + lane % 4 * 2;
    if (column - lane % 4 * 2 >= k) break;
    const int place = int(threadIdx.x) / 32 * 16 + lane / 4;
    const int64_t from = int64_t((chunk * dvl::kChunk + step * 16) >> w.shift) * columns + tile * dvl::kTile + place;
    uint32_t a[4], offset[2] = {};
    if constexpr (Code::kZeros) {
      offset[0] = Code::offset_of(w.zeros != nullptr ? w.zeros[from] : 8);
      offset[1] = Code::offset_of(w.zeros != nullptr ? w.zeros[from + 8] : 8);
    }
    Code::decode(codes[step * dvl::kSkinnyThreads + int(threadIdx.x)], offset, a);
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const int row = dvl::weight_row<Paired>(tile, place + 8 * (r % 2), n), at = column + 8 * (r / 2);
      const float scale = w.scales[from + 8 * (r % 2)];
      const uint32_t pair = dvl::pack_pair<T>(dvl::low_of<T>(a[r]) * scale, dvl::high_of<T>(a[r]) * scale);
      if (row < n && at < k) *reinterpret_cast<uint32_t*>(out + int64_t(row) * k + at) = pair;
    }
  }
}

}  // namespace

#define EXPAND_WEIGHTS(T, FORM)                                                               \
  extern "C" __global__ void __launch_bounds__(dvl::kSkinnyThreads)                           \
      expand_weights_##T##_##FORM(DVL_PARAMETERS_##FORM(T), T* out, int n, int k, int paired) { \
    if (paired != 0) expand<true>(DVL_WEIGHTS_##FORM(T), out, n, k);                          \
    else expand<false>(DVL_WEIGHTS_##FORM(T), out, n, k);                                     \
  }                                                                                           \
  DVL_EXPORT(expand_weights_##T##_##FORM)

EXPAND_WEIGHTS(bf16, fp8);
EXPAND_WEIGHTS(bf16, int4);
EXPAND_WEIGHTS(f16, fp8);
EXPAND_WEIGHTS(f16, int4);
