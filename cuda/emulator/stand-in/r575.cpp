// SPDX-License-Identifier: Apache-2.0
// A driver of the release before CUDA 13. Nothing but its version may be asked.
#include "front.h"

FRONT int cuDriverGetVersion(int* version) {
  *version = 12090;
  return 0;
}

FRONT int cuInit(unsigned) {
  std::fputs("stand-in: a driver that is too old was initialised\n", stderr);
  std::abort();
}
