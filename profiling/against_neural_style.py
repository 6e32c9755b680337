#!/usr/bin/env python3
"""Holds `impasto render --preset neural-style-pt` against the package neural-style 0.5.7 on the same inputs.

    python3 -m venv peer && peer/bin/pip install neural-style==0.5.7 h5py numpy
    peer/bin/python profiling/against_neural_style.py build/bin/impasto VGG16.h5 CONTENT STYLE             losses
    peer/bin/python profiling/against_neural_style.py build/bin/impasto VGG16.h5 CONTENT STYLE --time      speed, memory
    peer/bin/python profiling/against_neural_style.py build/bin/impasto VGG16.h5 CONTENT STYLE --quality   time to its loss

random:1 in place of VGG16.h5 is VGG-19 with generated weights.

Both programs get the same PNG files, resized here to one size, the same weights and mean, on the same number of CPU
threads; the start is the content picture, or --start for one more comparison of the single terms. Losses: exit
status 1 if one is off by more than its bound. Speed: pairs of runs, one program after the other; a run's figure is
the median time between two evaluations. Time to its loss: neural-style runs 300 iterations of L-BFGS, Impasto L-BFGS of
the same history with line search and preconditioner, and the clock stops where its loss is no longer above neural-style's
last one; for Impasto it runs from the start of the process, for neural-style from the first evaluation. Markdown tables go
to stdout.

The pictures get a little grain (+-4 of 255) unless --flat is given: in flat areas the inputs of a max-pool window
differ by less than float32 rounds, and chance decides which pixel gets the gradient. docs/verification.md has more.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
CONTENT_LAYERS = ["relu4_2"]
STYLE_LAYERS = [f"relu{b}_1" for b in range(1, 6)]
CONTENT_WEIGHT, STYLE_WEIGHT, TV_WEIGHT = 5.0, 100.0, 1e-3  # both programs' defaults, asserted by the comparison
MEANS = {"hed": "104.00699,116.66877,122.67892", "": "103.939,116.779,123.68"}
QUALITY = ["--line-search", "wolfe", "--preconditioner", "pyramid"]
QUALITY_ITERATIONS = 300  # of both
TERM_BOUND, TRACE_BOUND, LBFGS_COMPARED = 1e-4, 1e-3, 8


def run(command, log):
    """Runs to the end; peak resident bytes. A child's peak includes what it was forked from, so this script must stay
    small: torch is imported by other processes only."""
    process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        log.seek(0)
        sys.exit(f"{' '.join(map(str, command))}: exit status {process.returncode}\n{log.read()[-2000:]}")
    return usage.ru_maxrss * 1024


class Pair:
    """The two programs on one set of inputs in one folder."""

    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.model = "vgg19.pth" if args.weights.startswith("random:") else "vgg16.pth"
        subprocess.run([sys.executable, HERE / "neural_style_weights.py", args.weights, folder / self.model], check=True)
        self.size = max(args.size)
        for name in ("content", "style", "start"):
            source = getattr(args, name)
            if not source:
                continue
            pixels = np.asarray(Image.open(source).convert("RGB").resize(args.size, Image.Resampling.LANCZOS))
            if not args.flat:
                grain = np.random.default_rng(len(name)).integers(-4, 5, pixels.shape)
                pixels = (8 + pixels.astype(int) * 239 // 255 + grain).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}.png")  # no colour profile: neural-style ignores it

    def neural_style(self, optimizer, iterations, start=None):
        """evaluations, peak bytes, peak bytes while optimising."""
        record = self.folder / "record.json"
        command = [sys.executable, HERE / "neural_style_run.py", record, self.args.mean, self.args.threads,
                   "-gpu", "c", "-model_file", self.model, "-disable_check", "-content_image", "content.png",
                   "-style_image", "style.png", "-image_size", self.size, "-optimizer", optimizer, "-init", "image",
                   "-num_iterations", iterations, "-print_iter", 0, "-save_iter", 0, "-output_image", "peer.png"]
        with tempfile.TemporaryFile("w+") as log, Folder(self.folder):
            run(command + (["-init_image", start] if start else []), log)
        result = json.loads(record.read_text())
        return result["evaluations"], result["peak_bytes"], result["peak_optimising_bytes"]

    def impasto(self, optimizer, iterations, start=None, options=()):
        """trace lines, peak bytes."""
        trace = self.folder / "trace.jsonl"
        trace.unlink(missing_ok=True)
        command = [self.args.impasto.resolve(), "render", self.folder / "content.png", self.folder / "style.png", "-o",
                   self.folder / "impasto.png", "--overwrite", "--preset", "neural-style-pt", "--init",
                   self.folder / start if start else "content", "--weights", self.args.weights,
                   "--device", "cpu", "--precision", "fp32", "--threads", self.args.threads, "--size", self.size,
                   "--style-size", self.size, "--optimizer", optimizer, "--iterations", iterations, "--trace", trace,
                   "--progress", "none"]
        command += ["--learning-rate", 1, *options]
        with tempfile.TemporaryFile("w+") as log:
            peak = run(command, log)
        return [json.loads(line) for line in trace.read_text().splitlines()], peak


class Folder:
    """Within it, the working directory: neural-style guesses the network from the model file's whole path."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.back = os.getcwd()
        os.chdir(self.path)

    def __exit__(self, *_):
        os.chdir(self.back)


