// SPDX-License-Identifier: Apache-2.0
// Copies and fills. Every device range must lie inside one live allocation, checked before a byte moves.
#include "capture.h"
#include "copy_boxes.h"

namespace emu::driver {
namespace {

using Side = CopyWork::Side;

CopyWork line(void* to, Side to_side, const void* from, Side from_side, size_t bytes) {
  return {to_side, from_side, static_cast<char*>(to), static_cast<const char*>(from), bytes};
}

void* host(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

// A call that returns when the copy is done: on the default stream, and never beside a capture.
CUresult copy_now(const CopyWork& copy) {
  return with_context([&](Context& context) -> CUresult {
    if (CUresult error = refuse_default_stream(context, *context.legacy)) return error;
    if (CUresult error = refuse_during_capture()) return error;
    return submit(context, *context.legacy, copy);
  });
}

CUresult copy_in_stream(const CopyWork& copy, CUstream handle) {
  return with_context([&](Context& context) -> CUresult {
    Stream* stream;
    if (CUresult error = find_stream(context, handle, stream)) return error;
    return submit(context, *stream, copy);
  });
}

CUresult fill_in_stream(CUdeviceptr to, size_t pitch, unsigned value, unsigned size, size_t width, size_t height,
                        CUstream handle) {
  return with_context([&](Context& context) -> CUresult {
    Stream* stream;
    if (CUresult error = find_stream(context, handle, stream)) return error;
    return submit(context, *stream, FillWork{static_cast<char*>(host(to)), value, size, width, height, pitch});
  });
}

template <class Parameters> CUresult copy_box(const Parameters* parameters, const CUstream* stream) {
  CopyWork copy;
  if (CUresult error = box_of(parameters, copy)) return error;
  return stream ? copy_in_stream(copy, *stream) : copy_now(copy);
}

// One side of a 2D or 3D copy
struct Corner {
  unsigned type;
  const void* host;
  CUdeviceptr device;
  size_t x, y, z, pitch, height;
};

CUresult corner(const Corner& c, const char*& address, Side& side, size_t& pitch, size_t& slice) {
  switch (c.type) {
  case CU_MEMORYTYPE_HOST:
    side = CopyWork::HOST;
    address = static_cast<const char*>(c.host);
    break;
  case CU_MEMORYTYPE_DEVICE:
  case CU_MEMORYTYPE_UNIFIED:
    side = c.type == CU_MEMORYTYPE_DEVICE ? CopyWork::DEVICE : CopyWork::ANY;
    address = static_cast<const char*>(driver::host(c.device));
    break;
  case CU_MEMORYTYPE_ARRAY: return CUDA_ERROR_NOT_SUPPORTED;
  default: return CUDA_ERROR_INVALID_VALUE;
  }
  if (!address) return CUDA_ERROR_INVALID_VALUE;
  pitch = c.pitch;
  slice = c.pitch * c.height;
  address += c.z * slice + c.y * pitch + c.x;
  return CUDA_SUCCESS;
}

CUresult box(const Corner& from, const Corner& to, size_t width, size_t height, size_t depth, CopyWork& out) {
  const char* target;
  out.width = width;
  out.height = height;
  out.depth = depth;
  if (CUresult error = corner(from, out.from, out.from_side, out.from_pitch, out.from_slice)) return error;
  if (CUresult error = corner(to, target, out.to_side, out.to_pitch, out.to_slice)) return error;
  out.to = const_cast<char*>(target);
  return CUDA_SUCCESS;
}

} // namespace

CUresult box_of(const CUDA_MEMCPY2D* p, CopyWork& out) {
  if (!p) return CUDA_ERROR_INVALID_VALUE;
  // A pitch of 0 means rows without gaps.
  Corner from = {p->srcMemoryType, p->srcHost, p->srcDevice, p->srcXInBytes, p->srcY, 0,
                 p->srcPitch ? p->srcPitch : p->srcXInBytes + p->WidthInBytes, 0};
  Corner to = {p->dstMemoryType, p->dstHost, p->dstDevice, p->dstXInBytes, p->dstY, 0,
               p->dstPitch ? p->dstPitch : p->dstXInBytes + p->WidthInBytes, 0};
  return box(from, to, p->WidthInBytes, p->Height, 1, out);
}

CUresult box_of(const CUDA_MEMCPY3D* p, CopyWork& out) {
  if (!p || p->srcLOD || p->dstLOD) return CUDA_ERROR_INVALID_VALUE;
  Corner from = {p->srcMemoryType, p->srcHost, p->srcDevice, p->srcXInBytes, p->srcY, p->srcZ,
                 p->srcPitch ? p->srcPitch : p->srcXInBytes + p->WidthInBytes,
                 p->srcHeight ? p->srcHeight : p->srcY + p->Height};
  Corner to = {p->dstMemoryType, p->dstHost, p->dstDevice, p->dstXInBytes, p->dstY, p->dstZ,
               p->dstPitch ? p->dstPitch : p->dstXInBytes + p->WidthInBytes,
               p->dstHeight ? p->dstHeight : p->dstY + p->Height};
  return box(from, to, p->WidthInBytes, p->Height, p->Depth, out);
}

} // namespace emu::driver

using namespace emu::driver;

// ---- plain copies
CUDA_API CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return copy_now(line(host(to), CopyWork::ANY, host(from), CopyWork::ANY, bytes));
}
CUDA_API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  return copy_now(line(host(to), CopyWork::DEVICE, from, CopyWork::HOST, bytes));
}
CUDA_API CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  return copy_now(line(to, CopyWork::HOST, host(from), CopyWork::DEVICE, bytes));
}
CUDA_API CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return copy_now(line(host(to), CopyWork::DEVICE, host(from), CopyWork::DEVICE, bytes));
}
CUDA_API CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return copy_in_stream(line(host(to), CopyWork::ANY, host(from), CopyWork::ANY, bytes), stream);
}
CUDA_API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  return copy_in_stream(line(host(to), CopyWork::DEVICE, from, CopyWork::HOST, bytes), stream);
}
CUDA_API CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return copy_in_stream(line(to, CopyWork::HOST, host(from), CopyWork::DEVICE, bytes), stream);
}
CUDA_API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return copy_in_stream(line(host(to), CopyWork::DEVICE, host(from), CopyWork::DEVICE, bytes), stream);
}

