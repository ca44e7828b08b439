#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh NATIVE OUT: the stub driver as one more build of the emulated device, for -Ddvl.emulated.build=stub.
# NATIVE: what cuda/Makefile made; the kernels' host modules stand in for modules that are never run.
set -eu
native=$1
out=$2/dvl/native
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out/stub" "$out/kernels/stub" "$out/jni"
cc=${CC:-gcc}
$cc -O2 -Wall -fPIC -shared -Wl,-soname,libcuda.so.1 "$here/libcuda_stub.c" -o "$out/stub/libcuda.so.1"
# JCublas is loaded with the driver, and looks for this symbol version.
printf 'libcublas.so.12 { global: cublas*; local: *; };\n' > "$out/stub/map"
echo 'int cublasStub(void) { return 0; }' | $cc -fPIC -shared -Wl,-soname,libcublas.so.12 "-Wl,--version-script=$out/stub/map" -x c - \
  -o "$out/stub/libcublas.so.12"
rm "$out/stub/map"
cp "$native"/kernels/emulated/*.so "$out/kernels/stub/"
