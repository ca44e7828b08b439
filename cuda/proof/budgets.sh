#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Static shared memory and registers per thread of every kernel, as a table: budgets.sh FOLDER ARCHITECTURE...
# Reads what `ptxas -v` said (FOLDER/ARCHITECTURE/*.txt, kept beside each cubin).
set -eu
folder=$1
shift
for architecture in "$@"; do
  for source in "$(dirname "$0")"/../*.cu; do
    report=$folder/$architecture/$(basename "$source" .cu).txt
    awk -v architecture="$architecture" '
      /Compiling entry function/ { split($0, part, "\047"); kernel = part[2] }
      /Used [0-9]+ registers/ {
        registers = $0; sub(/.*Used /, "", registers); sub(/ .*/, "", registers)
        shared = 0
        if (match($0, /[0-9]+ bytes smem/)) { shared = substr($0, RSTART, RLENGTH); sub(/ .*/, "", shared) }
        print kernel, architecture, registers, shared
      }' "$report"
  done
done | LC_ALL=C sort | awk -v list="$*" '
  BEGIN {
    shared = 0; n = split(list, architectures, " "); printf "kernel\tshared"
    for (i = 1; i <= n; i++) printf "\t%s", architectures[i]; print ""
  }
  function row() { printf "%s\t%s", kernel, shared; for (i = 1; i <= n; i++) printf "\t%s", registers[architectures[i]]; print "" }
  kernel != "" && kernel != $1 { row(); split("", registers); shared = 0 }
  { kernel = $1; registers[$2] = $3; if ($4 > shared + 0) shared = $4 }
  END { if (kernel != "") row() }'
