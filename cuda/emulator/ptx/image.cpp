// SPDX-License-Identifier: Apache-2.0
// Loading: variables get their places, functions are decoded, and what kernels use by calls is found out.
#include <algorithm>
#include <cstring>
#include <set>

#include "decoder.h"
#include "function_decoder.h"

namespace emu::ptx {
namespace {

char* place_of(const Image& image, const std::string& symbol, unsigned line) {
  if (const Global* g = image.global(symbol)) return g->address;
  if (const Function* f = image.function(symbol)) return reinterpret_cast<char*>(const_cast<Function*>(f));
  throw Refused(line, "'" + symbol + "' is not known");
}

// Cooperative groups of more than one warp meet there.
const Variable& reserved_shared() {
  static const Variable variable = [] {
    Variable v;
    v.name = "%reserved_smem_offset_1";
    v.space = Space::kShared;
    v.align = 16;
    v.bytes = kReservedShared;
    return v;
  }();
  return variable;
}

void place_globals(Image& image) {
  image.shared.push_back(&reserved_shared());
  for (const Variable& v : image.program.variables) {
    if (v.space == Space::kShared) {
      image.shared.push_back(&v);
      continue;
    }
    if (v.external) throw Refused(v.line, "variable " + v.name + " is defined in another module");
    char* address = static_cast<char*>(device_alloc(std::max<size_t>(v.bytes, 1)));
    if (!address) throw Refused(v.line, "no device memory for variable " + v.name);
    image.globals.push_back({&v, address});
  }
}

void initialise_globals(Image& image) {
  for (const Global& g : image.globals) {
    const Variable& v = *g.variable;
    std::memset(g.address, 0, v.bytes);
    std::copy(v.initial.begin(), v.initial.end(), g.address);
    for (const Relocation& r : v.relocations) {
      const uint64_t value = reinterpret_cast<uint64_t>(place_of(image, r.symbol, v.line)) + static_cast<uint64_t>(r.addend);
      std::memcpy(g.address + r.offset, &value, std::min<size_t>(r.bytes, 8));
    }
    device_written(g.address, v.bytes);
  }
}

void find_shared(const Image& image, const Function& f, std::set<const Function*>& seen, std::set<uint32_t>& used) {
  if (!seen.insert(&f).second) return;
  for (const Ins& i : f.code)
    for (int k = 0; k < i.operands; k++)
      if (i.o[k].base == kLaunch && i.o[k].offset / kLaunchSlot < image.shared.size()) used.insert(i.o[k].offset / kLaunchSlot);
  bool indirect = false;
  for (const Call& call : f.calls) {
    if (call.callee) find_shared(image, *call.callee, seen, used);
    else indirect |= !call.builtin;
  }
  if (!indirect) return;  // else it may call any
  for (const auto& other : image.functions)
    if (other && !other->text->entry) find_shared(image, *other, seen, used);
}

}  // namespace

Image::~Image() {
  for (const Global& g : globals) device_free(g.address);
}

const Function* Image::function(std::string_view name) const {
  for (const auto& f : functions)
    if (f && f->text->name == name) return f.get();
  return nullptr;
}

const Global* Image::global(std::string_view name) const {
  for (const Global& g : globals)
    if (g.variable->name == name) return &g;
  return nullptr;
}

std::unique_ptr<Image> load(std::string_view text) {
  auto image = std::make_unique<Image>();
  image->program = read(text);
  place_globals(*image);
  for (const FunctionText& f : image->program.functions) {
    std::unique_ptr<Function> function;
    if (f.defined) {
      function = std::make_unique<Function>();
      function->image = image.get();
      function->text = &f;  // functions are found by name from here on
      for (const Variable& v : f.variables)
        if (v.space == Space::kShared) image->shared.push_back(&v);
    }
    image->functions.push_back(std::move(function));
  }
  // All signatures are known before the first call is decoded.
  std::vector<std::unique_ptr<FunctionDecoder>> decoders;
  for (const auto& f : image->functions)
    if (f) decoders.push_back(std::make_unique<FunctionDecoder>(*image, *f->text, *f));
  for (const auto& d : decoders) d->decode();
  initialise_globals(*image);
  for (const auto& f : image->functions) {
    if (!f || !f->text->entry) continue;
    std::set<const Function*> seen;
    std::set<uint32_t> used;
    find_shared(*image, *f, seen, used);
    f->shared.assign(used.begin(), used.end());
  }
  return image;
}

Site site_of(const Context& c, const Ins& i) {
  const Place& p = i.text->place;
  const std::map<unsigned, std::string>& files = c.machine->image->program.files;
  const auto file = files.find(p.file);
  if (p.line == 0 || file == files.end()) return {"PTX", p.ptx_line, 0};
  return {file->second.c_str(), p.line, p.column};
}

}  // namespace emu::ptx
