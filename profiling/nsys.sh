#!/bin/sh
# Runs one iteration under Nsight Systems and prints a table of its kernels.
#
#   profiling/nsys.sh OUT --device cuda --precision bf16 --size 1024     further arguments: one_iteration's
#
# Writes OUT.nsys-rep (for the timeline), OUT_cuda_gpu_kern_sum.csv and OUT.md. ONE_ITERATION names another
# program than build/bin/one_iteration. Kernels inside of CUDA graphs are traced one by one. Clocks and caches
# are as the program has them, as in profiling/ncu.sh.
#
# ROOFLINE="--gpu H100", with --steps: a second table, OUT_steps.md, sets each step of the iteration (a
# convolution by its layer, a product, an operation) beside what roofline.py predicts; further words as
# summarise.py takes them (--network vgg19 --plain). Size and precision are taken from the arguments.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 OUT [ARGUMENTS OF one_iteration]" >&2; exit 2; }
out=$1
shift
here=$(dirname "$0")
program=${ONE_ITERATION:-$here/../build/bin/one_iteration}

nsys profile --trace=cuda,nvtx --sample=none --cpuctxsw=none --cuda-graph-trace=node \
  --capture-range=cudaProfilerApi --capture-range-end=stop --force-overwrite=true --output="$out" \
  "$program" "$@"
nsys stats --report cuda_gpu_kern_sum --format csv --output "$out" --force-export=true \
  --force-overwrite=true "$out.nsys-rep"
table=$(python3 "$here/summarise.py" --nsys "${out}_cuda_gpu_kern_sum.csv")
printf '%s\n' "$table" | tee "$out.md"
[ -n "${ROOFLINE:-}" ] || exit 0

size=512 precision=bf16 previous=
for word in "$@"; do
  case $previous in --size) size=$word ;; --precision) precision=$word ;; esac
  previous=$word
done
nsys stats --report nvtx_kern_sum --format csv --output "$out" --force-overwrite=true "$out.nsys-rep"
# shellcheck disable=SC2086
table=$(python3 "$here/summarise.py" --nvtx "${out}_nvtx_kern_sum.csv" --size "$size" --precision "$precision" $ROOFLINE)
printf '\n%s\n' "$table" | tee "${out}_steps.md"
