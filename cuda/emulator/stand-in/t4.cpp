// SPDX-License-Identifier: Apache-2.0
// A GPU that is too old, of compute capability 7.5.
#include "front.h"

FRONT int cuDeviceGetName(char* name, int length, int) {
  std::snprintf(name, size_t(length), "Tesla T4");
  return 0;
}

FRONT int cuDeviceGetAttribute(int* value, int attribute, int device) {
  switch (attribute) {
  case IS_EMULATED: return 1;
  case COMPUTE_CAPABILITY_MAJOR: return *value = 7, 0;
  case COMPUTE_CAPABILITY_MINOR: return *value = 5, 0;
  default: return behind<int (*)(int*, int, int)>("cuDeviceGetAttribute")(value, attribute, device);
  }
}
