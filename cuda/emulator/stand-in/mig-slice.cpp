// SPDX-License-Identifier: Apache-2.0
// A seventh of an H100: a GPU like others, but small. DVL_EMULATED_MEMORY says how much memory it has.
#include "front.h"

FRONT int cuDeviceGetName(char* name, int length, int) {
  std::snprintf(name, size_t(length), "NVIDIA H100 80GB HBM3 MIG 1g.10gb");
  return 0;
}
