// SPDX-License-Identifier: Apache-2.0
// Matrices in registers: the types of their values, and their product. For mma and wmma.
#pragma once
#include "decoder.h"

namespace emu::ptx {

enum class Element : uint8_t { kHalf, kBrain, kTf32, kF32, kF64, kS8, kU8, kS32, kE4m3, kE5m2 };

// Takes the last modifier off the opcode; refuses it if it is no type of a matrix.
Element take_element(Decoder& d);

unsigned bits_of(Element e);
// How many values a register holds: tf32 and f32 one, f16 two; f64 is in registers of 64 bits
inline unsigned per_register(Element e) { return std::max(1u, 32 / bits_of(e)); }
inline unsigned register_bits(Element e) { return std::max(32u, bits_of(e)); }

double decode(Element e, uint64_t bits);
uint64_t encode(Element e, double value);

// The value of a lane in a list of registers; `n` counts values, not registers.
double value_of(const Context& c, const Operand* registers, Element e, unsigned lane, unsigned n);
void set_value(const Context& c, const Operand* registers, Element e, unsigned lane, unsigned n, double value);

// The order in which the products of a sum are added is the hardware's own business. This device adds them one after the other, as the
// kernels compiled by g++ do; the option mma=N chooses other orders.
struct SumOrder {
  int k[32];
};
SumOrder order_of(uint64_t choice, int n);

// c + a b; a is m x k, b is k x n, each row by row.
struct Product {
  int m, n, k;
  Element sum;    // f16 and f32: added in f32; s32, f64
  bool saturate;  // of s32
  double a[512], b[512], c[256];

  void add_up();
};

// mma of types other than f16 and bf16; the opcode has its shape and what is not a type left.
void make_typed_mma(Decoder& d, Element dt, Element at, Element bt, Element ct);
void make_wmma(Decoder& d);  // wmma.cpp

// The registers of a vector, as results or as sources; their number.
unsigned take_registers(Decoder& d, const Arg& a, Element e, bool results);

}  // namespace emu::ptx
