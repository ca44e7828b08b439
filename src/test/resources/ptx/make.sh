#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles the programs here to PTX, which is kept beside them: the tests need no nvcc.
set -eu
cd "$(dirname "$0")"
for source in *.cu; do
  arch=$(sed -n 's|^// arch: ||p' "$source")
  nvcc -ptx -O3 -arch="${arch:-compute_80}" -lineinfo "$source" -o - | sed "s|\"[^\"]*/\([^/\"]*\)\"|\"\1\"|" > "${source%.cu}.ptx"
done
