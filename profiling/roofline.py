#!/usr/bin/env python3
"""Predicts the time of one iteration on GPUs from arithmetic and memory traffic: docs/roofline.md.

    profiling/roofline.py                                    iterations: every GPU, size and precision
    profiling/roofline.py --operations --gpu H100 --size 1024 --precision bf16       each operation of one

The work is that of VGG-16 (--network vgg19) up to relu5_1 with the layers of the default preset (content
relu4_2, style relu1_1 to relu5_1, max pooling) and its L-BFGS: history 40, Wolfe line search, pyramid
(--plain: history 10, neither), kernel by kernel as the CUDA backend queues it. Pictures are 4:3; a size is
the long side. A Markdown table goes to stdout.
"""
import argparse
import dataclasses
import sys

# Channels and convolutions of each block (Simonyan, Zisserman 2015, table 1, D and E), up to conv5_1.
NETWORKS = {"vgg16": [(64, 2), (128, 2), (256, 3), (512, 3), (512, 1)],
            "vgg19": [(64, 2), (128, 2), (256, 4), (512, 4), (512, 1)]}
STYLE = {"1_1", "2_1", "3_1", "4_1", "5_1"}
CONTENT = {"4_2"}
HISTORY, PLAIN_HISTORY, PYRAMID_LEVELS = 40, 10, 4
TILE = (128, 128, 32)  # rows and most columns of a product's tile; columns come in multiples of the last
INPUT_CHANNELS = 8  # the picture's three, padded with zeros for the tensor cores
ACTIVATION_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
GRAM_PART = (512, 4096)  # least and most positions that one partial Gram matrix sums over
SIZES = [512, 1024, 2048]

# Shares of the peaks that kernels are expected to reach. Assumptions: nothing here is measured.
EFFICIENCY = {"tensor": 0.6, "fp32": 0.75, "fp64": 0.5, "memory": 0.8}
LAUNCH_SECONDS = 2e-6  # between two kernels of a CUDA graph


@dataclasses.dataclass(frozen=True)
class Gpu:
    """Peaks a second: dense FLOP with float32 accumulation, DRAM bytes. No entry: no such precision."""
    flops: dict
    bandwidth: float
    multiprocessors: int


