#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Static shared memory, registers per thread and bytes of code of every kernel, as a table: budgets.sh FOLDER ARCHITECTURE...
# Reads what `ptxas -v` said (FOLDER/ARCHITECTURE/*.txt, kept beside each cubin), and the cubins of sm_90a for the code.
set -eu
folder=$1
shift
for architecture in "$@"; do
  for source in "$(dirname "$0")"/../*.cu; do
    report=$folder/$architecture/$(basename "$source" .cu).txt
    [ -f "$report" ] || continue  # not for this architecture
    awk -v architecture="$architecture" '
      /Compiling entry function/ { split($0, part, "\047"); kernel = part[2] }
      /Used [0-9]+ registers/ {
        registers = $0; sub(/.*Used /, "", registers); sub(/ .*/, "", registers)
        shared = 0
        if (match($0, /[0-9]+ bytes smem/)) { shared = substr($0, RSTART, RLENGTH); sub(/ .*/, "", shared) }
        print kernel, architecture, registers, shared
      }' "$report"
    if [ "$architecture" = sm_90a ]; then
      readelf -SW "${report%.txt}.cubin" 2> /dev/null | awk '
        { sub(/^ *\[ *[0-9]+\] */, "") }
        $1 ~ /^\.text\./ { print substr($1, 7), "code", $5 }'
    fi
  done
done | LC_ALL=C sort | awk -v list="$*" '
  function hexadecimal(digits,  i, n) {
    for (i = 1; i <= length(digits); i++) n = 16 * n + index("0123456789abcdef", substr(digits, i, 1)) - 1
    return n
  }
  function row() {
    printf "%s\t%s\t%s", kernel, shared, code
    for (i = 1; i <= n; i++) printf "\t%s", architectures[i] in registers ? registers[architectures[i]] : "-"
    print ""
  }
  BEGIN {
    shared = 0; n = split(list, architectures, " "); printf "kernel\tshared\tcode"
    for (i = 1; i <= n; i++) printf "\t%s", architectures[i]; print ""
  }
  kernel != "" && kernel != $1 { row(); split("", registers); shared = 0 }
  { kernel = $1 }
  $2 == "code" { code = hexadecimal($3); next }
  { registers[$2] = $3; if ($4 > shared + 0) shared = $4 }
  END { if (kernel != "") row() }'
