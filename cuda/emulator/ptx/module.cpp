// SPDX-License-Identifier: Apache-2.0
// PTX modules: text, or the PTX inside a fat binary.
#include "module.h"

#include <cstring>
#include <deque>
#include <memory>
#include <new>

#include "fat_binary.h"
#include "image_file.h"
#include "machine.h"

namespace emu {
namespace {

constexpr size_t kMaxText = size_t{256} << 20;

struct PtxKernel : Kernel {
  PtxKernel(const ptx::Function& f, const char* file, Thunk thunk, const std::vector<uint32_t>& sizes, const std::string& kinds)
      : Kernel(f.text->name.c_str(), file, thunk, static_cast<int>(f.text->parameters), sizes.data(), kinds.c_str()), function(f) {
    whole_block = true;
    max_threads = f.text->max_threads;
  }
  const ptx::Function& function;
};

// Lives as long as its thread: a block that is given up never comes back to free anything.
ptx::Machine& machine() {
  static thread_local ptx::Machine* instance = new ptx::Machine(*worker);
  return *instance;
}

void run_kernel(const Kernel& kernel, void** args) { machine().run(static_cast<const PtxKernel&>(kernel).function, args); }

class PtxModule : public Module {
 public:
  explicit PtxModule(std::unique_ptr<ptx::Image> image) : image_(std::move(image)) {
    for (const auto& f : image_->functions) {
      if (!f || !f->text->entry) continue;
      std::vector<uint32_t>& sizes = sizes_.emplace_back();
      std::string& kinds = kinds_.emplace_back();
      for (size_t i = 0; i < f->text->parameters; i++) {
        sizes.push_back(static_cast<uint32_t>(f->text->variables[i].bytes));
        kinds.push_back(f->text->variables[i].kind);
      }
      sizes.push_back(0);
      kernels_.emplace_back(*f, file_name(), &run_kernel, sizes, kinds);
    }
  }
  bool global(const char* name, void** start, size_t* bytes) const override {
    const ptx::Global* g = image_->global(name);
    if (!g) return false;
    if (start) *start = g->address;
    if (bytes) *bytes = g->variable->bytes;
    return true;
  }

 private:
  // The CUDA source, if the text names it; a kernel's lines may come from headers.
  const char* file_name() const {
    for (const auto& [number, name] : image_->program.files)
      if (name.ends_with(".cu")) return name.c_str();
    return "PTX";
  }

  std::unique_ptr<ptx::Image> image_;
  std::deque<std::vector<uint32_t>> sizes_;
  std::deque<std::string> kinds_;
  std::deque<PtxKernel> kernels_;
};

// The bytes up to `size`, or up to the zero that ends a text
bool copy_text(const void* image, size_t size, std::string& text) {
  ImageFile file;
  constexpr size_t kPage = 4096;
  const size_t limit = size ? size : kMaxText;
  while (text.size() < limit) {
    // Up to the end of the page that holds the next byte: what is behind it may not be there.
    const size_t left = kPage - (reinterpret_cast<uintptr_t>(image) + text.size()) % kPage;
    const size_t at = text.size(), n = std::min(left, limit - at);
    if (!file.valid() || !file.extend(image, at + n)) return false;
    text.resize(at + n);
    if (!file.read(text.data() + at, n, at)) return false;
    if (const size_t end = text.find('\0', at); end != std::string::npos) {
      text.resize(end);
      return true;
    }
  }
  return size != 0;
}

}  // namespace

bool is_ptx_image(const std::string& start) {
  if (start.empty()) return false;
  return ptx::is_fat_binary(start) || std::strchr("/.\n\r \t", start[0]);
}

Module* load_ptx_module(const void* image, size_t size, std::string& error, Result& result) {
  std::string text;
  result = kInvalidImage;
  ImageFile file;
  std::string start(4, '\0');
  if (file.extend(image, 4) && file.read(start.data(), 4, 0) && ptx::is_fat_binary(start)) {
    text = ptx::ptx_of_fat_binary(image, error);
    if (text.empty()) {
      result = kNoBinaryForGpu;
      return nullptr;
    }
  } else if (!copy_text(image, size, text)) {
    error = "PTX text: not readable to its end";
    return nullptr;
  }
  try {
    return new PtxModule(ptx::load(text));
  } catch (const ptx::Refused& refused) {
    error = std::string("PTX ") + refused.what();
    result = kInvalidPtx;
  } catch (const std::bad_alloc&) {
    error = "PTX needs more memory than there is";
  }
  return nullptr;
}

}  // namespace emu
