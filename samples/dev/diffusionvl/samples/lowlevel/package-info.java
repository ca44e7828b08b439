/**
 * The runtime as a low-level GPU library, one short program a subject. Each runs on a GPU and on the emulated device, and each is
 * run by a test.
 */
package dev.diffusionvl.samples.lowlevel;