def deviation(value, expected):
    return abs(value - expected) / abs(expected) if expected else abs(value)


def weighted_terms(line):
    """A trace line's terms as neural-style weighs them."""
    terms = {f"content {n}": CONTENT_WEIGHT * line["content"][n] for n in CONTENT_LAYERS}
    terms.update({f"style {n}": STYLE_WEIGHT * line["style"][n] for n in STYLE_LAYERS})
    return {**terms, "tv": TV_WEIGHT * line["tv"], "loss": line["loss"]}


def peer_terms(evaluation):
    terms = dict(zip([f"content {n}" for n in CONTENT_LAYERS], evaluation["content"]))
    terms.update(zip([f"style {n}" for n in STYLE_LAYERS], evaluation["style"]))
    return {**terms, "tv": evaluation["tv"], "loss": evaluation["loss"]}


def compare_losses(pair):
    """Prints the table; True if every bound holds."""
    print("| what | neural-style | impasto | deviation | bound |\n|---|---|---|---|---|")
    good = True

    def row(what, expected, value, error, bound):
        nonlocal good
        good = good and error <= bound
        verdict = "" if error <= bound else " **exceeded**"
        print(f"| {what} | {expected:.9g} | {value:.9g} | {error:.1e} | {bound:.0e}{verdict} |")

    for start in [None] + (["start.png"] if pair.args.start else []):
        theirs, ours = (program("lbfgs", 1, start) for program in (pair.neural_style, pair.impasto))
        expected, found = peer_terms(theirs[0][0]), weighted_terms(ours[0][0])
        for term in expected:
            row(f"iteration 1 from {start or 'content.png'}: {term}", expected[term], found[term],
                deviation(found[term], expected[term]), TERM_BOUND)
    for optimizer, compared in (("adam", 20), ("lbfgs", LBFGS_COMPARED)):
        theirs, ours = (program(optimizer, 20)[0] for program in (pair.neural_style, pair.impasto))
        if len(theirs) < 20 or len(ours) != 20:
            sys.exit(f"{optimizer}: expected 20 evaluations of each, found {len(theirs)} and {len(ours)}")
        errors = [deviation(b["loss"], a["loss"]) for a, b in zip(theirs, ours)]
        worst = max(range(compared), key=errors.__getitem__)
        row(f"{optimizer}, worst of iterations 1 to {compared} (at {worst + 1})", theirs[worst]["loss"],
            ours[worst]["loss"], errors[worst], TRACE_BOUND)
        row(f"{optimizer}, iteration 20", theirs[19]["loss"], ours[19]["loss"], errors[19],
            TRACE_BOUND if compared == 20 else float("inf"))
    return good


