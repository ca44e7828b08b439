// SPDX-License-Identifier: Apache-2.0
// Host modules: shared objects given as bytes, as cuModuleLoadData gives them. The image is checked before the dynamic loader sees it.
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "image_file.h"
#include "module.h"

namespace emu {
namespace {

constexpr size_t kMaxImage = size_t{1} << 30;

class HostModule : public Module {
 public:
  HostModule(void* handle, int file) : handle_(handle), file_(file) { find_image(); }
  ~HostModule() override {
    dlclose(handle_);
    close(file_);
  }
  bool contains(const void* p) const override { return p >= start_ && p < end_; }

 private:
  void find_image();

  void* handle_;
  int file_;  // stays open: the loader knows a module by its path, which holds this number
  const char* start_ = nullptr;  // its image in memory
  const char* end_ = nullptr;
};

// Where the loader put the module, by its own program headers.
void HostModule::find_image() {
  link_map* map = nullptr;
  if (dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0) return;
  struct Search {
    const link_map* map;
    HostModule* module;
  } search{map, this};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        const auto& s = *static_cast<Search*>(data);
        if (info->dlpi_addr != s.map->l_addr) return 0;
        const auto* base = reinterpret_cast<const char*>(info->dlpi_addr);
        s.module->start_ = base;
        s.module->end_ = base;
        for (int i = 0; i < info->dlpi_phnum; i++) {
          const auto& p = info->dlpi_phdr[i];
          if (p.p_type == PT_LOAD) s.module->end_ = std::max(s.module->end_, base + p.p_vaddr + p.p_memsz);
        }
        return 1;
      },
      &search);
}

const char* check_header(const Elf64_Ehdr& h) {
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0) return "not an ELF file";
  if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB) return "not a 64-bit little-endian ELF file";
  if (h.e_machine == 190) return "a cubin, which needs a GPU; the emulated device takes host modules";
  if (h.e_machine != EM_X86_64) return "not for x86-64";
  if (h.e_type != ET_DYN) return "not a shared object";
  if (h.e_ehsize != sizeof(Elf64_Ehdr) || h.e_phentsize != sizeof(Elf64_Phdr) || h.e_shentsize != sizeof(Elf64_Shdr))
    return "header sizes are wrong";
  if (h.e_phnum == 0 || h.e_phnum > 64 || h.e_shnum == 0 || h.e_shnum > 4096 || h.e_shstrndx >= h.e_shnum)
    return "header counts are wrong";
  if (h.e_phoff > kMaxImage || h.e_shoff > kMaxImage || h.e_shoff < sizeof(Elf64_Ehdr)) return "header offsets are wrong";
  return nullptr;
}

// The end of the file's contents by its own tables, 0 if these make no sense.
size_t image_size(const Elf64_Ehdr& h, const std::vector<Elf64_Phdr>& segments, const std::vector<Elf64_Shdr>& sections) {
  size_t end = h.e_shoff + h.e_shnum * sizeof(Elf64_Shdr);
  const auto include = [&](uint64_t offset, uint64_t size) {
    if (offset > kMaxImage || size > kMaxImage) return false;
    end = std::max<size_t>(end, offset + size);
    return true;
  };
  for (const Elf64_Phdr& p : segments)
    if (p.p_memsz > kMaxImage || p.p_vaddr > kMaxImage || (p.p_filesz > p.p_memsz) || !include(p.p_offset, p.p_filesz))
      return 0;
  if (sections[0].sh_type != SHT_NULL || sections[h.e_shstrndx].sh_type != SHT_STRTAB) return 0;
  for (const Elf64_Shdr& s : sections)
    if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL && !include(s.sh_offset, s.sh_size)) return 0;
  return end <= kMaxImage ? end : 0;
}

bool has_segment(const std::vector<Elf64_Phdr>& segments, uint32_t type) {
  for (const Elf64_Phdr& p : segments)
    if (p.p_type == type && p.p_filesz) return true;
  return false;
}

// Copies the image into the file. Returns what is wrong with it, or nullptr.
const char* copy_image(ImageFile& file, const void* image, size_t size) {
  Elf64_Ehdr h;
  if (size && size < sizeof h) return "too short";
  // An image that is not ELF may end anywhere, even within the first bytes of its last page.
  if (!file.extend(image, SELFMAG) || !file.read(h.e_ident, SELFMAG, 0)) return "not readable";
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0) return "not an ELF file";
  if (!file.extend(image, sizeof h) || !file.read(&h, 1, 0)) return "not readable";
  if (const char* wrong = check_header(h)) return wrong;

  std::vector<Elf64_Phdr> segments(h.e_phnum);
  std::vector<Elf64_Shdr> sections(h.e_shnum);
  const size_t tables = std::max(h.e_phoff + segments.size() * sizeof(Elf64_Phdr), h.e_shoff + sections.size() * sizeof(Elf64_Shdr));
  if (size && tables > size) return "truncated";
  if (!file.extend(image, tables)) return "not readable to its end";
  if (!file.read(segments.data(), segments.size(), h.e_phoff) || !file.read(sections.data(), sections.size(), h.e_shoff))
    return "not readable";

  const size_t end = image_size(h, segments, sections);
  if (!end) return "tables are wrong";
  if (size && end > size) return "truncated";
  if (!has_segment(segments, PT_LOAD) || !has_segment(segments, PT_DYNAMIC)) return "has nothing to load";
  if (!file.extend(image, end)) return "not readable to its end";
  return nullptr;
}

}  // namespace

Module* load_host_module(const void* image, size_t size, std::string& error) {
  ImageFile file;
  if (!file.valid()) {
    error = std::string("no memory file: ") + std::strerror(errno);
    return nullptr;
  }
  if (const char* wrong = copy_image(file, image, size)) {
    error = std::string("module image: ") + wrong;
    return nullptr;
  }
  const std::string path = "/proc/self/fd/" + std::to_string(file.fd());
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* why = dlerror();
    error = std::string("module image: ") + (why ? why : "not loadable");
    return nullptr;
  }
  return new HostModule(handle, file.release());
}

}  // namespace emu
