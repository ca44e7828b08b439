// SPDX-License-Identifier: Apache-2.0
// Cuts images into patches, so that a matrix product does the patch convolution (stride = kernel size, no padding).
//
// Shape   images [images, height, width, channels], patches [images * gh * gw, patch * patch * channels], raster order; gh = height /
//         patch, gw = width / patch. What is left at the right and the bottom is not read.
// Floor   the patches written once, as much read.
// Idea    one block per patch. A patch is `patch` runs of patch * channels neighbouring elements. Runs begin at any element (42 apart
//         for 14 x 14 RGB), so there is no 16-byte access to make; neighbouring threads take neighbouring elements.
// Rounds  nothing: a copy.
#include "dvl.cuh"

namespace {

constexpr int kThreads = 128;

template <class T>
__device__ __forceinline__ void extract_patches(const T* images, T* patches, int height, int width, int channels, int patch) {
  const int gh = height / patch, gw = width / patch;
  const int row = blockIdx.x;
  const int image = row / (gh * gw), gy = row / gw % gh, gx = row % gw;
  const int run = patch * channels;
  const T* from = images + ((int64_t(image) * height + gy * patch) * width + gx * patch) * channels;
  T* to = patches + int64_t(row) * patch * run;
  for (int i = threadIdx.x; i < patch * run; i += kThreads) to[i] = from[int64_t(i / run) * width * channels + i % run];
}

}  // namespace

#define EXTRACT_PATCHES(T, suffix)                                                                            \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                      \
      extract_patches_##suffix(const T* images, T* patches, int height, int width, int channels, int patch) { \
    extract_patches(images, patches, height, width, channels, patch);                                         \
  }                                                                                                           \
  DVL_EXPORT(extract_patches_##suffix)

EXTRACT_PATCHES(bf16, bf16);
EXTRACT_PATCHES(f16, f16);
EXTRACT_PATCHES(float, f32);
