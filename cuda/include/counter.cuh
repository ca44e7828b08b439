// SPDX-License-Identifier: Apache-2.0
// Random bits without a state: element i of stream `seed` is a function of (seed, i) alone, so results depend on no launch shape.
#pragma once
#include "dvl.cuh"

namespace dvl {

// The splitmix64 finaliser over seed and counter.
__device__ __forceinline__ unsigned long long counter_bits(unsigned long long seed, unsigned long long counter) {
  unsigned long long z = seed + 0x9E3779B97F4A7C15ull * (counter + 1ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

}  // namespace dvl
