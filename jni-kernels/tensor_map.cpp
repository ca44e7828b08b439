// SPDX-License-Identifier: Apache-2.0
// Tensor maps.
#include "dev_diffusionvl_runtime_JniCalls.h"
#include "driver.h"

using namespace dvl;

extern "C" JNIEXPORT jint JNICALL Java_dev_diffusionvl_runtime_JniCalls_encodeTiled(JNIEnv* env, jclass, jlong map, jint type,
                                                                                   jlong address, jint rank, jlongArray sizes,
                                                                                   jintArray boxes, jint swizzle) {
  static const DriverFunction<void*, int, unsigned, void*, const uint64_t*, const uint64_t*, const unsigned*, const unsigned*, int, int,
                              int, int>
      encode("cuTensorMapEncodeTiled");
  enum { NO_INTERLEAVE = 0, L2_256_BYTES = 3, FILL_ZEROS = 0 };
  jlong size[9] = {};
  jint box[5] = {};
  unsigned step[5] = {1, 1, 1, 1, 1};
  env->GetLongArrayRegion(sizes, 0, 2 * rank - 1, size);
  env->GetIntArrayRegion(boxes, 0, rank, box);
  return encode(at<void>(map), type, unsigned(rank), at<void>(address), reinterpret_cast<uint64_t*>(size),
                reinterpret_cast<uint64_t*>(size + rank), reinterpret_cast<unsigned*>(box), step, NO_INTERLEAVE, swizzle, L2_256_BYTES,
                FILL_ZEROS);
}
