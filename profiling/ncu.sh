#!/bin/sh
# Runs one iteration under Nsight Compute and prints a table of its kernels with their memory traffic.
#
#   profiling/ncu.sh OUT --device cuda --precision bf16 --size 1024      further arguments: one_iteration's
#
# Writes OUT.ncu-rep, OUT.csv and OUT.md. ONE_ITERATION names another program than build/bin/one_iteration.
# By default only what the table needs is collected; NCU_SET=full adds all that the viewer shows and takes
# longer. ncu would flush the caches and hold the clocks at their base for every kernel; here both are left as
# the program has them (--cache-control none, --clock-control none), as under profiling/nsys.sh, so that the
# two agree. With NSYS_CSV=FILE the table has calls and times from there: ncu runs a kernel several times over,
# and what it left in the caches is its own. Counters need a right that users may lack (NVIDIA's page on
# ERR_NVGPUCTRPERM).
set -eu
[ $# -ge 1 ] || { echo "usage: $0 OUT [ARGUMENTS OF one_iteration]" >&2; exit 2; }
out=$1
shift
here=$(dirname "$0")
program=${ONE_ITERATION:-$here/../build/bin/one_iteration}

metrics=gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum
metrics=$metrics,dram__throughput.avg.pct_of_peak_sustained_elapsed
metrics=$metrics,sm__throughput.avg.pct_of_peak_sustained_elapsed
ncu --profile-from-start off --graph-profiling node --cache-control none --clock-control none ${NCU_SET:+--set "$NCU_SET"} --metrics "$metrics" \
  --force-overwrite --export "$out" "$program" "$@"
ncu --import "$out.ncu-rep" --csv --page raw --print-units base --print-kernel-base demangled > "$out.csv"
table=$(python3 "$here/summarise.py" --ncu "$out.csv" ${NSYS_CSV:+--nsys "$NSYS_CSV"})
printf '%s\n' "$table" | tee "$out.md"
