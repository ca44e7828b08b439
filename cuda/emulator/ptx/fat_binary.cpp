// SPDX-License-Identifier: Apache-2.0
// The layout is not documented; it is as nvcc 11 to 13 write it: a header of 16 bytes, then entries, each with a header of its own. An
// entry's contents are plain, or compressed as an LZ4 block or a Zstandard frame. Nothing in it is trusted.
#include "fat_binary.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "image_file.h"

namespace emu::ptx {
namespace {

constexpr uint32_t kMagic = 0xba55ed50, kWrapperMagic = 0x466243b1;
constexpr uint64_t kMaxBytes = uint64_t{1} << 30;
constexpr uint16_t kPtx = 1;
constexpr uint64_t kLz4 = 0x2000, kZstandard = 0x8000;

struct Header {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;  // behind the header
};
struct Entry {
  uint16_t kind, version;
  uint32_t header_bytes;
  uint64_t bytes;  // behind the header
  uint32_t compressed_bytes, unknown;
  uint16_t minor, major;
  uint32_t architecture;
  uint64_t unknown2, flags, unknown3, plain_bytes;
};
static_assert(sizeof(Header) == 16 && sizeof(Entry) == 64);

// An LZ4 block into exactly `size` bytes; false if it is none.
bool expand_lz4(const std::string& from, std::string& to, size_t size) {
  to.clear();
  size_t at = 0;
  const auto length = [&](size_t n) {
    if (n != 15) return n;
    uint8_t byte = 255;
    while (byte == 255 && at < from.size()) n += byte = static_cast<uint8_t>(from[at++]);
    return n;
  };
  while (at < from.size()) {
    const auto token = static_cast<uint8_t>(from[at++]);
    const size_t literals = length(token >> 4);
    if (literals > from.size() - at || literals > size - to.size()) return false;
    to.append(from, at, literals);
    at += literals;
    if (at == from.size()) break;
    if (from.size() - at < 2) return false;
    const size_t distance = static_cast<uint8_t>(from[at]) | static_cast<size_t>(static_cast<uint8_t>(from[at + 1])) << 8;
    at += 2;
    const size_t match = length(token & 15) + 4;
    if (distance == 0 || distance > to.size() || match > size - to.size()) return false;
    for (size_t k = 0; k < match; k++) to += to[to.size() - distance];
  }
  return to.size() == size;
}

// By the system's own library, which nearly every machine has.
bool expand_zstandard(const std::string& from, std::string& to, size_t size, std::string& error) {
  void* library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
  using Decompress = size_t (*)(void*, size_t, const void*, size_t);
  const auto decompress = library ? reinterpret_cast<Decompress>(dlsym(library, "ZSTD_decompress")) : nullptr;
  if (!decompress) {
    error = "fat binary: its PTX is compressed by Zstandard, and there is no libzstd.so.1; compile with nvcc --no-compress";
    return false;
  }
  to.resize(size);
  if (decompress(to.data(), size, from.data(), from.size()) == size) return true;
  error = "fat binary: its PTX cannot be decompressed";
  return false;
}

bool expand(const Entry& e, const std::string& contents, std::string& text, std::string& error) {
  if (!(e.flags & (kLz4 | kZstandard))) {
    text = contents;
  } else if (e.compressed_bytes > contents.size() || e.plain_bytes > kMaxBytes) {
    error = "fat binary: sizes are wrong";
    return false;
  } else if (e.flags & kZstandard) {
    if (!expand_zstandard(contents.substr(0, e.compressed_bytes), text, e.plain_bytes, error)) return false;
  } else if (!expand_lz4(contents.substr(0, e.compressed_bytes), text, e.plain_bytes)) {
    error = "fat binary: its PTX cannot be decompressed";
    return false;
  }
  text.resize(std::min(text.size(), std::strlen(text.c_str())));
  return true;
}

}  // namespace

bool is_fat_binary(const std::string& start) {
  uint32_t magic = 0;
  std::memcpy(&magic, start.data(), std::min(start.size(), sizeof magic));
  return magic == kMagic || magic == kWrapperMagic;
}

std::string ptx_of_fat_binary(const void* image, std::string& error) {
  ImageFile file;
  Header h{};
  struct {
    uint32_t magic, version;
    const void* data;
  } wrapper{};
  error = "fat binary: not readable";
  if (!file.valid() || !file.extend(image, sizeof h) || !file.read(&wrapper, 1, 0)) return "";
  if (wrapper.magic == kWrapperMagic) {
    ImageFile inner;
    if (!inner.extend(wrapper.data, sizeof h) || !inner.read(&h, 1, 0) || h.magic != kMagic) return "";
    return ptx_of_fat_binary(wrapper.data, error);
  }
  if (!file.read(&h, 1, 0) || h.header_bytes < sizeof h || h.bytes > kMaxBytes || !file.extend(image, h.header_bytes + h.bytes)) return "";
  std::string best;
  uint32_t newest = 0;
  error = "fat binary: it has code for GPUs only, no PTX; the emulated device runs PTX (nvcc -gencode arch=compute_80,code=compute_80)";
  for (uint64_t at = h.header_bytes, end = h.header_bytes + h.bytes; at + sizeof(Entry) <= end;) {
    Entry e;
    if (!file.read(&e, 1, at) || e.header_bytes < sizeof e || e.bytes > end - at || e.header_bytes > end - at - e.bytes) {
      error = "fat binary: its entries are wrong";
      return "";
    }
    if (e.kind == kPtx && e.architecture >= newest) {
      std::string contents(e.bytes, '\0');
      if (!file.read(contents.data(), contents.size(), at + e.header_bytes)) return "";
      if (!expand(e, contents, best, error)) return "";
      newest = e.architecture;
    }
    at += e.header_bytes + e.bytes;
  }
  return best;
}

}  // namespace emu::ptx
