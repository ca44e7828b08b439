#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everything that only a GPU can tell, in one go. Run in a checkout, on a machine with an NVIDIA driver, a libcublas, and no Java:
#
#   bench/gpu.sh [--rehearse] [--home DIR] [--out DIR] [STEP...]
#
#   --home DIR   an unpacked self-contained archive (default: target/dvl-*.tar.xz are unpacked into a temporary folder)
#   --out DIR    results (default: bench/results/DATE)
#   --rehearse   the same steps at small sizes on the emulated device; shows that nothing is misspelt, measures nothing
#   STEP         facts tests vectors kernels 3b 7b train serve load profile sanitizer (default: all, in this order)
#
# Each command has its own time limit, and what it measured is kept whatever happens later. In --out: rows.jsonl (every result and
# every step with its exit code), vectors.tar, and a log for each kind of step. Clocks and power are left as they are.
#
# Before anything else that runs products, both ways in which they copy weights are tried on small ones: by bulk copies (the default)
# and by cp.async. A line says of each whether it works. Where bulk copies hang or are wrong, all that follows runs without them, also
# in later calls with the same --out.
set -u

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here" || exit 1
rehearse=false home= out= steps=()
while [ $# -gt 0 ]; do
  case $1 in
    --rehearse) rehearse=true ;;
    --home) home=$2; shift ;;
    --out) out=$2; shift ;;
    -*) echo "gpu.sh: unknown option $1" >&2; exit 2 ;;
    *) steps+=("$1") ;;
  esac
  shift
