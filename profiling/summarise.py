#!/usr/bin/env python3
"""One table a kernel from the profilers' CSV exports: calls, total ms, GB/s, share of the roofline.

    nsys stats --report cuda_gpu_kern_sum --format csv one.nsys-rep > nsys.csv
    ncu --import one.ncu-rep --csv --page raw --print-units base --print-kernel-base demangled > ncu.csv
    profiling/summarise.py --nsys nsys.csv --ncu ncu.csv [--base] [--csv]

Either file alone will do; profiling/nsys.sh and ncu.sh make both. With both, calls and times are of nsys
(which leaves the clocks alone) and GB/s is ncu's DRAM bytes a call over nsys's time a call. The share of the
roofline is ncu's: the greater of sm__throughput and dram__throughput, each in percent of its sustained peak
while ncu measured, the mean over the calls weighted with their time. sm__throughput is the busiest pipe of a
multiprocessor, whatever it is busy with: a kernel that wastes instructions looks good. nsys alone has no
bytes: those columns stay empty.

--base puts all instances of a template under one name. Exit status 1 for a file that is not such an export.

    nsys stats --report nvtx_kern_sum --format csv one.nsys-rep > steps.csv
    profiling/summarise.py --nvtx steps.csv --gpu H100 --size 1024 --precision bf16 [--network vgg19] [--plain]

of `one_iteration --steps`, where each step of the iteration is a range: a table of
the steps in their order, each with its kernels' time, the floor that roofline.py predicts, their ratio, and the
share of the whole. Ranges within a step, and around several, are passed over.
"""
import argparse
import csv
import io
import os
import re
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import roofline  # noqa: E402

