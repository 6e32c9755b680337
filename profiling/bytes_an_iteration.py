#!/usr/bin/env python3
"""Launches, waits of the host and bytes of one iteration, before and now: the table of docs/gpu.md.

    cmake --build build --target impasto impasto_cuda impasto_cuda_calls impasto-paint
    profiling/bytes_an_iteration.py [--build build] [--runner COMMAND]      --runner: put before each program

Launches are what `impasto render -v` says of the graph that an iteration is, waits what a library that is preloaded
counts (tests/support/cuda_calls.cpp), the difference of two renders of few pixels: neither depends on the size. Bytes
are those of roofline.py, every operand of every launch once. Exit status 1 where roofline.py lists other launches than
the program has, so its bytes are those of what runs. "Before" is the program as of commit f0e6eec, measured once in
the same way.
"""
import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import roofline  # noqa: E402

SIZES = (512, 1024)
METHODS = {"default": [], "plain": "--line-search none --preconditioner none --history 10".split()}
FEW, MORE = 6, 9  # iterations of the two renders; the first two are no replays
# Launches and waits of an accepted step; gigabytes for each of SIZES, by the list of launches at that commit (its pools
# wrote no codes and read the map before them on the way back).
BEFORE = {
    ("default", "bf16"): (72, 9, 1.452, 5.559),
    ("default", "fp16"): (82, 9, 1.578, 6.062),
    ("default", "fp32"): (72, 9, 2.394, 9.2),
    ("plain", "bf16"): (59, 1, 1.12, 4.232),
    ("plain", "fp16"): (69, 1, 1.246, 4.735),
    ("plain", "fp32"): (59, 1, 2.063, 7.873),
}
GRAPH = re.compile(r"graph of (\d+) convolutions, (\d+) backward, (\d+) products and (\d+) other kernels: captured 1,")


class Failure(Exception):
    """One line for people."""


def bytes_now(size, precision, plain):
    return sum(o.bytes for o in roofline.iteration(size, size * 3 // 4, precision, plain=plain))


def render(args, folder, method, precision, iterations):
    """What a render wrote to standard error, and {kind: calls of the CUDA libraries}."""
    calls = folder / "calls"
    words = ["render", folder / "content.png", folder / "style.png", "-o", folder / "out.png", "--overwrite", "-v",
             "--device", "cuda", "--precision", precision, "--weights", "random-vgg16:1", "--size", "64", "--scales", "1",
             "--min-size", "0", "--tolerance", "0", "--iterations", iterations, *METHODS[method]]
    library = args.build / "lib" / "libimpasto_cuda_calls.so"
    # Within the runner, which may preload libraries of its own: this one goes before them.
    preloading = 'LD_PRELOAD="$0${LD_PRELOAD:+ $LD_PRELOAD}" exec "$@"'
    done = subprocess.run([*shlex.split(args.runner), "bash", "-c", preloading, library.resolve(),
                           args.build / "bin" / "impasto", *map(str, words)],
                          env={**os.environ, "IMPASTO_CUDA_CALLS": str(calls)}, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"expected a render, found exit status {done.returncode}: {' '.join(done.stderr.split())}")
    return done.stderr, {kind: int(count) for kind, count in map(str.split, calls.read_text().splitlines())}


def measure(args, folder, method, precision):
    """(launches by kind, waits of the host) of one iteration."""
    _, few = render(args, folder, method, precision, str(FEW))
    said, more = render(args, folder, method, precision, str(MORE))
    found = GRAPH.search(said)
    each = {kind: (more[kind] - few[kind]) / (MORE - FEW) for kind in more}
    if not found or each["graphs"] != 1 or each["runs"] != 0:
        raise Failure(f"{method} {precision}: expected an iteration to be one graph, found {each['graphs']:g} and "
                      f"{each['runs']:g} convolutions beside them; was IMPASTO_CUDA_RECORD set?")
    return tuple(map(int, found.groups())), each["stream_waits"] + each["event_waits"]


def require_same(method, precision, found):
    listed = roofline.launches(roofline.iteration(64, 48, precision, plain=method == "plain"))
    if listed != found:
        raise Failure(f"{method} {precision}: expected the launches that roofline.py lists, {listed} convolutions forward, "
                      f"backward, products and others, found {found}; correct its list")


def row(method, precision, launches, waits):
    """One line of the table: before, now."""
    now = [f"{sum(launches)}", f"{waits:g}", *(f"{bytes_now(size, precision, method == 'plain') / 1e9:.2f}" for size in SIZES)]
    before = [f"{number:.2f}" if isinstance(number, float) else f"{number}" for number in BEFORE[method, precision]]
    return [f"{method}, {precision}", *(cell for pair in zip(before, now) for cell in pair)]


def paint(args, folder):
    for kind, name in enumerate(("content.png", "style.png")):
        subprocess.run([args.build / "bin" / "impasto-paint", "--kind", str(kind), "--size", "64x48", folder / name],
                       check=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default="build", help="folder of the build (build)")
    parser.add_argument("--runner", default="", help="command that is put before the program")
    args = parser.parse_args(arguments)
    rows = []
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            paint(args, folder)
            for method, precision in BEFORE:
                launches, waits = measure(args, folder, method, precision)
                require_same(method, precision, launches)
                rows.append(row(method, precision, launches, waits))
    except (Failure, OSError, subprocess.CalledProcessError) as error:
        print(f"bytes_an_iteration: {error}", file=sys.stderr)
        return 1
    titles = [f"{what} {when}" for what in ("launches", "waits", *(f"GB, {size} px," for size in SIZES))
              for when in ("before", "now")]
    print(roofline.table(["one iteration", *titles], rows), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