done
[ ${#steps[@]} -gt 0 ] || steps=(facts tests vectors kernels 3b 7b train serve load profile sanitizer)
out=${out:-bench/results/$(date -u +%Y-%m-%d-%H%M)}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
rows=$out/rows.jsonl

if [ -z "$home" ]; then
  temporary=$(mktemp -d)
  trap 'rm -rf "$temporary"' EXIT
  for archive in target/dvl-*-linux-x86_64.tar.xz target/dvl-*-linux-x86_64-tests.tar.xz; do
    tar -C "$temporary" -xf "$archive" && continue
    echo "gpu.sh: cannot unpack $archive; make it with: mvn -DskipTests -Pdist package" >&2
    exit 1
  done
  home=$(echo "$temporary"/dvl-*)
fi
home=$(cd "$home" && pwd) || exit 1

export DVL_JAVA_OPTIONS=-Ddvl.device=gpu
$rehearse && DVL_JAVA_OPTIONS=-Ddvl.device=emulated
python=${PYTHON:-python3}
tokenizer=samples/models/diffusionvl-tiny # of the demo model
failed=0

# run LOG SECONDS COMMAND...: its output goes to LOG.txt, what became of it to rows.jsonl and the terminal
run() {
  local log=$out/$1.txt limit=$2 start=$SECONDS rc line
  shift 2
  line=${*//$home/ARCHIVE}
  line=${line//$out/OUT}
  echo "== $line" >> "$log"
  timeout -k 10 "$limit" "$@" >> "$log" 2>&1
  rc=$?
  printf '{"bench":"step","command":"%s","rc":%d,"seconds":%d,"limit_s":%d}\n' \
    "${line//\"/\\\"}" $rc $((SECONDS - start)) "$limit" >> "$rows"
  printf '%4d s  %s  %s\n' $((SECONDS - start)) "$([ $rc = 0 ] && echo ok || echo "rc $rc")" "${line:0:150}"
  [ $rc = 0 ] || failed=$((failed + 1))
  return $rc
}

# have LOG TOOL: whether a tool is there; says so in LOG.txt when it is not
have() {
  command -v "$2" > /dev/null && return 0
  echo "== skipped: no $2 on this machine" | tee -a "$out/$1.txt"
  return 1
}

versions() { # symbol version nodes of the CUDA libraries that the runtime may load
  local lib
  local names='cublasGemmEx|cublasCreate_v2|cudnnCreate|cuLaunchKernelEx|cuCtxCreate_v2|cuGraphKernelNodeSetParams_v2'
  find / -xdev -not -path '/tmp/*' -not -path '*/target/*' -not -path '*/.cache/*' \
    \( -name 'libcublas.so.1?' -o -name 'libcudnn.so.9' -o -name 'libcublasLt.so.1?' -o -name 'libcuda.so.1' \) 2> /dev/null |
    while read -r lib; do
      ls -l "$lib"
      nm -D --with-symbol-versions "$lib" 2> /dev/null | grep -E " ($names)@" | head -8
    done
}
export -f versions

facts() {
  run facts 10 uname -srm
  run facts 10 grep -m1 'model name' /proc/cpuinfo
  run facts 10 cat "$home/commit"
  local query=name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.draw,power.limit
  have facts nvidia-smi && run facts 20 nvidia-smi --format=csv \
    "--query-gpu=$query,temperature.gpu,pcie.link.gen.current,pcie.link.width.current"
  have facts nvcc && run facts 10 nvcc --version
  run facts 60 bash -c versions
  run facts 60 "$python" samples/bench/peer.py --versions
  run facts 60 "$python" samples/bench/peer.py --self-test
}

# Tries bulk copies and cp.async on small products, once for --out; without bulk copies from then on where they fail.
products() {
  local log=$out/products.txt shape=3b ring no_ring
  $rehearse && shape=tiny
  local bench=("$home/dvl" bench kernels --shape $shape --iterations 3 --warm-up 1 --only skinny_swiglu --only skinny_residual
    --only skinny_qkv --only skinny_confidence --weights bf16 --weights int4 --out "$rows")
  if ! grep -q '^products by' "$log" 2> /dev/null; then
    run products 60 "${bench[@]}" --ring && run products 120 "$home/dvl-tests" --details=summary \
      --select-class dev.diffusionvl.runtime.TensorMapTest --select-class dev.diffusionvl.runtime.op.SkinnyRingTest
    ring=$?
    run products 60 "${bench[@]}" --no-ring
    no_ring=$?
    verdict "bulk copies (--ring)" $ring | tee -a "$log"
    verdict "cp.async (--no-ring)" $no_ring | tee -a "$log"
  fi
  if grep -q '^products by bulk copies.*failed' "$log"; then
    echo "all that follows runs with -Ddvl.ring=false" | tee -a "$log"
    DVL_JAVA_OPTIONS="$DVL_JAVA_OPTIONS -Ddvl.ring=false"
  fi
}

verdict() { # FORM EXIT-CODE
  case $2 in
    0) echo "products by $1: ok" ;;
    124 | 137) echo "products by $1: failed, no end within the time limit (products.txt)" ;;
    *) echo "products by $1: failed, exit code $2 (products.txt)" ;;
  esac
}

tests() {
  local classes=(--select-package dev.diffusionvl.runtime.op --select-package dev.diffusionvl.model --select-package dev.diffusionvl.gpu)
  $rehearse && classes=(--select-class dev.diffusionvl.runtime.op.RowOpsTest --select-class dev.diffusionvl.gpu.RealGpuTest
    --select-method 'dev.diffusionvl.model.GoldenTest#everyDecisionOfTheReferenceInF32(dev.diffusionvl.model.GoldenCase)')
  run tests 240 "$home/dvl-tests" --details=tree "${classes[@]}"
  # Those that are about the emulated device or this machine's files fail elsewhere by nature; a run of their own keeps them apart.
  $rehearse || run tests 60 "$home/dvl-tests" --details=tree --select-class dev.diffusionvl.runtime.GraphTest \
    --select-class dev.diffusionvl.runtime.RuntimeTest --select-class dev.diffusionvl.runtime.LaunchTest
}

vectors() { # what the device's own instructions answer, for src/test/resources/conformance
  if [ ! -d "$home/tests/classes/dev/diffusionvl/conformance" ]; then
    echo "== skipped: no conformance test in the archive" | tee -a "$out/tests.txt"
    return
  fi
  local folder
  folder=$(mktemp -d)
  DVL_JAVA_OPTIONS="$DVL_JAVA_OPTIONS -Dconformance.record=$folder" \
    run tests 90 "$home/dvl-tests" --details=tree --select-class dev.diffusionvl.conformance.ConformanceTest
  tar -C "$folder" --owner=0 --group=0 -cf "$out/vectors.tar" .
  rm -rf "$folder"
}

kernels() {
  if $rehearse; then
    run kernels 120 "$home/dvl" bench kernels --shape tiny --out "$rows"
  else
    run kernels 150 "$home/dvl" bench kernels --shape 7b --out "$rows"
    run kernels 150 "$home/dvl" bench kernels --shape 7b --weights fp8 --weights int4 --only skinny_swiglu --only skinny_qkv \
      --only skinny_residual --only skinny_confidence --only expand_weights --out "$rows"
    run kernels 100 "$home/dvl" bench kernels --shape 7b --no-ring --only skinny_swiglu --only skinny_qkv --only skinny_residual \
      --only skinny_confidence --out "$rows"
    run kernels 100 "$home/dvl" bench kernels --shape 3b --out "$rows"
  fi
}

# peer SHAPE LIMIT MODE OPTIONS...: the PyTorch peer; where there is no torch, at least what it would do
peer() {
  local shape=$1 limit=$2 mode=$3
  shift 3
  if $rehearse && ! "$python" -c 'import torch' 2> /dev/null; then set -- --plan "$@"; fi
  run models "$limit" "$python" samples/bench/peer.py --shape "$shape" --mode "$mode" --out "$rows" "$@"
}

# predicted SHAPE: what the time model says of the GPU that is most like this one, beside what was measured
predicted() {
  local known=h100
  case $(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null) in
    *H200*) known=h200 ;; *A100*) known=a100 ;; *4090*) known=rtx4090 ;;
  esac
  run predicted 30 "$home/dvl" bench predict --shape "$1" --device $known --measured "$rows"
  run predicted 30 "$home/dvl" bench predict --shape "$1" --device $known --measured "$rows"
}

