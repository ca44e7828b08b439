// SPDX-License-Identifier: Apache-2.0
/** One launcher per kernel of cuda/: checks its arguments, then launches. Names are those of the kernels. */
package dev.diffusionvl.runtime.op;
