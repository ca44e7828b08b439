// SPDX-License-Identifier: Apache-2.0
// Final RMSNorm, head, most likely token for few rows (skinny_confidence.cuh), with the ring of skinny_ring.cuh.
#include "skinny_confidence.cuh"
#include "skinny_ring.cuh"

DVL_RING_INSTANCES(SKINNY_CONFIDENCE)
