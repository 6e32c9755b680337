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
"""
import argparse
import csv
import io
import re
import sys

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


def read_nsys(text, path, base=False):
    """{kernel: (calls, total ns)}"""
    header, rows = table_after_preamble(text, path, ["Instances", "Name"])
    time = next((c for c in header if c.startswith("Total Time (")), None)
    unit = time[len("Total Time ("):-1] if time else ""
    if unit not in UNITS:
        raise Failure(f"{path}: expected a column 'Total Time (ns)', found {', '.join(header)}")
    kernels = {}
    for row in rows:
        cells = dict(zip(header, row))
        name = kernel_name(cells["Name"], base)
        calls, total = kernels.get(name, (0, 0.0))
        kernels[name] = (calls + int(number(cells["Instances"], path)),
                         total + UNITS[unit] * number(cells[time], path))
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
    args = parser.parse_args(arguments)
    if not args.nsys and not args.ncu:
        parser.error("expected --nsys or --ncu")

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