def median_step(lines):
    """Seconds between evaluations; the first two are left out (allocation, first touch)."""
    times = [line["seconds"] for line in lines]
    return statistics.median(b - a for a, b in zip(times[2:], times[3:]))


def compare_speed(pair):
    print("| pair | neural-style s/iteration | impasto s/iteration | ratio | neural-style peak MB (while optimising) "
          "| impasto peak MB |")
    print("|---|---|---|---|---|---|")
    ratios = []
    for k in range(pair.args.pairs):
        theirs, peak, optimising = pair.neural_style("lbfgs", pair.args.iterations)
        ours, our_peak = pair.impasto("lbfgs", pair.args.iterations)
        a, b = median_step(theirs), median_step(ours)
        ratios.append(a / b)
        print(f"| {k + 1} | {a:.4f} | {b:.4f} | {a / b:.2f} | {peak / 1e6:.0f} ({optimising / 1e6:.0f}) "
              f"| {our_peak / 1e6:.0f} |", flush=True)
    print(f"\nRatio neural-style / impasto: median {statistics.median(ratios):.2f}, "
          f"{min(ratios):.2f} to {max(ratios):.2f}")


def compare_quality(pair):
    print("| run | neural-style: loss after 300 | s | impasto: loss | evaluations | of 300 | s | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for k in range(pair.args.pairs):
        theirs, _, _ = pair.neural_style("lbfgs", QUALITY_ITERATIONS)
        start = time.perf_counter()
        ours, _ = pair.impasto("lbfgs", QUALITY_ITERATIONS, options=QUALITY)
        whole = time.perf_counter() - start
        wanted, needed = theirs[-1]["loss"], theirs[-1]["seconds"]
        reached = next((line for line in ours if line["loss"] <= wanted), None)
        if reached is None:
            print(f"| {k + 1} | {wanted:.6g} | {needed:.1f} | {ours[-1]['loss']:.6g}, above it | {len(ours)} "
                  f"| - | {whole:.1f} | - |", flush=True)
            continue
        took = whole - (ours[-1]["seconds"] - reached["seconds"])  # what follows the last evaluation counts too
        print(f"| {k + 1} | {wanted:.6g} | {needed:.1f} | {reached['loss']:.6g} | {reached['iteration']} "
              f"| {reached['iteration'] / QUALITY_ITERATIONS:.0%} | {took:.1f} | {needed / took:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("impasto", type=pathlib.Path)
    parser.add_argument("weights", help="for both: VGG-16 in HDF5, or random:SEED (VGG-19)")
    parser.add_argument("content", type=pathlib.Path)
    parser.add_argument("style", type=pathlib.Path)
    parser.add_argument("--start", type=pathlib.Path, help="another picture to compare the terms of iteration 1 at")
    parser.add_argument("--mean", help="B,G,R that the weights want (known for Keras' and the hed trunk's file)")
    parser.add_argument("--size", help="WxH of every picture (192x128; 512x384 with --time or --quality)")
    parser.add_argument("--flat", action="store_true", help="leave flat areas as they are, see the text above")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=25, help="of each timed run")
    args = parser.parse_args()
    args.size = tuple(int(v) for v in (args.size or ("512x384" if args.time or args.quality else "192x128")).split("x"))
    args.mean = args.mean or MEANS["hed" if "hed" in os.path.basename(args.weights) else ""]
    with tempfile.TemporaryDirectory(prefix="neural-style-") as folder:
        pair = Pair(args, pathlib.Path(folder))
        if args.time or args.quality:
            iterations = "" if args.quality else f"{args.iterations} iterations a run, "
            print(f"{args.size[0]}x{args.size[1]}, L-BFGS, {args.threads} threads, {iterations}load of the machine before: "
                  f"{os.getloadavg()[0]:.1f}\n")
        if args.time:
            compare_speed(pair)
        elif args.quality:
            compare_quality(pair)
        elif not compare_losses(pair):
            sys.exit(1)


if __name__ == "__main__":
    main()
