// SPDX-License-Identifier: Apache-2.0
// ldmatrix and mma.sync over the arguments of the 32 lanes of a warp, which all wait.
#pragma once
#include "worker.h"

namespace emu {

struct LdmatrixArgument {
  const void* row;
  uint32_t* r;
  int tiles;
};
struct MmaArgument {
  float* d;  // in and out
  const uint32_t* a;
  uint32_t b[2];
};

void do_ldmatrix(Worker& w, Fiber* lanes, bool transposed);
void do_mma(Worker& w, Fiber* lanes, bool f16);

}  // namespace emu