// ---- boxes
CUDA_API CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* p) { return copy_box(p, nullptr); }
CUDA_API CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* p) { return copy_box(p, nullptr); }
CUDA_API CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* p, CUstream stream) { return copy_box(p, &stream); }
CUDA_API CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D* p) { return copy_box(p, nullptr); }
CUDA_API CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* p, CUstream stream) { return copy_box(p, &stream); }

// ---- fills; the calls without a stream run on the default one
CUDA_API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream) {
  return fill_in_stream(to, 0, value, 1, n, 1, stream);
}
CUDA_API CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, CUstream stream) {
  return fill_in_stream(to, 0, value, 2, n, 1, stream);
}
CUDA_API CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream) {
  return fill_in_stream(to, 0, value, 4, n, 1, stream);
}
CUDA_API CUresult cuMemsetD2D8Async(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t height,
                                    CUstream stream) {
  return fill_in_stream(to, pitch, value, 1, width, height, stream);
}
CUDA_API CUresult cuMemsetD2D16Async(CUdeviceptr to, size_t pitch, unsigned short value, size_t width, size_t height,
                                     CUstream stream) {
  return fill_in_stream(to, pitch, value, 2, width, height, stream);
}
CUDA_API CUresult cuMemsetD2D32Async(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t height,
                                     CUstream stream) {
  return fill_in_stream(to, pitch, value, 4, width, height, stream);
}
CUDA_API CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n) {
  return cuMemsetD8Async(to, value, n, nullptr);
}
CUDA_API CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t n) {
  return cuMemsetD16Async(to, value, n, nullptr);
}
CUDA_API CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t n) {
  return cuMemsetD32Async(to, value, n, nullptr);
}
CUDA_API CUresult cuMemsetD2D8_v2(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t height) {
  return cuMemsetD2D8Async(to, pitch, value, width, height, nullptr);
}
CUDA_API CUresult cuMemsetD2D16_v2(CUdeviceptr to, size_t pitch, unsigned short value, size_t width, size_t height) {
  return cuMemsetD2D16Async(to, pitch, value, width, height, nullptr);
}
CUDA_API CUresult cuMemsetD2D32_v2(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t height) {
  return cuMemsetD2D32Async(to, pitch, value, width, height, nullptr);
}
