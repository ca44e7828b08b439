// SPDX-License-Identifier: Apache-2.0
// Events. Their time is the host's, taken when the record runs.
#include "capture.h"

namespace emu::driver {
namespace {

constexpr unsigned EVENT_FLAGS = 7, DISABLE_TIMING = 2, RECORD_EXTERNAL = 1;

template <class Body> CUresult with_event(CUevent handle, const Body& body) {
  return with_context([&](Context& context) -> CUresult {
    auto* event = state().registry.find<Event>(handle);
    return event ? body(context, *event) : CUresult(CUDA_ERROR_INVALID_HANDLE);
  });
}

CUresult wait_for(CUevent handle) {
  return with_event(handle, [](Context&, Event& event) -> CUresult {
    if (!event.capture_id) return refuse_during_capture();
    if (Capture* capture = find_capture(event.capture_id)) capture->invalidated = true;
    return CUDA_ERROR_CAPTURED_EVENT;
  });
}

CUresult record_event(CUevent handle, CUstream stream_handle, unsigned flags) {
  return with_event(handle, [&](Context& context, Event& event) -> CUresult {
    Stream* stream;
    if (flags > RECORD_EXTERNAL) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult error = find_stream(context, stream_handle, stream)) return error;
    if (stream->context != event.context) return CUDA_ERROR_INVALID_HANDLE;
    if (!stream->capture || flags == RECORD_EXTERNAL) return submit(context, *stream, RecordWork{handle});
    if (stream->capture->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    event.capture_id = stream->capture->id;
    event.tips = stream->tips;
    return CUDA_SUCCESS;
  });
}

} // namespace
} // namespace emu::driver

using namespace emu::driver;

CUDA_API CUresult cuEventCreate(CUevent* out, unsigned flags) {
  return with_context([&](Context& context) -> CUresult {
    if (!out || flags > EVENT_FLAGS) return CUDA_ERROR_INVALID_VALUE;
    if (!emu::create(EVENT)) return CUDA_ERROR_OUT_OF_MEMORY;
    auto event = std::make_unique<Event>();
    event->flags = flags;
    *out = handle_of<CUevent>(state().registry.add(std::move(event), &context));
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuEventDestroy_v2(CUevent handle) {
  return with_event(handle, [](Context&, Event& event) {
    state().registry.destroy(&event);
    emu::destroyed(EVENT);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuEventRecord(CUevent event, CUstream stream) { return record_event(event, stream, 0); }
CUDA_API CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  return record_event(event, stream, flags);
}
CUDA_API CUresult cuEventQuery(CUevent event) { return wait_for(event); }
CUDA_API CUresult cuEventSynchronize(CUevent event) { return wait_for(event); }

CUDA_API CUresult cuEventElapsedTime(float* milliseconds, CUevent first, CUevent last) {
  return with_event(first, [&](Context&, Event& a) -> CUresult {
    auto* b = state().registry.find<Event>(last);
    if (!milliseconds) return CUDA_ERROR_INVALID_VALUE;
    if (!b || a.context != b->context || !a.recorded || !b->recorded) return CUDA_ERROR_INVALID_HANDLE;
    if ((a.flags | b->flags) & DISABLE_TIMING) return CUDA_ERROR_INVALID_HANDLE;
    if (a.capture_id || b->capture_id) return CUDA_ERROR_CAPTURED_EVENT;
    *milliseconds = std::chrono::duration<float, std::milli>(b->time - a.time).count();
    return CUDA_SUCCESS;
  });
}