TIME = "gpu__time_duration.sum"
READ, WRITE = "dram__bytes_read.sum", "dram__bytes_write.sum"
DRAM = "dram__throughput.avg.pct_of_peak_sustained_elapsed"
SM = "sm__throughput.avg.pct_of_peak_sustained_elapsed"
UNITS = {
    **{prefix + name: factor for prefix, factor in (("n", 1), ("u", 1e3), ("m", 1e6), ("", 1e9))
       for name in ("s", "second")},
    **{prefix + name: factor for prefix, factor in (("", 1), ("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))
       for name in ("byte", "B")},
    "%": 1,
}


class Failure(Exception):
    """One line for people."""


def number(text, where):
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise Failure(f"{where}: expected a number, found '{text}'") from None


def table_after_preamble(text, path, first_columns):
    """Header and rows of the CSV table in a file that may have lines of progress before and after it."""
    lines = text.splitlines(keepends=True)
    for i, line in enumerate(lines):
        header = next(csv.reader([line]), [])
        if set(first_columns) <= set(header):
            rows = csv.reader(io.StringIO("".join(lines[i + 1:])))
            return header, [row for row in rows if len(row) == len(header)]
    raise Failure(f"{path}: expected a table with the columns {', '.join(first_columns)}, found none")


def kernel_name(name, base):
    """The same name for both profilers: no result, no parameters; with `base` no template arguments."""
    name = name.strip()
    if name.endswith(")"):  # the parameters, which may have brackets themselves
        depth = 0
        for i in range(len(name) - 1, -1, -1):
            depth += (name[i] == ")") - (name[i] == "(")
            if name[i] == "(" and depth == 0:
                name = name[:i]
                break
    name = name.replace("(anonymous namespace)::", "").replace("<unnamed>::", "")
    # The result type ends at the last space outside of all brackets.
    depth, start, arguments = 0, 0, None
    for i, character in enumerate(name):
        depth += (character in "<(") - (character in ">)")
        if character == " " and depth == 0:
            start = i + 1
        if character == "<" and depth == 1 and base and arguments is None:
            arguments = i
    name = name[start:arguments] if arguments is not None and arguments > start else name[start:]
    return re.sub(r"\s*([<>(),*&])\s*", r"\1", name)


def total_time(header, path):
    """nsys's column of total times, and how many nanoseconds one of its units is."""
    time = next((c for c in header if c.startswith("Total Time (")), None)
    unit = time[len("Total Time ("):-1] if time else ""
    if unit not in UNITS:
        raise Failure(f"{path}: expected a column 'Total Time (ns)', found {', '.join(header)}")
    return time, UNITS[unit]


def read_nsys(text, path, base=False):
    """{kernel: (calls, total ns)}"""
    header, rows = table_after_preamble(text, path, ["Instances", "Name"])
    time, nanoseconds = total_time(header, path)
    kernels = {}
    for row in rows:
        cells = dict(zip(header, row))
        name = kernel_name(cells["Name"], base)
        calls, total = kernels.get(name, (0, 0.0))
        kernels[name] = (calls + int(number(cells["Instances"], path)),
                         total + nanoseconds * number(cells[time], path))
    return kernels


def read_ncu(text, path, base=False):
    """{kernel: {"calls", "ns", "bytes", "share"}}; the last two are None where metrics are missing."""
    header, rows = table_after_preamble(text, path, ["ID", "Kernel Name", TIME])
    if not rows:
        raise Failure(f"{path}: expected a row of units and one a kernel, found none")
    units = dict(zip(header, rows[0]))
    if units["ID"]:
        raise Failure(f"{path}: expected a row of units (ncu --csv --page raw), found kernel {units['ID']}")

    def value(cells, metric):
        if cells.get(metric, "") in ("", "n/a", "nan"):
            return None
        if units[metric] not in UNITS:
            raise Failure(f"{path}: {metric}: expected a unit of time, bytes or %, found '{units[metric]}'")
        return UNITS[units[metric]] * number(cells[metric], f"{path}: {metric}")

    kernels = {}
    for row in rows[1:]:
        cells = dict(zip(header, row))
        time = value(cells, TIME)
        if time is None:
            raise Failure(f"{path}: {TIME}: expected a number for kernel {cells['ID']}, found none")
        kernel = kernels.setdefault(kernel_name(cells["Kernel Name"], base),
                                    {"calls": 0, "ns": 0.0, "bytes": 0.0, "share": 0.0})
        kernel["calls"] += 1
        kernel["ns"] += time
        read, written = value(cells, READ), value(cells, WRITE)
        shares = [s for s in (value(cells, SM), value(cells, DRAM)) if s is not None]
        for key, more in (("bytes", None if read is None or written is None else read + written),
                          ("share", max(shares) / 100 * time if len(shares) == 2 else None)):
            kernel[key] = None if more is None or kernel[key] is None else kernel[key] + more
    for kernel in kernels.values():
        if kernel["share"] is not None:
            kernel["share"] = kernel["share"] / kernel["ns"] if kernel["ns"] > 0 else None
    return kernels


def summarise(nsys, ncu):
    """Rows (kernel, calls, ms, GB/s or None, share or None), the longest first. Either may be empty."""
    rows = []
    for name in nsys or ncu:
        kernel = ncu.get(name)
        calls, nanoseconds = nsys[name] if nsys else (kernel["calls"], kernel["ns"])
        rate = share = None
        if kernel:
            if kernel["bytes"] is not None and nanoseconds > 0:
                rate = kernel["bytes"] / kernel["calls"] * calls / nanoseconds
            share = kernel["share"]
        rows.append((name, calls, nanoseconds / 1e6, rate, share))
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def read_steps(text, path):
    """{range: (kernels, total ns)} of nvtx_kern_sum, ranges of the default domain by their plain names."""
    header, rows = table_after_preamble(text, path, ["NVTX Range", "Kern Inst", "Kernel Name"])
    time, nanoseconds = total_time(header, path)
    steps = {}
    for row in rows:
        cells = dict(zip(header, row))
        name = cells["NVTX Range"].removeprefix(":")
        kernels, total = steps.get(name, (0, 0.0))
        steps[name] = (kernels + int(number(cells["Kern Inst"], path)),
                       total + nanoseconds * number(cells[time], path))
    return steps


def against_floors(steps, floors, path):
    """Rows (step, kernels, ms, floor ms, ratio, share) in the order of the floors; Failure where none was seen."""
    seen = [name for name in floors if name in steps]
    if not any(name.startswith("conv") for name in seen):
        raise Failure(f"{path}: expected ranges such as 'conv1_1 forward', found {', '.join(list(steps)[:3]) or 'none'}; "
                      "use one_iteration --steps of a build that has not IMPASTO_NVTX=OFF")
    whole = sum(steps[name][1] for name in seen)
    return [(name, steps[name][0], steps[name][1] / 1e6, 1e3 * floors[name], steps[name][1] / 1e9 / floors[name],
             steps[name][1] / whole if whole else 0) for name in seen]


def print_steps(rows, missing, as_csv):
    titles = ["step", "kernels", "ms", "floor, ms", "ratio", "share"]
    lines = [[name, str(kernels), f"{ms:.4f}", f"{floor:.4f}", f"{ratio:.2f}", f"{share:.3f}"]
             for name, kernels, ms, floor, ratio, share in rows]
    measured, floor = sum(row[2] for row in rows), sum(row[3] for row in rows)
    total = ["total", str(sum(row[1] for row in rows)), f"{measured:.4f}", f"{floor:.4f}", f"{measured / floor:.2f}", ""]
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([titles, *lines])
    else:
        print(f"| {' | '.join(titles)} |\n|---|{'---:|' * 5}")
        for line in [*lines, total]:
            print(f"| {' | '.join(line)} |")
    if missing:
        print(f"summarise: without a measured time: {', '.join(missing)}", file=sys.stderr)


def summarise_steps(args):
    gpu = roofline.GPUS[args.gpu]
    if args.precision not in gpu.flops:
        raise Failure(f"--precision: expected one that the {args.gpu} offers, found {args.precision}")
    floors = roofline.floors(args.size, args.precision, gpu, args.network, args.plain)
    with open(args.nvtx, encoding="utf-8") as file:
        steps = read_steps(file.read(), args.nvtx)
    rows = against_floors(steps, floors, args.nvtx)
    print_steps(rows, [name for name in floors if name not in steps], args.csv)


def cells(row):
    name, calls, milliseconds, rate, share = row
    return [name, str(calls), f"{milliseconds:.4f}", "" if rate is None else f"{rate:.1f}",
            "" if share is None else f"{share:.3f}"]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nsys", help="CSV of nsys stats --report cuda_gpu_kern_sum")
    parser.add_argument("--ncu", help="CSV of ncu --csv --page raw")
    parser.add_argument("--base", action="store_true", help="kernels by function, without template arguments")
    parser.add_argument("--csv", action="store_true", help="CSV instead of a Markdown table")
    parser.add_argument("--nvtx", help="CSV of nsys stats --report nvtx_kern_sum")
    parser.add_argument("--gpu", choices=roofline.GPUS, default="H100", help="of --nvtx, as the next ones")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--precision", choices=roofline.ACTIVATION_BYTES, default="bf16")
    parser.add_argument("--network", choices=roofline.NETWORKS, default="vgg16")
    parser.add_argument("--plain", action="store_true", help="one_iteration --plain")
    args = parser.parse_args(arguments)
    if not args.nsys and not args.ncu and not args.nvtx:
        parser.error("expected --nsys, --ncu or --nvtx")
    if args.nvtx:
        try:
            summarise_steps(args)
        except (Failure, OSError) as error:
            print(f"summarise: {error}", file=sys.stderr)
            return 1
        return 0

    def read(reader, path):
        if not path:
            return {}
        with open(path, encoding="utf-8") as file:
            return reader(file.read(), path, args.base)

    try:
        nsys, ncu = read(read_nsys, args.nsys), read(read_ncu, args.ncu)
    except (Failure, OSError) as error:
        print(f"summarise: {error}", file=sys.stderr)
        return 1
    rows = summarise(nsys, ncu)
    titles = ["kernel", "calls", "ms", "GB/s", "share of roofline"]
    total = ["total", str(sum(row[1] for row in rows)), f"{sum(row[2] for row in rows):.4f}", "", ""]
    if args.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([titles, *map(cells, rows)])
    else:
        print(f"| {' | '.join(titles)} |\n|---|{'---:|' * 4}")
        for row in [*map(cells, rows), total]:
            print(f"| {' | '.join([row[0].replace('|', chr(92) + '|'), *row[1:]])} |")
    for name in sorted(set(ncu) - set(nsys)) if nsys and ncu else []:
        print(f"summarise: {name}: seen by ncu alone", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
