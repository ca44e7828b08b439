// SPDX-License-Identifier: Apache-2.0
// RMSNorm, gate and up product, SwiGLU for few rows (skinny_swiglu.cuh), with the ring of skinny_ring.cuh.
#include "skinny_swiglu.cuh"
#include "skinny_ring.cuh"

DVL_RING_INSTANCES(SKINNY_SWIGLU)
