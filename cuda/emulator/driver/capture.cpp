// SPDX-License-Identifier: Apache-2.0
#include "capture.h"

#include <algorithm>
#include <unordered_set>

namespace emu::driver {

thread_local CUcaptureMode capture_mode = CAPTURE_GLOBAL;

Graph* new_graph() { return emu::create(GRAPH) ? state().registry.add(std::make_unique<Graph>(), nullptr) : nullptr; }

Node* add_node(Graph& graph, Work work, const std::vector<Node*>& dependencies) {
  auto node = std::make_unique<Node>();
  node->graph = &graph;
  node->work = std::move(work);
  node->dependencies = dependencies;
  graph.nodes.push_back(state().registry.add(std::move(node), nullptr));
  return graph.nodes.back();
}

void destroy_graph(Graph& graph) {
  for (Node* node : graph.nodes) state().registry.destroy(node);
  state().registry.destroy(&graph);
  emu::destroyed(GRAPH);
}

Capture* find_capture(uint64_t id) {
  for (const auto& capture : state().captures) {
    if (capture->id == id) return capture.get();
  }
  return nullptr;
}

CUresult begin_capture(Stream& stream, CUcaptureMode mode) {
  Graph* graph = new_graph();
  if (!graph) return CUDA_ERROR_OUT_OF_MEMORY;
  State& s = state();
  s.captures.push_back(std::make_unique<Capture>());
  Capture& capture = *s.captures.back();
  capture.id = s.next_id++;
  capture.mode = mode;
  capture.thread = std::this_thread::get_id();
  capture.context = stream.context;
  capture.graph = graph;
  capture.origin = &stream;
  capture.streams = {&stream};
  stream.capture = &capture;
  return CUDA_SUCCESS;
}

// Ends the capture for all its streams; the graph is the caller's.
static Graph* close(Capture& capture) {
  for (Stream* stream : capture.streams) {
    stream->capture = nullptr;
    stream->tips.clear();
  }
  Graph* graph = capture.graph;
  auto& all = state().captures;
  all.erase(std::find_if(all.begin(), all.end(), [&](const auto& c) { return c.get() == &capture; }));
  return graph;
}

// Whether everything that the joined streams did comes before the origin's last nodes.
static bool is_joined(const Capture& capture) {
  std::unordered_set<const Node*> before;
  std::vector<const Node*> open(capture.origin->tips.begin(), capture.origin->tips.end());
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (before.insert(node).second) open.insert(open.end(), node->dependencies.begin(), node->dependencies.end());
  }
  for (const Stream* stream : capture.streams) {
    for (const Node* tip : stream->tips) {
      if (!before.count(tip)) return false;
    }
  }
  return true;
}

CUresult end_capture(Stream& stream, CUgraph* out) {
  *out = nullptr;
  Capture& capture = *stream.capture;
  if (capture.origin != &stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  if (capture.mode != CAPTURE_RELAXED && capture.thread != std::this_thread::get_id()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  CUresult result = capture.invalidated   ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                    : is_joined(capture) ? CUDA_SUCCESS
                                         : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  Graph* graph = close(capture);
  if (result) destroy_graph(*graph);
  else *out = handle_of<CUgraph>(graph);
  return result;
}

void join_capture(Stream& stream, const Event& event, Capture& capture) {
  if (!stream.capture) {
    stream.capture = &capture;
    capture.streams.push_back(&stream);
  }
  for (Node* tip : event.tips) {
    if (std::find(stream.tips.begin(), stream.tips.end(), tip) == stream.tips.end()) stream.tips.push_back(tip);
  }
}

void leave_capture(Stream& stream) {
  Capture* capture = stream.capture;
  if (!capture) return;
  if (capture->origin == &stream) {
    destroy_graph(*close(*capture));
  } else {
    capture->invalidated = true;
    capture->streams.erase(std::find(capture->streams.begin(), capture->streams.end(), &stream));
    stream.capture = nullptr;
  }
}

void abandon_captures(Context& context) {
  auto& all = state().captures;
  for (size_t i = all.size(); i-- > 0;) {
    if (all[i]->context == &context) destroy_graph(*close(*all[i]));
  }
}

CUresult refuse_during_capture() {
  if (capture_mode == CAPTURE_RELAXED) return CUDA_SUCCESS;
  CUresult result = CUDA_SUCCESS;
  for (const auto& capture : state().captures) {
    bool own = capture->thread == std::this_thread::get_id() && capture->mode != CAPTURE_RELAXED;
    bool foreign = capture->mode == CAPTURE_GLOBAL && capture_mode == CAPTURE_GLOBAL;
    if (!own && !foreign) continue;
    capture->invalidated = true;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

CUresult refuse_default_stream(const Context& context, const Stream& stream) {
  if (&stream != context.legacy) return CUDA_SUCCESS;
  constexpr unsigned NON_BLOCKING = 1;
  for (const auto& capture : state().captures) {
    for (const Stream* capturing : capture->streams) {
      if (capturing->context != &context || (capturing->flags & NON_BLOCKING)) continue;
      capture->invalidated = true;
      return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
  }
  return CUDA_SUCCESS;
}

CUresult refuse_capturing(const Stream& stream) {
  if (!stream.capture) return CUDA_SUCCESS;
  stream.capture->invalidated = true;
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult record(Stream& stream, Work work) {
  if (stream.capture->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  stream.tips = {add_node(*stream.capture->graph, std::move(work), stream.tips)};
  return CUDA_SUCCESS;
}

CUresult submit(Context& context, Stream& stream, Work work) {
  if (CUresult error = refuse_default_stream(context, stream)) return error;
  if (CUresult error = check(context, work)) return error;
  return stream.capture ? record(stream, std::move(work)) : run(context, work);
}

} // namespace emu::driver
