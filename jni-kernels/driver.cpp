// SPDX-License-Identifier: Apache-2.0
#include "driver.h"

#include <dlfcn.h>

namespace dvl {

void* driver_symbol(const char* name) {
  // Never loads: Java has chosen the driver by loading it.
  static void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  return driver ? dlsym(driver, name) : nullptr;
}

} // namespace dvl
