#!/usr/bin/env python3
"""How far each optimiser brings each preset's loss when no other option is touched: a Markdown table.

    python3 profiling/optimizers_table.py build/bin/impasto CONTENT STYLE
    python3 profiling/optimizers_table.py build/bin/impasto CONTENT STYLE --weights VGG16.h5 random:1 --sizes 64 512

A row for each weights, size, preset and start, a column for each optimiser: the lowest loss of ITERATIONS evaluations
over the first one. One scale, so that the losses are those of one objective. "at 7" in a cell: the last evaluation at
which a render that failed had a finite loss. Exit status 1 if a cell is above --bound or a render fails.
"""
import argparse
import itertools
import json
import math
import pathlib
import subprocess
import sys
import tempfile

PRESETS = ["impasto", "paper", "neural-style-pt", "gatys-notebook"]
OPTIMIZERS = ["lbfgs", "adam", "gd"]
STARTS = ["content", "noise"]


def losses(trace):
    """Of a --trace file, in order; an empty list where there is none."""
    try:
        lines = pathlib.Path(trace).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [row["loss"] for row in map(json.loads, lines) if row.get("loss") is not None]


def cell(values, expected):
    """Text and share of the first loss that is left; infinity for a render that ended early."""
    finite = [v for v in values if math.isfinite(v)]
    if len(finite) < expected or not finite:
        return f"at {len(finite)}", math.inf
    share = min(finite) / finite[0] if finite[0] > 0 else math.inf
    return f"{share:.2g}", share


def render(args, weights, size, options):
    with tempfile.TemporaryDirectory() as folder:
        trace = f"{folder}/trace"
        command = [args.program, "render", args.content, args.style, "-o", f"{folder}/x.png", "--trace", trace, "-q",
                   "--weights", weights, "--size", size, "--scales", 1, "--iterations", args.iterations,
                   "--device", args.device, "--threads", args.threads]
        command += [f"--{name}={value}" for name, value in options.items()]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
        for line in done.stderr.splitlines():
            print(f"{weights} {size} {options}: {line}", file=sys.stderr)
        return cell(losses(trace), args.iterations)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="build/bin/impasto")
    parser.add_argument("content", help="the photograph")
    parser.add_argument("style", help="the painting")
    parser.add_argument("--weights", nargs="+", default=["random:1", "random-vgg16:1"], help="as render takes them")
    parser.add_argument("--sizes", nargs="+", type=int, default=[64], metavar="PX", help="long sides (64)")
    parser.add_argument("--presets", nargs="+", default=PRESETS, choices=PRESETS)
    parser.add_argument("--optimizers", nargs="+", default=OPTIMIZERS, choices=OPTIMIZERS)
    parser.add_argument("--starts", nargs="+", default=STARTS, choices=STARTS)
    parser.add_argument("--iterations", type=int, default=50, help="evaluations of the loss (50)")
    parser.add_argument("--bound", type=float, default=0.9, help="most that a cell may be (0.9)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()

    columns = ["weights", "size", "preset", "start", *args.optimizers]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    bad = 0
    for weights, size, preset, start in itertools.product(args.weights, args.sizes, args.presets, args.starts):
        cells = [render(args, weights, size, {"preset": preset, "init": start, "optimizer": optimizer})
                 for optimizer in args.optimizers]
        bad += sum(not share <= args.bound for _, share in cells)
        name = pathlib.Path(weights).stem
        print(f"| {name} | {size} | {preset} | {start} | " + " | ".join(text for text, _ in cells) + " |", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
