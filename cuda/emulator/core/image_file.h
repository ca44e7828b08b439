// SPDX-License-Identifier: Apache-2.0
// A copy of a module's image. The image is not trusted: it may be any bytes, of unknown length, so it is copied by the kernel of the
// operating system (which answers "bad address" instead of faulting).
#pragma once
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace emu {

// A memory file that receives the image.
class ImageFile {
 public:
  ImageFile() : fd_(memfd_create("emulated-module", 0)) {}
  ~ImageFile() {
    if (fd_ >= 0) close(fd_);
  }
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;

  bool valid() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

  // Makes the file hold the first n bytes of the image; false if the image is not readable that far.
  bool extend(const void* image, size_t n) {
    while (size_ < n) {
      // The system call itself: an image's length is found by reading it, which the address sanitizer must not take for a fault.
      const char* from = static_cast<const char*>(image) + size_;
      const ssize_t wrote = syscall(SYS_pwrite64, fd_, from, n - size_, static_cast<off_t>(size_));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) return false;
      size_ += static_cast<size_t>(wrote);
    }
    return true;
  }

  template <class T>
  bool read(T* to, size_t count, size_t offset) const {
    const size_t bytes = count * sizeof(T);
    return pread(fd_, to, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
  }

 private:
  int fd_;
  size_t size_ = 0;
};

}  // namespace emu