GPUS = {
    "H100": Gpu({"fp64": 33.5e12, "fp32": 66.9e12, "tf32": 494.7e12, "bf16": 989.4e12, "fp16": 989.4e12},
                3350e9, 132),
    "A100": Gpu({"fp64": 9.7e12, "fp32": 19.5e12, "tf32": 156e12, "bf16": 312e12, "fp16": 312e12}, 2039e9, 108),
    "RTX 4090": Gpu({"fp64": 1.29e12, "fp32": 82.6e12, "tf32": 82.6e12, "bf16": 165.2e12, "fp16": 165.2e12},
                    1008e9, 128),
    "T4": Gpu({"fp64": 0.254e12, "fp32": 8.1e12, "fp16": 65e12}, 320e9, 40),
}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One kernel, or several that follow one another. `pipe`: network (its precision's), fp32 or fp64;
    `product`: rows, columns, length and number of the products that a convolution or Gram matrix is;
    `launches`: calls of cuDNN and cuBLAS, and our kernels; `ours`: a product that none of these forms."""
    name: str
    flops: float
    bytes: float
    pipe: str = "network"
    product: tuple = None
    launches: int = 1
    ours: bool = False

    def computed(self, gpu):
        """flops, with tiles that are not full and waves of tiles that leave multiprocessors idle."""
        if not self.product:
            return self.flops
        rows, columns, length, count = self.product
        wide = min(TILE[1], -(-columns // TILE[2]) * TILE[2])
        tiles = count * -(-rows // TILE[0]) * -(-columns // wide)
        waves = -(-tiles // gpu.multiprocessors)
        return 2 * waves * gpu.multiprocessors * TILE[0] * wide * length

    def seconds(self, gpu, precision):
        pipe = precision if self.pipe == "network" else self.pipe
        efficiency = EFFICIENCY[pipe if pipe in EFFICIENCY else "tensor"]
        return max(self.computed(gpu) / (gpu.flops[pipe] * efficiency),
                   self.bytes / (gpu.bandwidth * EFFICIENCY["memory"])) + self.launches * LAUNCH_SECONDS

    def step(self):
        """The range that it has on a profiler's timeline (engine/network/program.h, kernels/ops.h)."""
        if self.name in RANGES:
            return RANGES[self.name]
        where, what = self.name.split(" ", 1)
        if where.startswith("relu") and what in ("Gram matrix", "style loss"):
            return f"losses {where}"
        if where.startswith("relu"):
            return f"loss gradient {where}"
        return f"{where} {'forward' if what == 'forward' else 'backward'}"


RANGES = {"picture to input": "picture to input", "input to picture": "input to picture",
          "L-BFGS pair": "lbfgs_push", "L-BFGS inner products": "lbfgs_dots",
          "L-BFGS coefficients": "lbfgs_direction", "L-BFGS step": "lincomb_step", "L-BFGS direction": "lincomb",
          "pyramid down": "halve", "pyramid up": "halve_transposed_add", "slope": "dot", "move": "add_scaled",
          "copies": "copy", "L-BFGS pair products": "lbfgs_pair_dots", "preconditioned products": "dot",
          "decisions": "lbfgs_decide", "gradients' scale": "watch_gradients"}


def layers(width, height, network):
    """(name, height, width, channels in, channels out, follows a pool) of each convolution."""
    channels = INPUT_CHANNELS
    for block, (out, count) in enumerate(NETWORKS[network], 1):
        if block > 1:
            width, height = width // 2, height // 2
        for i in range(1, count + 1):
            yield f"{block}_{i}", height, width, channels, out, block > 1 and i == 1
            channels = out


def gram_parts(positions, channels, multiprocessors=128):
    """Partial Gram matrices, about as many as fill the device (engine/backend/cuda/gram.cpp)."""
    tiles = -(-channels // 128)
    longest = min(max(positions * tiles * tiles // multiprocessors, GRAM_PART[0]), GRAM_PART[1])
    return -(-positions // longest)


def optimiser(n, plain):
    """Of one step on n numbers; with the line search one that is accepted."""
    rows = 2 * (PLAIN_HISTORY if plain else HISTORY) + 2
    levels = [n / 4**level for level in range(PYRAMID_LEVELS + 1)]
    pyramid = [
        Operation("pyramid down", 0, 4 * sum(a + b for a, b in zip(levels, levels[1:])), "fp32",
                  launches=PYRAMID_LEVELS),
        # A copy, then each level read, and the finer one read and written.
        Operation("pyramid up", 0, 4 * (2 * n + sum(2 * a + b for a, b in zip(levels, levels[1:]))), "fp32",
                  launches=PYRAMID_LEVELS + 1),
        Operation("slope", 2 * n, 8 * n, "fp64"),
        Operation("move", 2 * n, 12 * n, "fp32"),
        Operation("copies", 0, 16 * n, "fp32", launches=2),  # of the picture and its gradient
        Operation("L-BFGS pair products", 4 * n, 16 * n, "fp64", launches=2),
        Operation("preconditioned products", 4 * n, 12 * n, "fp64", launches=2),
        # J, three decisions, the products as the preconditioner changes them; and what they rule out of a
        # restart and a stop, which leaves at once: six fills, a copy, inner products, a direction.
        Operation("decisions", 0, 0, "fp64", launches=14),
    ]
    step = (Operation("L-BFGS step", 2 * (rows - 2) * n, 4 * (rows - 2 + 4) * n, "fp32") if plain else
            Operation("L-BFGS direction", 2 * (rows - 2) * n, 4 * (rows - 2 + 2) * n, "fp32"))
    return [
        *([] if plain else pyramid),
        Operation("L-BFGS pair", 2 * n, 4 * 6 * n, "fp32"),
        # Products of four elements are added up in float; the sum is converted and added in double. Without
        # preconditioner with the new pair's y, too.
        Operation("L-BFGS inner products", (2 if plain else 1) * rows * n, 4 * (rows + 1) * n, "fp64"),
        Operation("L-BFGS coefficients", 0, 0, "fp64"),
        step,
    ]


def iteration(width, height, precision, network="vgg16", plain=False):
    """The operations in the order in which they are queued."""
    a, n = ACTIVATION_BYTES[precision], width * height
    forward = [Operation("picture to input", 0, n * (3 * 4 + INPUT_CHANNELS * a))]
    backward = []  # from the picture up; reversed below
    below, previous = None, (0, 0)
    *_, (last_layer, *_) = layers(width, height, network)
    for name, h, w, c, k, pooled in layers(width, height, network):
        p = h * w
        filter_size = 9 * c * k
        if pooled:
            x, y = previous[0] * previous[1] * c, p * c
            # With a byte for each window.
            forward.append(Operation(f"pool{int(name[0]) - 1} forward", 0, a * (x + y) + y))
            backward.append(Operation(f"pool{int(name[0]) - 1} backward", 0, a * (x + y) + y))
        forward.append(Operation(f"conv{name} forward", 18 * p * c * k, a * (p * c + p * k + filter_size),
                                 product=(p, k, 9 * c, 1)))
        if below is not None and not pooled and below not in STYLE | CONTENT:
            # Reads the gradient and the feature map, writes the gradient. A tap's losses do it themselves.
            backward.append(Operation(f"conv{name} mask", 0, 3 * a * p * c))
        backward.append(Operation(f"conv{name} backward", 18 * p * c * k, a * (p * c + p * k + filter_size),
                                  product=(p, c, 9 * k, 1)))
        # A tap adds to what the layer above has left; the last layer's has nothing to add to.
        adds = name != last_layer
        if name in STYLE:
            parts = gram_parts(p, k)
            forward.append(Operation(f"relu{name} Gram matrix", 2 * p * k * k, a * p * k + 4 * parts * k * k,
                                     product=(k, k, -(-p // parts), parts)))
            forward.append(
                Operation(f"relu{name} style loss", 4 * k * k, (4 * (parts + 1) + a) * k * k, "fp32"))
            ours = precision in ("bf16", "fp16")
            if not ours:
                backward.append(Operation(f"relu{name} mask", 0, 3 * a * p * k))
            backward.append(Operation(f"relu{name} Gram gradient", 2 * p * k * k,
                                      a * ((3 if adds else 2) * p * k + k * k), product=(p, k, k, 1), ours=ours))
        if name in CONTENT:
            backward.append(
                Operation(f"relu{name} content loss", 4 * p * k, (4 if adds else 3) * a * p * k, "fp32"))
        below, previous = name, (h, w)
    return [
        *forward,
        *reversed(backward),
        Operation("input to picture", 0, n * (INPUT_CHANNELS * a + 3 * 4)),
        *([Operation("gradients' scale", 0, 0, "fp64")] if precision == "fp16" else []),
        *optimiser(3 * n, plain),
    ]


def launches(operations):
    """Convolutions forward and backward, products, other kernels."""
    counts = [0, 0, 0, 0]
    for o in operations:
        kind = 3 if not o.product or o.ours else 2 if o.name.startswith("relu") else 0 if o.name.endswith("forward") else 1
        counts[kind] += o.launches
    return tuple(counts)


def seconds(width, height, precision, gpu, network="vgg16", plain=False):
    """None where the GPU does not offer the precision."""
    if precision not in gpu.flops:
        return None
    return sum(o.seconds(gpu, precision) for o in iteration(width, height, precision, network, plain))


def floors(size, precision, gpu, network="vgg16", plain=False):
    """{step on a profiler's timeline: seconds}, in the order of an iteration."""
    steps = {}
    for o in iteration(size, size * 3 // 4, precision, network, plain):
        steps[o.step()] = steps.get(o.step(), 0) + o.seconds(gpu, precision)
    return steps


def table(titles, rows):
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def iterations_table(network, plain):
    rows = []
    for size in SIZES:
        height = size * 3 // 4
        for precision in ACTIVATION_BYTES:
            operations = iteration(size, height, precision, network, plain)
            cells = [f"{size}x{height} {precision}", f"{sum(o.flops for o in operations) / 1e9:.0f}",
                     f"{sum(o.bytes for o in operations) / 1e9:.2f}"]
            for gpu in GPUS.values():
                time = seconds(size, height, precision, gpu, network, plain)
                cells.append("-" if time is None else f"{1000 * time:.2f}")
            rows.append(cells)
    return table(["picture", "GFLOP", "GB", *[f"{name}, ms" for name in GPUS]], rows)


def operations_table(gpu, size, precision, network, plain):
    rows = []
    for o in iteration(size, size * 3 // 4, precision, network, plain):
        time = o.seconds(gpu, precision)
        compute = o.computed(gpu) / (gpu.flops[precision if o.pipe == "network" else o.pipe])
        bound = "arithmetic" if compute > o.bytes / gpu.bandwidth else "memory"
        bound = "launch" if time < 2 * o.launches * LAUNCH_SECONDS else bound
        full = f"{o.flops / o.computed(gpu):.2f}" if o.product else ""
        rows.append([o.name, f"{o.flops / 1e9:.2f}", full, f"{o.bytes / 1e6:.1f}", f"{1000 * time:.4f}", bound])
    return table(["operation", "GFLOP", "of the tiles", "MB", "ms", "bound by"], rows)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", action="store_true", help="each operation of one iteration")
    parser.add_argument("--gpu", choices=GPUS, default="H100")
    parser.add_argument("--size", type=int, default=1024, help="long side in pixels (1024)")
    parser.add_argument("--precision", choices=ACTIVATION_BYTES, default="bf16")
    parser.add_argument("--network", choices=NETWORKS, default="vgg16")
    parser.add_argument("--plain", action="store_true", help="L-BFGS with history 10, no line search, no pyramid")
    args = parser.parse_args(arguments)
    if args.size < 32:
        parser.error("option --size: expected at least 32")
    if not args.operations:
        print(iterations_table(args.network, args.plain), end="")
        return 0
    gpu = GPUS[args.gpu]
    if args.precision not in gpu.flops:
        parser.error(f"{args.gpu} does not offer {args.precision}")
    print(operations_table(gpu, args.size, args.precision, args.network, args.plain), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
