// SPDX-License-Identifier: Apache-2.0
// Stream capture: calls become nodes of a graph instead of running. Also the graph objects themselves.
#pragma once

#include <functional>

#include "state.h"
#include "work.h"

namespace emu::driver {

struct Graph;

struct Node : Object {
  Graph* graph = nullptr;
  Work work;
  std::vector<Node*> dependencies;
};

struct Graph : Object {
  std::vector<Node*> nodes; // in the order of creation; the registry owns them
};

// An instantiated graph: copies of the nodes' work in an order that respects the dependencies.
struct GraphExec : Object {
  struct Item {
    CUgraphNode origin;
    Work work;
  };
  std::shared_ptr<const std::vector<Item>> items; // shared with a launch in progress
};

struct Capture {
  uint64_t id;
  CUcaptureMode mode;
  std::thread::id thread;
  Context* context;
  Graph* graph;
  Stream* origin;
  std::vector<Stream*> streams; // the origin and those that joined by waiting for its events
  bool invalidated = false;
};

Graph* new_graph();  // nullptr: the creation that has to fail
Node* add_node(Graph& graph, Work work, const std::vector<Node*>& dependencies);
void destroy_graph(Graph& graph);

Capture* find_capture(uint64_t id);
CUresult begin_capture(Stream& stream, CUcaptureMode mode);
CUresult end_capture(Stream& stream, CUgraph* out);
void join_capture(Stream& stream, const Event& event, Capture& capture);
void leave_capture(Stream& stream);       // the stream is about to be destroyed
void abandon_captures(Context& context);  // the context is about to end

extern thread_local CUcaptureMode capture_mode; // of the calling thread, for refuse_during_capture

// For calls that may synchronise behind the scenes: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED if a capture forbids them.
CUresult refuse_during_capture();

// For work on the default stream, which waits for every blocking stream of its context and so must not meet a capture.
CUresult refuse_default_stream(const Context& context, const Stream& stream);

// For calls that wait for the stream: refuses one that is capturing, and spoils that capture.
CUresult refuse_capturing(const Stream& stream);

// Runs checked work, or records it if the stream is capturing.
CUresult submit(Context& context, Stream& stream, Work work);
// Records work in a capturing stream.
CUresult record(Stream& stream, Work work);

} // namespace emu::driver
