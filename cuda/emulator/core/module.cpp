// SPDX-License-Identifier: Apache-2.0
// The modules that are loaded, of whatever kind.
#include "module.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "image_file.h"

namespace emu {
namespace {

std::mutex mutex;
std::vector<Module*> loaded;
const Kernel* registering = nullptr;  // the list built by the constructors of the module being loaded

// The first bytes of the image, as many as can be read up to four
std::string first_bytes(const void* image, size_t size) {
  ImageFile file;
  std::string bytes;
  char c;
  while (bytes.size() < (size ? std::min<size_t>(size, 4) : 4) && file.extend(image, bytes.size() + 1) && file.read(&c, 1, bytes.size()) &&
         (c || !bytes.empty()))
    bytes += c;
  return bytes;
}

}  // namespace

Kernel::Kernel(const char* name, const char* file, Thunk thunk, int parameters, const uint32_t* parameter_size,
               const char* parameter_kind)
    : name(name), file(file), thunk(thunk), parameters(parameters), parameter_size(parameter_size), parameter_kind(parameter_kind),
      next(registering) {
  registering = this;  // module_load holds the lock
}

bool module_contains(const void* p) {
  std::lock_guard<std::mutex> lock(mutex);
  return std::any_of(loaded.begin(), loaded.end(), [p](const Module* m) { return m->contains(p); });
}

Module* module_load(const void* image, size_t size, std::string& error, Result* result) {
  if (result) *result = kInvalidImage;
  if (!image) {
    error = "no image";
    return nullptr;
  }
  const std::string start = first_bytes(image, size);
  std::lock_guard<std::mutex> lock(mutex);
  registering = nullptr;
  Result why = kInvalidImage;
  const bool ptx = is_ptx_image(start);
  std::unique_ptr<Module> m(ptx ? load_ptx_module(image, size, error, why) : load_host_module(image, size, error));
  const Kernel* kernels = registering;
  registering = nullptr;
  if (m && !ptx && !kernels) {  // PTX may have variables only
    error = "module image: has no kernels for this device";
    m = nullptr;
  }
  if (result) *result = m ? kSuccess : why;
  if (!m) return nullptr;
  m->kernels = kernels;
  loaded.push_back(m.get());
  return m.release();
}

const Kernel* module_kernels(const Module* module) { return module->kernels; }

const Kernel* module_find(const Module* module, const char* name) {
  for (const Kernel* k = module->kernels; k; k = k->next)
    if (std::strcmp(k->name, name) == 0) return k;
  return nullptr;
}

bool module_global(const Module* module, const char* name, void** start, size_t* bytes) { return module->global(name, start, bytes); }

void module_unload(Module* module) {
  if (!module) return;
  std::lock_guard<std::mutex> lock(mutex);
  loaded.erase(std::find(loaded.begin(), loaded.end(), module));
  delete module;
}

}  // namespace emu
