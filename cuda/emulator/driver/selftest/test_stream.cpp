// SPDX-License-Identifier: Apache-2.0
// Streams, events, host functions.
#include <unistd.h>

#include "driver_api.h"

using namespace selftest;

TEST(driver_streams) {
  OwnContext context;
  CUstream stream = nullptr;
  CHECK_EQUAL(cuStreamCreate(nullptr, 0), 1);
  CHECK_EQUAL(cuStreamCreate(&stream, 2), 1);
  CHECK_EQUAL(cuStreamCreateWithPriority(&stream, 1, -100), 0);
  int priority = 1;
  CHECK_EQUAL(cuStreamGetPriority(stream, &priority), 0);
  CHECK_EQUAL(priority, -5);
  CHECK_EQUAL(cuStreamQuery(stream), 0);
  CHECK_EQUAL(cuStreamSynchronize(stream), 0);
  CHECK_EQUAL(cuStreamDestroy_v2(stream), 0);
  CHECK_EQUAL(cuStreamDestroy_v2(stream), 400);
  CHECK_EQUAL(cuStreamSynchronize(stream), 400);
  CHECK_EQUAL(cuStreamSynchronize(nullptr), 0);
  CHECK_EQUAL(cuStreamDestroy_v2(nullptr), 400);
  CHECK_EQUAL(cuStreamSynchronize(reinterpret_cast<CUstream>(&priority)), 400);
}

TEST(driver_handles_are_typed_and_never_reused) {
  OwnContext context;
  CUevent event = new_event();
  CHECK_EQUAL(cuStreamSynchronize(reinterpret_cast<CUstream>(event)), 400);
  CHECK_EQUAL(cuEventDestroy_v2(event), 0);
  for (int i = 0; i < 100; i++) CHECK(new_event() != event);
  CHECK_EQUAL(cuEventRecord(event, nullptr), 400);
}

TEST(driver_events) {
  OwnContext context;
  CUstream stream = new_stream();
  CUevent first = new_event(), last = new_event(), untimed = new_event(2);
  float ms = -1;
  CHECK_EQUAL(cuEventQuery(first), 0); // never recorded counts as done
  CHECK_EQUAL(cuEventElapsedTime(&ms, first, last), 400);
  CHECK_EQUAL(cuEventRecord(first, stream), 0);
  usleep(20000);
  CHECK_EQUAL(cuEventRecord(last, stream), 0);
  CHECK_EQUAL(cuEventSynchronize(last), 0);
  CHECK_EQUAL(cuEventElapsedTime(&ms, first, last), 0);
  CHECK(ms >= 20 && ms < 5000);
  CHECK_EQUAL(cuEventElapsedTime(&ms, last, first), 0);
  CHECK(ms <= -20);
  CHECK_EQUAL(cuEventRecord(untimed, stream), 0);
  CHECK_EQUAL(cuEventElapsedTime(&ms, first, untimed), 400);
  CHECK_EQUAL(cuStreamWaitEvent(stream, last, 0), 0);
  CHECK_EQUAL(cuEventDestroy_v2(last), 0);
  CHECK_EQUAL(cuEventSynchronize(last), 400);
  CHECK_EQUAL(cuStreamWaitEvent(stream, last, 0), 400);
}

namespace {

struct Heard {
  int calls = 0;
  CUresult inside = -1;
};

void listen(void* p) {
  auto* heard = static_cast<Heard*>(p);
  heard->calls++;
  CUdeviceptr unused;
  heard->inside = cuMemAlloc_v2(&unused, 16);
}

void listen_to_stream(CUstream, CUresult status, void* p) {
  if (status == 0) listen(p);
}

} // namespace

TEST(driver_host_functions) {
  OwnContext context;
  CUstream stream = new_stream();
  Heard heard;
  CHECK_EQUAL(cuLaunchHostFunc(stream, listen, &heard), 0);
  CHECK_EQUAL(cuStreamAddCallback(stream, listen_to_stream, &heard, 0), 0);
  CHECK_EQUAL(cuStreamSynchronize(stream), 0);
  CHECK_EQUAL(heard.calls, 2);
  CHECK_EQUAL(heard.inside, 800); // a host function may not call CUDA
  CHECK_EQUAL(cuLaunchHostFunc(stream, nullptr, nullptr), 1);
}
