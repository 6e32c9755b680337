#!/usr/bin/env python3
"""Holds what `impasto plan` says of memory and time against the same renders.

    profiling/forecasts.py build/bin/impasto CONTENT STYLE [--weights vgg16] [--device cpu]

Prints for each of twelve renders the planned and the measured bytes (the device's as counted, the process's peak against the
device's and the host's together, where the device is the CPU), and the forecast and the measured seconds of all iterations."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

# Options of a render, and the part of the memory that it would take which it is given; 0: the least that it can do with.
RENDERS = [("--size 256 --iterations 60", 1), ("--size 512 --iterations 15", 1), ("--size 512 --iterations 10", 0.6),
           ("--size 512 --scales 1 --iterations 4", 0), ("--size 512 --optimizer adam --iterations 15", 1),
           ("--size 512 --optimizer adam --iterations 10", 0.5), ("--size 512 --optimizer gd --iterations 10", 1),
           ("--size 768 --scales 1 --iterations 5", 1), ("--size 768 --scales 1 --iterations 4", 0.5),
           ("--size 384 --preset neural-style-pt --iterations 15", 1), ("--size 384 --preset paper --iterations 20", 1),
           ("--size 1024 --scales 1 --optimizer adam --iterations 3", 0.4)]


def plan(a, options, check=True):
    done = subprocess.run([a.program, "plan", a.content, a.style, *options, "--json"], capture_output=True, text=True)
    if check and done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def measure(a, words, share, output):
    options = [*words.split(), "--weights", a.weights, "--device", a.device]
    whole = plan(a, options)
    memory = int(whole["device_bytes"] * share) if share else plan(a, [*options, "--memory", "1M"], check=False)["device_bytes"]
    options += ["--memory", str(memory)] if share != 1 else []
    planned = plan(a, options)
    command = [a.program, "render", a.content, a.style, *options, "-o", output, "--overwrite", "--progress", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return planned, json.loads(done.stderr.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("content")
    parser.add_argument("style")
    parser.add_argument("--weights", default="vgg16")
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    print(f"{'render':<58} {'of it':>5} {'planned':>9} {'counted':>9} {'with host':>9} {'peak':>9} {'':>6} {'forecast':>8} "
          f"{'measured':>8}")
    with tempfile.TemporaryDirectory(prefix="impasto-forecasts-") as folder:
        for words, share in RENDERS:
            planned, end = measure(a, words, share, pathlib.Path(folder, "x.png"))
            device = planned["device_bytes"]
            mebi = [n / 2**20 for n in (device, end["counted_bytes"], device + planned["host_bytes"], end["process_peak_bytes"])]
            forecast, measured = planned["seconds"], end["seconds"]
            print(f"{words:<58} {share or 'least':>5}", *(f"{n:>5.0f} MiB" for n in mebi), f"{mebi[3] / mebi[2]:>6.2f}",
                  f"{forecast:>6.1f} s {measured:>6.1f} s {measured / forecast:>5.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
