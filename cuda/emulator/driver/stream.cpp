// SPDX-License-Identifier: Apache-2.0
// Streams and capture. Work runs in the call that submits it, so a stream is always idle when it is asked.
#include <algorithm>

#include "capture.h"
#include "submit.h"

namespace emu::driver {
namespace {

constexpr unsigned NON_BLOCKING = 1;
constexpr int GREATEST_PRIORITY = -5;

template <class Body> CUresult with_stream(CUstream handle, const Body& body) {
  return with_context([&](Context& context) -> CUresult {
    Stream* stream;
    if (CUresult error = find_stream(context, handle, stream)) return error;
    return body(context, *stream);
  });
}

CUresult wait_for(CUstream handle) {
  return with_stream(handle, [](Context& context, Stream& stream) -> CUresult {
    if (CUresult error = refuse_capturing(stream)) return error;
    if (CUresult error = refuse_default_stream(context, stream)) return error;
    return refuse_during_capture();
  });
}

CUcaptureStatus status_of(const Stream& stream) {
  if (!stream.capture) return CAPTURE_NONE;
  return stream.capture->invalidated ? CAPTURE_INVALIDATED : CAPTURE_ACTIVE;
}

// Unlike refuse_default_stream this only looks, so it spoils no capture.
bool meets_blocking_capture(const Context& context, const Stream& stream) {
  if (&stream != context.legacy) return false;
  return std::any_of(state().captures.begin(), state().captures.end(), [&](const auto& capture) {
    return capture->context == &context && !(capture->origin->flags & NON_BLOCKING);
  });
}

CUresult wait_event(Context& context, Stream& stream, const Event& event) {
  if (CUresult error = refuse_default_stream(context, stream)) return error;
  if (!event.capture_id) {
    if (!stream.capture || !event.recorded) return CUDA_SUCCESS;
    stream.capture->invalidated = true; // the captured work would depend on work that the graph does not hold
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  Capture* capture = find_capture(event.capture_id);
  if (!capture) return CUDA_ERROR_CAPTURED_EVENT;
  if (&stream == context.legacy) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  if (stream.capture && stream.capture != capture) {
    stream.capture->invalidated = capture->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (capture->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  join_capture(stream, event, *capture);
  return CUDA_SUCCESS;
}

} // namespace

CUresult submit_to_stream(CUcontext owner, CUstream handle, const std::function<CUresult()>& check,
                          std::function<CUresult(bool replay)> body) {
  return with_stream(handle, [&](Context& context, Stream& stream) -> CUresult {
    if (handle_of<CUcontext>(&context) != owner || stream.context != &context) return CUDA_ERROR_INVALID_CONTEXT;
    if (CUresult error = check()) return error;
    if (CUresult error = refuse_default_stream(context, stream)) return error;
    if (!stream.capture) return body(false);
    Context* where = &context;
    return record(stream, LibraryWork{[where, body = std::move(body)] {
                    CUresult result = body(true);
                    return result ? fault(*where, result) : result;
                  }});
  });
}

bool reachable_by_device(const void* p, size_t bytes) {
  return in_device_memory(p, bytes) || in_pinned_memory(p, bytes);
}

CUresult current_context_handle(CUcontext* out) {
  return with_context([&](Context& context) {
    *out = handle_of<CUcontext>(&context);
    return CUDA_SUCCESS;
  });
}

} // namespace emu::driver

using namespace emu::driver;

CUDA_API CUresult cuStreamCreateWithPriority(CUstream* out, unsigned flags, int priority) {
  return with_context([&](Context& context) -> CUresult {
    if (!out || flags > NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    if (!emu::create(STREAM)) return CUDA_ERROR_OUT_OF_MEMORY;
    auto stream = std::make_unique<Stream>();
    stream->flags = flags;
    stream->priority = std::clamp(priority, GREATEST_PRIORITY, 0);
    stream->id = state().next_id++;
    *out = handle_of<CUstream>(state().registry.add(std::move(stream), &context));
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuStreamCreate(CUstream* out, unsigned flags) { return cuStreamCreateWithPriority(out, flags, 0); }

CUDA_API CUresult cuStreamDestroy_v2(CUstream handle) {
  return with_stream(handle, [](Context&, Stream& stream) -> CUresult {
    if (stream.is_default) return CUDA_ERROR_INVALID_HANDLE;
    leave_capture(stream);
    state().registry.destroy(&stream);
    emu::destroyed(STREAM);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuStreamQuery(CUstream stream) { return wait_for(stream); }
CUDA_API CUresult cuStreamSynchronize(CUstream stream) { return wait_for(stream); }

CUDA_API CUresult cuStreamGetFlags(CUstream handle, unsigned* flags) {
  return with_stream(handle, [&](Context&, Stream& stream) {
    return flags ? (*flags = stream.flags, CUDA_SUCCESS) : CUDA_ERROR_INVALID_VALUE;
  });
}

CUDA_API CUresult cuStreamGetPriority(CUstream handle, int* priority) {
  return with_stream(handle, [&](Context&, Stream& stream) {
    return priority ? (*priority = stream.priority, CUDA_SUCCESS) : CUDA_ERROR_INVALID_VALUE;
  });
}

CUDA_API CUresult cuStreamGetId(CUstream handle, unsigned long long* id) {
  return with_stream(handle, [&](Context&, Stream& stream) {
    return id ? (*id = stream.id, CUDA_SUCCESS) : CUDA_ERROR_INVALID_VALUE;
  });
}

CUDA_API CUresult cuStreamGetCtx(CUstream handle, CUcontext* out) {
  return with_stream(handle, [&](Context&, Stream& stream) {
    return out ? (*out = handle_of<CUcontext>(stream.context), CUDA_SUCCESS) : CUDA_ERROR_INVALID_VALUE;
  });
}

CUDA_API CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
  return with_stream(handle, [&](Context& context, Stream& stream) -> CUresult {
    constexpr unsigned EXTERNAL = 1; // wait at each replay, as a node
    auto* event = state().registry.find<Event>(event_handle);
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    if (flags > EXTERNAL) return CUDA_ERROR_INVALID_VALUE;
    if (flags == EXTERNAL) {
      return stream.capture ? record(stream, WaitWork{event_handle}) : CUresult(CUDA_ERROR_ILLEGAL_STATE);
    }
    return wait_event(context, stream, *event);
  });
}

CUDA_API CUresult cuStreamAddCallback(CUstream handle, CUstreamCallback callback, void* user_data, unsigned flags) {
  return with_stream(handle, [&](Context& context, Stream& stream) -> CUresult {
    if (!callback || flags) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult error = refuse_capturing(stream)) return error;
    struct Call {
      CUstreamCallback callback;
      CUstream stream;
      void* user_data;
    } call = {callback, handle, user_data}; // runs before submit returns
    auto invoke = [](void* p) {
      auto* c = static_cast<Call*>(p);
      c->callback(c->stream, CUDA_SUCCESS, c->user_data);
    };
    return submit(context, stream, HostWork{invoke, &call});
  });
}

// ---- capture
CUDA_API CUresult cuStreamBeginCapture_v2(CUstream handle, int mode) {
  return with_stream(handle, [&](Context& context, Stream& stream) -> CUresult {
    if (mode < CAPTURE_GLOBAL || mode > CAPTURE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
    if (&stream == context.legacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream.capture) return CUDA_ERROR_ILLEGAL_STATE;
    return begin_capture(stream, CUcaptureMode(mode));
  });
}

CUDA_API CUresult cuStreamEndCapture(CUstream handle, CUgraph* out) {
  return with_stream(handle, [&](Context&, Stream& stream) -> CUresult {
    if (!out) return CUDA_ERROR_INVALID_VALUE;
    return stream.capture ? end_capture(stream, out) : CUresult(CUDA_ERROR_ILLEGAL_STATE);
  });
}

CUDA_API CUresult cuStreamIsCapturing(CUstream handle, int* status) {
  return with_stream(handle, [&](Context& context, Stream& stream) -> CUresult {
    if (!status) return CUDA_ERROR_INVALID_VALUE;
    if (meets_blocking_capture(context, stream)) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    *status = status_of(stream);
    return CUDA_SUCCESS;
  });
}

CUDA_API CUresult cuThreadExchangeStreamCaptureMode(int* mode) {
  return with_driver([&]() -> CUresult {
    if (!mode || *mode < CAPTURE_GLOBAL || *mode > CAPTURE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
    CUcaptureMode old = capture_mode;
    capture_mode = CUcaptureMode(*mode);
    *mode = old;
    return CUDA_SUCCESS;
  });
}
