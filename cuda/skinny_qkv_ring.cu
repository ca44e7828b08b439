// SPDX-License-Identifier: Apache-2.0
// RMSNorm, QKV product, rotary embedding, cache for few rows (skinny_qkv.cuh), with the ring of skinny_ring.cuh.
#include "skinny_qkv.cuh"
#include "skinny_ring.cuh"

DVL_RING_INSTANCES(SKINNY_QKV)
