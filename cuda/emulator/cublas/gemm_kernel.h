// SPDX-License-Identifier: Apache-2.0
// Matrix product on the CPU behind the cuBLAS facade. Column-major, like cuBLAS.
//
// Every element of C is one chain of fused multiply-adds over k in ascending order, whatever the shape, the operand
// orders, the tile it falls in or the number of threads. So a column (a row of the row-major caller) has the same bits
// for every n, and a run has the same bits as the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace emu::gemm {

enum class Type { F32, BF16, F16 };

constexpr size_t size_of(Type type) { return type == Type::F32 ? 4 : 2; }

// C[m x n] = alpha * op(A)[m x k] * op(B)[k x n] + beta * C; f32 accumulation, one rounding into C.
// C is not read when beta is 0; A and B are not read when alpha or k is 0.
struct Problem {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  const void* a;
  const void* b;
  void* c;
  int64_t lda, ldb, ldc;
  Type type_ab, type_c;
  float alpha, beta;
};

// Runs body(0) ... body(count - 1) in any order, possibly at the same time, and returns when all are done.
using ParallelFor = std::function<void(int count, const std::function<void(int)>& body)>;

void multiply(const Problem& problem, const ParallelFor& parallel_for);

} // namespace emu::gemm
