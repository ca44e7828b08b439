// SPDX-License-Identifier: Apache-2.0
// What the files of integer operations share.
#pragma once
#include "operations.h"

namespace emu::ptx {

// Unsigned, so that overflow wraps.
template <class T>
struct UnsignedOf {
  using type = std::make_unsigned_t<T>;
};
template <> struct UnsignedOf<__int128> { using type = unsigned __int128; };
template <> struct UnsignedOf<unsigned __int128> { using type = unsigned __int128; };
template <class T>
using Unsigned = typename UnsignedOf<T>::type;
template <class T>
struct Twice;
template <> struct Twice<uint16_t> { using type = uint32_t; };
template <> struct Twice<int16_t> { using type = int32_t; };
template <> struct Twice<uint32_t> { using type = uint64_t; };
template <> struct Twice<int32_t> { using type = int64_t; };
template <> struct Twice<uint64_t> { using type = unsigned __int128; };
template <> struct Twice<int64_t> { using type = __int128; };
template <class T>
using Wide = typename Twice<T>::type;

#define OPERATION2(name, expression) \
  struct name {                      \
    template <class T>               \
    static T apply(T a, T b) {       \
      return static_cast<T>(expression); \
    }                                \
  };
#define OPERATION1(name, expression) \
  struct name {                      \
    template <class T>               \
    static T apply(T a) {            \
      return static_cast<T>(expression); \
    }                                \
  };

OPERATION2(MultiplyLow, Unsigned<Wide<T>>(a) * Unsigned<Wide<T>>(b))
OPERATION2(MultiplyHigh, (Wide<T>(a) * Wide<T>(b)) >> (8 * sizeof(T)))

// carry.cpp
void make_add_cc(Decoder& d);
void make_sub_cc(Decoder& d);
void make_mad_cc(Decoder& d);

}  // namespace emu::ptx
