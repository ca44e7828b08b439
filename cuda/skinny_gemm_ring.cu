// SPDX-License-Identifier: Apache-2.0
// y = x w^T for few rows (skinny_gemm.cuh), with the ring of skinny_ring.cuh.
#include "skinny_gemm.cuh"
#include "skinny_ring.cuh"

DVL_RING_INSTANCES(SKINNY_GEMM)
