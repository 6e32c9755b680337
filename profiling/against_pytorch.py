#!/usr/bin/env python3
"""Times VGG's layers, the Gram matrices and whole evaluations in PyTorch and in Impasto on the CPU, in turn, and prints a table.

    python3 -m venv peer && peer/bin/pip install torch numpy
    peer/bin/python profiling/against_pytorch.py build/bin/impasto --sizes 512x384 --pairs 3

Both run on the same number of threads, on random weights. A layer of PyTorch counts with the faster of its two memory
layouts (as nn.Conv2d runs it, bias and ReLU in place; backward: the input's gradient alone; a pool's in Impasto holds
the ReLU's mask). Grams are F F^T and, backward, one product with F. An evaluation is J of the
default style layers and its gradient: in PyTorch by autograd, with the Gram matrices of neural-style; in Impasto one
iteration, which holds the optimiser too. The figure of a pair is the least of --repeats calls; the table has the
medians over the pairs, and the ratios' range. Profile a whole render with against_neural_style.py.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

BLOCKS = [(64, 2), (128, 2), (256, 4), (512, 4), (512, 1)]


def layers(width, height):
    """name, width, height, in, out of VGG-19 up to conv5_1."""
    channels = 3
    for block, (out, count) in enumerate(BLOCKS, 1):
        for number in range(1, count + 1):
            yield f"conv{block}_{number}", width, height, channels, out
            channels = out
        width, height = width // 2, height // 2


def torch_times(size, threads, repeats):
    """{operation: (forward, backward)} in seconds; run in a process of its own."""
    import torch
    import torch.nn.functional as F
    torch.set_num_threads(threads)
    torch.manual_seed(0)

    def least(call):
        call()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    def least_of_layouts(width, height, channels, calls):
        """The least time of each of calls(x, layout)."""
        best = None
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.rand(1, channels, height, width).to(memory_format=layout)
            with torch.no_grad():
                times = [least(call) for call in calls(x, layout)]
            best = times if best is None else list(map(min, best, times))
        return tuple(best)

    def conv(out):
        def calls(x, layout):
            w = (torch.rand(out, x.shape[1], 3, 3) * 0.01).to(memory_format=layout)
            b, dy = torch.rand(out), torch.rand(1, out, *x.shape[2:]).to(memory_format=layout)
            return (lambda: F.conv2d(x, w, b, padding=1).relu_(),
                    lambda: torch.ops.aten.convolution_backward(
                        dy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]))
        return calls

    def pool(x, layout):
        y, where = F.max_pool2d(x, 2, return_indices=True)
        return (lambda: F.max_pool2d(x, 2),
                lambda: torch.ops.aten.max_pool2d_with_indices_backward(y, x, [2, 2], [2, 2], [0, 0], [1, 1], False, where))

    def gram(x, layout):
        f = x.flatten(2)[0] if layout == torch.contiguous_format else x.permute(0, 2, 3, 1).flatten(1, 2)[0].T
        g = torch.rand(x.shape[1], x.shape[1])
        return lambda: f @ f.T, lambda: g @ f

    result = {}
    for name, width, height, channels, out in layers(*size):
        if result and (width, height, channels, out) == last:
            result[name] = result[before]
            continue
        last, before = (width, height, channels, out), name
        result[name] = least_of_layouts(width, height, channels, conv(out))
        block, number = name[4:].split("_")
        if number == "1":
            result[f"gram relu{block}_1"] = least_of_layouts(width, height, out, gram)
            if block != "5":
                result[f"pool{block}"] = least_of_layouts(width, height, out, pool)

    weights = [(torch.rand(out, channels, 3, 3) * (2 / (9 * channels)) ** 0.5, torch.zeros(out))
               for _, _, _, channels, out in layers(*size)]
    picture = torch.rand(1, 3, size[1], size[0], requires_grad=True)

    def evaluate():
        picture.grad = None
        x, loss, at = picture, 0, 0
        for block, (_, count) in enumerate(BLOCKS):
            x = F.max_pool2d(x, 2) if block else x
            for number in range(count):
                x = F.conv2d(x, *weights[at], padding=1).relu_()
                at += 1
                if number == 0:
                    f = x.flatten(2)[0]
                    loss = loss + (f @ f.T / f.numel()).square().mean()
        loss.backward()

    result["iteration"] = (least(evaluate), None)
    return result


def impasto_times(program, size, threads, repeats):
    out = subprocess.run([program, "bench", "--json", "--device", "cpu", "--sizes", f"{size[0]}x{size[1]}", "--threads",
                          str(threads), "--repeats", str(repeats)], check=True, stdout=subprocess.PIPE).stdout
    return {row["operation"]: (row["seconds"], row.get("backward_seconds")) for row in json.loads(out)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("impasto")
    parser.add_argument("--sizes", default="256x192,512x384")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--torch", help=argparse.SUPPRESS)  # this process times PyTorch and prints JSON
    args = parser.parse_args()
    if args.torch:
        size = tuple(map(int, args.torch.split("x")))
        return print(json.dumps(torch_times(size, args.threads, args.repeats)))

    for text in args.sizes.split(","):
        size = tuple(map(int, text.split("x")))
        pairs = []
        load = os.getloadavg()[0]
        for _ in range(args.pairs):
            out = subprocess.run([sys.executable, __file__, args.impasto, "--torch", text, "--threads", str(args.threads),
                                  "--repeats", str(args.repeats)], check=True, stdout=subprocess.PIPE).stdout
            pairs.append((json.loads(out), impasto_times(args.impasto, size, args.threads, args.repeats)))
        print(f"{text}, {args.threads} threads, {args.pairs} pairs, load of the machine before: {load:.1f}\n")
        print("| | PyTorch ms forward / backward | impasto | ratio forward | ratio backward |")
        print("|---|---|---|---|---|")
        for name in pairs[0][0]:
            cells, ratios = [[], []], []
            for direction in (0, 1):
                values = [(a[name][direction], b[name][direction]) for a, b in pairs]
                if values[0][0] is None:
                    ratios.append("-")
                    continue
                for program in (0, 1):
                    cells[program].append(f"{1000 * statistics.median(v[program] for v in values):.4g}")
                each = sorted(a / b for a, b in values)
                ratios.append(f"{statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})")
            print(f"| {name} | {' / '.join(cells[0])} | {' / '.join(cells[1])} | {ratios[0]} | {ratios[1]} |")
        print()


if __name__ == "__main__":
    main()
