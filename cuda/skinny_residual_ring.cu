// SPDX-License-Identifier: Apache-2.0
// h += x w^T for few rows (skinny_residual.cuh), with the ring of skinny_ring.cuh.
#include "skinny_residual.cuh"
#include "skinny_ring.cuh"

DVL_RING_INSTANCES(SKINNY_RESIDUAL)
