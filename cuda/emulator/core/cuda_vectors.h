// SPDX-License-Identifier: Apache-2.0
// CUDA's built-in vector types, so that kernels build without a CUDA toolkit.
#pragma once
#include <cstdint>

#define EMU_VECTOR(T, name, align2, align4)          \
  struct alignas(align2) name##2 {                   \
    T x, y;                                          \
  };                                                 \
  struct name##3 {                                   \
    T x, y, z;                                       \
  };                                                 \
  struct alignas(align4) name##4 {                   \
    T x, y, z, w;                                    \
  };                                                 \
  inline name##2 make_##name##2(T x, T y) {          \
    return {x, y};                                   \
  }                                                  \
  inline name##3 make_##name##3(T x, T y, T z) {     \
    return {x, y, z};                                \
  }                                                  \
  inline name##4 make_##name##4(T x, T y, T z, T w) { \
    return {x, y, z, w};                             \
  }
EMU_VECTOR(int, int, 8, 16)
EMU_VECTOR(unsigned, uint, 8, 16)
EMU_VECTOR(float, float, 8, 16)
EMU_VECTOR(double, double, 16, 16)
EMU_VECTOR(short, short, 4, 8)
EMU_VECTOR(unsigned short, ushort, 4, 8)
EMU_VECTOR(signed char, char, 2, 4)
EMU_VECTOR(unsigned char, uchar, 2, 4)
#undef EMU_VECTOR

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
