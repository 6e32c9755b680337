#!/usr/bin/env python3
"""VGG-16 from an HDF5 file in the own schema or any of Keras' layouts, or random:SEED (VGG-19) -> a state dict that
neural-style's loader reads; the loader tells the networks apart by the file's name.

    python3 profiling/neural_style_weights.py FILE.h5 vgg16.pth
    python3 profiling/neural_style_weights.py random:1 vgg19.pth

Only the convolutions are written: neural-style must be started with -disable_check, since its loader builds the
classifier too. h5py, numpy and torch; independent of weights_tools and of the engine, so that it checks them.
"""
import pathlib
import re
import sys

import h5py
import torch

CONVS = [f"block{b}_conv{k}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for k in range(1, n + 1)]
# Index of each convolution in torchvision's features.
FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
FEATURES_19 = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def convolutions(path):
    """layer name -> (kernel HWIO, bias)."""
    found = {}

    def visit(name, item):
        if not isinstance(item, h5py.Dataset):
            return
        label = item.parent.attrs.get("name", b"")  # Keras 3 keeps the layer's name on the group `vars`
        label = label.decode() if isinstance(label, bytes) else str(label)
        match = re.search(r"block(\d)_conv(\d)", label or name) or re.match(r"conv(\d)_(\d)/", name)
        if match and item.ndim in (1, 4):
            found.setdefault(f"block{match[1]}_conv{match[2]}", {})[item.ndim] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    missing = [name for name in CONVS if set(found.get(name, ())) != {1, 4}]
    if missing:
        sys.exit(f"{path}: expected kernel and bias of VGG-16's 13 convolutions, found none of {', '.join(missing)}")
    return {name: (found[name][4], found[name][1]) for name in CONVS}


def random_convolutions(seed):
    """As convolutions(), of VGG-19: what the engine generates, from the golden tests' own account of it."""
    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests/golden/network"))
    import make_golden
    return {name: (kernel.numpy().transpose(2, 3, 1, 0), bias.numpy())
            for name, (kernel, bias) in make_golden.random_weights("vgg19", seed).items()}


def convert(source, out):
    random = re.fullmatch(r"random:(\d+)", source)
    layers = random_convolutions(int(random.group(1))) if random else convolutions(source)
    state = {}
    for index, (kernel, bias) in zip(FEATURES_19 if random else FEATURES, layers.values()):
        state[f"features.{index}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).astype("float32"))
        state[f"features.{index}.bias"] = torch.from_numpy(bias.astype("float32"))
    torch.save(state, out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    convert(sys.argv[1], sys.argv[2])
