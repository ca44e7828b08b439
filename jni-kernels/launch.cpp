// SPDX-License-Identifier: Apache-2.0
// Launches that overlap the one before them; and what a kernel's parameters are.
#include "dev_diffusionvl_runtime_JniCalls.h"
#include "driver.h"

using namespace dvl;

extern "C" JNIEXPORT jint JNICALL Java_dev_diffusionvl_runtime_JniCalls_launchOverlapping(JNIEnv*, jclass, jlong function,
                                                                                          jlong parameters, jint grid_x, jint grid_y,
                                                                                          jint grid_z, jint block_x, jint block_y,
                                                                                          jint block_z, jint shared_bytes,
                                                                                          jlong stream) {
  constexpr int PROGRAMMATIC_STREAM_SERIALIZATION = 6;
  static const DriverFunction<const CUlaunchConfig*, CUfunction, void**, void**> launch_kernel("cuLaunchKernelEx");
  CUlaunchAttribute overlap = {};
  overlap.id = PROGRAMMATIC_STREAM_SERIALIZATION;
  overlap.programmatic = 1;
  const CUlaunchConfig config = {{unsigned(grid_x), unsigned(grid_y), unsigned(grid_z)},
                                 {unsigned(block_x), unsigned(block_y), unsigned(block_z)},
                                 unsigned(shared_bytes),
                                 at<void>(stream),
                                 &overlap,
                                 1};
  return launch_kernel(&config, at<void>(function), at<void*>(parameters), nullptr);
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

extern "C" JNIEXPORT jint JNICALL Java_dev_diffusionvl_runtime_JniCalls_parameterKinds(JNIEnv* env, jclass, jlong function,
                                                                                       jbyteArray kinds) {
  static const DriverFunction<CUfunction, size_t, char*> parameter_kind("dvlFuncGetParamKind"); // of the emulated device alone
  jsize room = env->GetArrayLength(kinds);
  for (jsize i = 0; i < room; i++) {
    char kind;
    if (parameter_kind(at<void>(function), size_t(i), &kind)) return i;
    jbyte value = jbyte(kind);
    env->SetByteArrayRegion(kinds, i, 1, &value);
  }
  return room;
}