# models SHAPE OPTIONS...: ours with and without overlap and bulk copies, eager and compiled in turn, ours once more at the end
models() {
  local shape=$1 length=128
  shift
  $rehearse && length=16
  run models 90 "$home/dvl" bench forward --shape "$shape" --gemm own --gemm cublas --tokenizer $tokenizer --out "$rows" "$@"
  run models 60 "$home/dvl" bench forward --shape "$shape" --gemm own --rows 8 --overlap --tokenizer $tokenizer --out "$rows" "$@"
  run models 60 "$home/dvl" bench forward --shape "$shape" --gemm own --rows 8 --overlap --no-ring --tokenizer $tokenizer \
    --out "$rows" "$@"
  run models 90 "$home/dvl" bench forward --shape "$shape" --gemm own --rows 8 --rows 64 --weights fp8 --weights int4 \
    --tokenizer $tokenizer --out "$rows" "$@"
  run models 60 "$home/dvl" bench generate --shape "$shape" --gemm own --overlap --gen-length $length --tokenizer $tokenizer \
    --out "$rows" "$@"
  run models 90 "$home/dvl" bench generate --shape "$shape" --gemm own --speculate 0 --speculate 3 --speculate 7 --gen-length $length \
    --tokenizer $tokenizer --out "$rows" "$@"
  # Our way with the reference's passes: 8 + 1 a block, and launched one by one.
  run models 60 "$home/dvl" bench generate --shape "$shape" --no-fused-store --no-graph --gen-length $length --tokenizer $tokenizer \
    --out "$rows" "$@"
  peer "$shape" 120 eager "$@"
  if $rehearse; then
    peer "$shape" 60 compiled "$@"
    peer "$shape" 60 autotuned "$@"
  else # each context is compiled on its own, as its cache is of its own size
    peer "$shape" 240 compiled --context 352 --context 1000
    peer "$shape" 150 compiled --context 4000
    peer "$shape" 300 autotuned --context 1000
  fi
  run models 60 "$home/dvl" bench forward --shape "$shape" --rows 8 --tokenizer $tokenizer --out "$rows" "$@"
  predicted "$shape"
}

shape() {
  if $rehearse; then models tiny --context 64 --layers 2; else models "$1"; fi
}

