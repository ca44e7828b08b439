// SPDX-License-Identifier: Apache-2.0
// Launches: any number in one call, each with its attributes; and what a kernel's parameters are.
#include "dev_diffusionvl_runtime_JniCalls.h"
#include "driver.h"

namespace dvl {
namespace {

// As Java's Launch lays it out (all fields are set there).
struct PlannedLaunch {
  CUfunction function;
  void** parameters;
  unsigned grid[3], block[3], shared_bytes;
  unsigned cluster[3]; // 0 0 0: no attribute
  unsigned programmatic;
  unsigned cooperative;
};
static_assert(sizeof(PlannedLaunch) == 64, "Java's layout");

CUresult launch(const PlannedLaunch& p, CUstream stream) {
  enum { COOPERATIVE = 2, CLUSTER_DIMENSION = 4, PROGRAMMATIC_STREAM_SERIALIZATION = 6 };
  static const DriverFunction<const CUlaunchConfig*, CUfunction, void**, void**> launch_kernel("cuLaunchKernelEx");
  CUlaunchAttribute attributes[3] = {};
  unsigned count = 0;
  if (p.cluster[0]) {
    attributes[count].id = CLUSTER_DIMENSION;
    for (int i = 0; i < 3; i++) attributes[count].cluster[i] = p.cluster[i];
    count++;
  }
  if (p.programmatic) {
    attributes[count].id = PROGRAMMATIC_STREAM_SERIALIZATION;
    attributes[count++].programmatic = 1;
  }
  if (p.cooperative) {
    attributes[count].id = COOPERATIVE;
    attributes[count++].cooperative = 1;
  }
  CUlaunchConfig config = {{p.grid[0], p.grid[1], p.grid[2]}, {p.block[0], p.block[1], p.block[2]}, p.shared_bytes, stream,
                           attributes, count};
  return launch_kernel(&config, p.function, p.parameters, nullptr);
}

} // namespace
} // namespace dvl

using namespace dvl;

// The low half is the status, the high half the index of the launch that failed.
extern "C" JNIEXPORT jlong JNICALL Java_dev_diffusionvl_runtime_JniCalls_launch(JNIEnv*, jclass, jlong launches, jint count,
                                                                               jlong stream) {
  const auto* planned = at<const PlannedLaunch>(launches);
  for (jint i = 0; i < count; i++) {
    if (CUresult error = launch(planned[i], at<void>(stream))) return jlong(i) << 32 | uint32_t(error);
  }
  return 0;
}

extern "C" JNIEXPORT jint JNICALL Java_dev_diffusionvl_runtime_JniCalls_parameterSizes(JNIEnv* env, jclass, jlong function,
                                                                                       jintArray sizes) {
  static const DriverFunction<CUfunction, size_t, size_t*, size_t*> parameter_info("cuFuncGetParamInfo");
  constexpr CUresult INVALID_VALUE = 1; // past the last parameter
  jsize room = env->GetArrayLength(sizes);
  for (jsize i = 0; i < room; i++) {
    size_t offset, size;
    CUresult error = parameter_info(at<void>(function), size_t(i), &offset, &size);
    if (error == INVALID_VALUE) return i;
    if (error) return -1;
    jint value = jint(size);
    env->SetIntArrayRegion(sizes, i, 1, &value);
  }
  return -1; // more than the caller can use
}
