// SPDX-License-Identifier: Apache-2.0
/**
 * CUDA devices for Java programs: devices, streams, typed buffers, kernels and cuBLAS products over JCuda's driver API, the same
 * on a real GPU and on the emulated device.
 */
package dev.diffusionvl.runtime;
