#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_symbols.sh LIBRARY NAMES [VERSION]: fails, naming them, unless LIBRARY defines every symbol listed in the file
# NAMES, with the symbol version VERSION if given. Lines that begin with # are comments.
set -eu
nm -D --defined-only --with-symbol-versions "$1" | awk -v library="$1" -v version="${3:+@@$3}" '
  NR == FNR { defined[$3] = 1; next }
  /^#/ || NF == 0 { next }
  { wanted++ }
  !($1 version in defined) { print library ": missing " $1 version > "/dev/stderr"; missing++ }
  END { printf "%d symbols wanted, %d missing\n", wanted, missing; exit missing > 0 || wanted == 0 }
' - "$2"