train() { # AdamW of the whole 3B needs about 60 GB; of the 7B a quarter of the layers is taken
  if $rehearse; then
    run models 120 "$home/dvl" bench train --shape tiny --layers 2 --rows 64 --tokenizer $tokenizer --out "$rows"
    peer tiny 60 eager --train --rows 64
    peer tiny 60 compiled --train --rows 64
    return
  fi
  local recompute
  for recompute in "" --recompute; do
    run models 120 "$home/dvl" bench train --shape 3b $recompute --tokenizer $tokenizer --out "$rows"
    peer 3b 150 eager --train $recompute
    peer 3b 200 compiled --train $recompute
  done
  run models 120 "$home/dvl" bench train --shape 7b --layers 7 --tokenizer $tokenizer --out "$rows"
  peer 7b 150 eager --train --layers 7
  peer 7b 200 compiled --train --layers 7
}

load() {
  local shape=3b
  $rehearse && shape=tiny
  run models 150 "$home/dvl" bench load --shape $shape --tokenizer $tokenizer --out "$rows"
}

serve() { # own products: the tokens of a request do not depend on its company
  local size=(--shape 3b --context 352)
  $rehearse && size=(--shape tiny --layers 1 --context 64 --gen-length 16 --steps 2 --requests 1 --users 1 --users 2)
  run models 280 "$home/dvl" bench serve "${size[@]}" --gemm own --gemm auto --tokenizer $tokenizer --out "$rows"
}

# Where the time goes between and inside the kernels: one replayed pass in a timeline, two kernels by their counters. The files that the
# tools write are large and stay in a temporary folder; their tables are kept.
profile() {
  local shape=3b context=1000 folder
  $rehearse && shape=tiny context=64
  local forward=("$home/dvl" bench forward --shape $shape --gemm own --rows 8 --context $context --tokenizer $tokenizer)
  folder=$(mktemp -d)
  if have profile nsys; then
    for overlap in "" --overlap; do
      # shellcheck disable=SC2086 # empty is no argument
      run profile 150 nsys profile --trace cuda --cuda-graph-trace node --force-overwrite true --output "$folder/forward" \
        "${forward[@]}" $overlap
      run profile 90 nsys stats --report cuda_gpu_kern_sum --format csv "$folder/forward.nsys-rep"
      # Start and length of the last 400 kernels: two passes of the 3B, with the gaps between their kernels.
      run profile 90 bash -c "nsys stats --report cuda_gpu_trace --format csv '$folder/forward.nsys-rep' | cut -d, -f1,2,20- | tail -400"
    done
  fi
  if have profile ncu; then
    run profile 200 ncu --target-processes all --kernel-name 'regex:skinny_swiglu_m8|attention_split' --launch-skip 40 --launch-count 4 \
      --section SpeedOfLight --section MemoryWorkloadAnalysis --section WarpStateStats --section Occupancy "${forward[@]}"
  fi
  rm -rf "$folder"
}

# One class a run, so that each ends within its time: the checker slows kernels down by ten to a hundred, and start-up by as much.
sanitizer() {
  have sanitizer compute-sanitizer || return
  local class tool
  for tool in memcheck racecheck; do
    for class in RowOpsTest SkinnyGemmTest SkinnyFusedTest SkinnyRingTest AttentionTest; do
      run sanitizer 120 compute-sanitizer --tool $tool --target-processes all --print-limit 20 --error-exitcode 9 \
        "$home/dvl-tests" --details=summary --select-class dev.diffusionvl.runtime.op.$class
    done
  done
}

tried=false
for step in "${steps[@]}"; do
  if ! $tried && [ "$step" != facts ]; then
    products
    tried=true
  fi
  case $step in
    facts | tests | vectors | kernels | train | serve | load | profile | sanitizer) $step ;;
    3b | 7b) shape "$step" ;;
    *) echo "gpu.sh: unknown step $step" >&2; failed=$((failed + 1)) ;;
  esac
done
echo "results in $out: $(ls "$out" | tr '\n' ' ')"
[ $failed = 0 ] || echo "$failed commands failed; the others' results are kept" >&2
exit $((failed > 0))
