#!/usr/bin/env python3
"""Runs the installed package neural-style (0.5.7) as it is and records what its printout rounds away.

    python3 profiling/neural_style_run.py RECORD.json MEAN THREADS [neural-style's own arguments]

Its losses, network and optimiser loop stay its own code. Replaced from outside, while it runs:
  - preprocess: the package multiplies pixels by 256 and subtracts a fixed mean. Here they are multiplied by 255 and
    MEAN (B,G,R) is subtracted, as the weights at hand were trained, so that both programs see the same input;
  - the forward methods of the loss modules and the optimisers' step, which are wrapped to note values and times.

RECORD.json: {"evaluations": [{"loss", "content": [...], "style": [...], "tv", "seconds"}], "peak_bytes",
"peak_optimising_bytes"}; losses carry neural-style's weights, seconds count from the first evaluation's start.
"""
import json
import re
import sys
import time

record_file, mean, threads = sys.argv[1], [float(v) for v in sys.argv[2].split(",")], int(sys.argv[3])
sys.argv = ["neural-style"] + sys.argv[4:]

import torch  # noqa: E402

import neural_style.neural_style as package  # noqa: E402  (parses sys.argv when imported)

torch.set_num_threads(threads)
evaluations, modules, before = [], {"content": [], "style": [], "tv": []}, {}


def memory_status(field):
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(field + r":\s+(\d+) kB", file.read()).group(1))


def wrap_preprocess(original):
    fixed = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)

    def preprocess(*args):
        pixels = torch.round((original(*args) + fixed) * (255 / 256))  # 8-bit files, so these are integers again
        return pixels - torch.tensor(mean).view(1, 3, 1, 1)

    return preprocess


def note_modules(kind, cls):
    original = cls.forward

    def forward(self, x):
        if not any(self is m for m in modules[kind]):
            modules[kind].append(self)
        return original(self, x)

    cls.forward = forward


def recording(optimizer):
    class Recording(optimizer):
        def step(self, closure):
            def noted():
                start = time.perf_counter()
                if not evaluations:
                    before["peak"] = memory_status("VmHWM")
                    with open("/proc/self/clear_refs", "w") as file:
                        file.write("5")  # the high-water mark starts again, see proc(5)
                loss = closure()
                evaluations.append({"loss": loss.item(), "seconds": start,
                                    **{kind: [m.loss.item() for m in modules[kind]] for kind in modules}})
                return loss

            return super().step(noted)

    return Recording


def main():
    package.preprocess = wrap_preprocess(package.preprocess)
    for kind, cls in (("content", package.ContentLoss), ("style", package.StyleLoss), ("tv", package.TVLoss)):
        note_modules(kind, cls)
    torch.optim.LBFGS, torch.optim.Adam = recording(torch.optim.LBFGS), recording(torch.optim.Adam)
    package.main()
    first = evaluations[0]["seconds"]
    for evaluation in evaluations:
        evaluation["seconds"] -= first
        evaluation["tv"] = sum(evaluation["tv"])
    optimising = memory_status("VmHWM")
    with open(record_file, "w") as file:
        json.dump({"evaluations": evaluations, "peak_bytes": max(before["peak"], optimising),
                   "peak_optimising_bytes": optimising}, file)


main()
