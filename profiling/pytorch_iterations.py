#!/usr/bin/env python3
"""Times an iteration of neural-style-pt's algorithm in PyTorch: VGG-19 up to relu5_1 by autograd, content and style losses as
that program has them, total variation, torch.optim.LBFGS.

    profiling/pytorch_iterations.py --size 1024 --precision bf16 [--device cuda] [--network vgg16] [--iterations 10]

Pictures are noise, 4:3; weights are random. tf32 switches PyTorch's on for convolutions and products, bf16 and fp16 are
autocast (losses stay in float32; gradients of fp16 are scaled by 1024). Convolutions are timed by cuDNN beforehand
(torch.backends.cudnn.benchmark). Prints the median over the last iterations as one_iteration prints its own.
"""
import argparse
import contextlib
import os
import statistics
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import roofline  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--precision", choices=roofline.ACTIVATION_BYTES, default="fp32")
    parser.add_argument("--network", choices=roofline.NETWORKS, default="vgg19")
    parser.add_argument("--history", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=10, help="that are timed, after as many and the history")
    args = parser.parse_args()
    import torch
    import torch.nn.functional as F

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = args.precision == "tf32"
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(args.precision)
    scale = 1024.0 if args.precision == "fp16" else 1.0
    height = args.size * 3 // 4
    filters = {name: (torch.randn(k, 3 if name == "1_1" else c, 3, 3, device=args.device) * (2 / (9 * c)) ** 0.5,
                      torch.zeros(k, device=args.device))
               for name, _, _, c, k, _ in roofline.layers(args.size, height, args.network)}

    def features(picture):
        x = picture
        with torch.autocast(args.device, kind) if kind else contextlib.nullcontext():
            for name, _, _, _, _, pooled in roofline.layers(args.size, height, args.network):
                x = F.relu(F.conv2d(F.max_pool2d(x, 2) if pooled else x, *filters[name], padding=1))
                if name in roofline.STYLE | roofline.CONTENT:
                    yield name, x.float()

    def gram(f):
        f = f.flatten(2)[0]
        return f @ f.T / f.numel()

    with torch.no_grad():
        noise = [torch.rand(1, 3, height, args.size, device=args.device) * 255 - 120 for _ in range(2)]
        contents = {n: f.clone() for n, f in features(noise[0]) if n in roofline.CONTENT}
        styles = {n: gram(f) for n, f in features(noise[1]) if n in roofline.STYLE}
    picture = noise[0].clone().requires_grad_()
    method = torch.optim.LBFGS([picture], max_iter=2 * args.iterations + args.history, tolerance_change=-1,
                               tolerance_grad=-1, history_size=args.history)
    times = []

    def closure():
        method.zero_grad()
        loss = 0
        for name, f in features(picture):
            if name in contents:
                loss = loss + 5 * F.mse_loss(f, contents[name])
            if name in styles:
                loss = loss + 100 * F.mse_loss(gram(f), styles[name])
        loss = loss + 1e-3 * ((picture[..., 1:] - picture[..., :-1]).abs().sum() +
                              (picture[..., 1:, :] - picture[..., :-1, :]).abs().sum())
        (scale * loss).backward()
        if scale != 1:
            picture.grad /= scale
        if args.device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        return loss

    method.step(closure)
    last = [b - a for a, b in zip(times, times[1:])][-args.iterations:]
    print(f"PyTorch {torch.__version__}, {args.device}, {args.precision}, {args.size}x{height}: "
          f"an iteration took {1000 * statistics.median(last):.3f} ms ({1000 * min(last):.3f} to {1000 * max(last):.3f})")


if __name__ == "__main__":
    main()
