#!/usr/bin/env python3
"""Turns a VGG state dict of PyTorch into an HDF5 file that impasto reads.

    convert.py IN OUT [--network vgg16|vgg19] [--source torchvision|caffe] [--overwrite]

IN: a .pth (either format) or .safetensors with the layers features.0.weight ... or conv1_1.weight ...
--source says how a picture is prepared: torchvision (red first, 0..1, mean and deviation) or caffe (blue first, 0..255,
mean only; also jcjohnson's and Gatys' files). It is told from the file where that is possible.
Needs numpy and h5py (Debian: python3-h5py). Exit codes: 0 done, 2 usage, 3 a file that cannot be used.
"""
import sys

if __name__ == "__main__":  # else inspect.py beside this file would hide the standard library's module
    del sys.path[0]
import pathlib
import re

if __name__ == "__main__":
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from weights_tools import known  # noqa: E402
from weights_tools.known import Failure  # noqa: E402

LICENCES = {"torchvision": "BSD-3-Clause (torchvision; stated for its code)", "caffe": known.OXFORD}


def read_tensors(path):
    """The file's tensors by name."""
    from weights_tools import safetensors_file, torch_file
    if not pathlib.Path(path).is_file():
        raise Failure("expected a file, found none")
    if safetensors_file.is_safetensors(path):
        return safetensors_file.read(path)
    if torch_file.is_torch_file(path):
        return torch_file.read(path)
    raise Failure("expected a .pth or .safetensors, found neither")


def without_prefix(tensors):
    """Names as a bare VGG has them: "module.features.0.weight" (DataParallel) becomes "features.0.weight"."""
    plain = {}
    for name, tensor in tensors.items():
        match = re.search(r"(?:^|\.)((?:features\.\d+|conv[1-5]_[1-4]|classifier\.\d+)\.(?:weight|bias))$", name)
        if match is None:
            continue
        if match[1] in plain:
            raise Failure(f"{known.printable(match[1])}: expected one such tensor, found two")
        plain[match[1]] = tensor
    return plain


def pairs(tensors, network):
    """(network, [(conv name, weight, bias)]) in network order."""
    from weights_tools import layers
    indices = sorted(int(m[1]) for name in tensors if (m := re.fullmatch(r"features\.(\d+)\.weight", name)))
    if indices:
        batch_norm = next((i for i in indices if len(tensors[f"features.{i}.weight"].shape) == 1), None)
        if batch_norm is not None:
            raise Failure(f"features.{batch_norm}: expected a convolution, found batch normalisation, which is not "
                          "supported")
        fitting = [n for n in layers.BLOCKS if indices == layers.feature_indices(n)[:len(indices)]]
        if network in fitting or (network is None and fitting):
            network = network or fitting[0]  # a short file fits both: the same layers
            keys = [f"features.{i}" for i in indices]
        else:
            raise Failure(f"layers: expected {network or 'vgg16 or vgg19'}, found convolutions at "
                          + ", ".join(map(str, indices)))
    else:
        keys = [n for n in layers.names("vgg19") if f"{n}.weight" in tensors]
        if not keys:
            raise Failure("layers: expected features.0.weight ... or conv1_1.weight ..., found none")
        network = network or ("vgg19" if any(k.endswith("_4") for k in keys) else "vgg16")
    found = layers.names(network) if indices else keys
    missing = next((f"{k}.bias" for k in keys if f"{k}.bias" not in tensors), None)
    if missing:
        raise Failure(f"{missing}: expected beside its weight, found none")
    return network, [(name, tensors[f"{key}.weight"], tensors[f"{key}.bias"]) for name, key in zip(found, keys)]


def tell_source(tensors, sha256):
    """torchvision or caffe, where the file shows it: by digest, or by how it numbers the classifier."""
    if sha256 in known.CONVERTIBLE:
        return known.CONVERTIBLE[sha256][0]
    if any(name.startswith("conv") for name in tensors):
        return "caffe"
    if "classifier.1.weight" in tensors:  # torchvision has them at 0, 3 and 6; files converted from Caffe at 1, 4, 6
        return "caffe"
    if "classifier.0.weight" in tensors:
        return "torchvision"
    raise Failure("source: expected --source torchvision or caffe, because this file does not show it")


def convert(source_path, target, network=None, source=None):
    """Returns (network, source, number of layers)."""
    try:
        import numpy

        from weights_tools import layers
        import h5py  # noqa: F401 - missing is better said before the work
    except ImportError as error:
        raise Failure(f"{error.name}: expected for converting, found none (Debian: apt install python3-h5py)"
                      ) from error
    try:
        tensors = without_prefix(read_tensors(source_path))
        network, found = pairs(tensors, network)
        sha256 = known.digests(source_path)[2]
        source = source or tell_source(tensors, sha256)
        converted = []
        for name, weight, bias in found:
            if len(weight.shape) != 4 or tuple(weight.shape[2:]) != (3, 3):
                raise Failure(f"{name}: expected (out,in,3,3), found {tuple(weight.shape)}")
            kernel = numpy.ascontiguousarray(weight.array().transpose(2, 3, 1, 0))  # OIHW -> HWIO, both not flipped
            converted.append(layers.Layer(name, kernel, bias.array()))
        layers.check(converted, network)
    except Failure as failure:
        raise Failure(f"weights '{known.printable(source_path)}': {failure}") from failure
    preprocessing = layers.TORCHVISION if source == "torchvision" else layers.CAFFE
    origin = known.CONVERTIBLE[sha256][1] if sha256 in known.CONVERTIBLE else pathlib.Path(source_path).name
    layers.write(target, converted, network, preprocessing, f"{origin}, SHA-256 {sha256}", LICENCES[source])
    return network, source, len(converted)


def main():
    parser = known.Parser(prog="convert.py", description="Turn a PyTorch VGG state dict into a file impasto reads.")
    parser.add_argument("input", metavar="IN", help=".pth or .safetensors")
    parser.add_argument("output", metavar="OUT", help="the HDF5 file to write")
    parser.add_argument("--network", choices=("vgg16", "vgg19"), help="(told by the layers)")
    parser.add_argument("--source", choices=("torchvision", "caffe"), help="how a picture is prepared (told by the file)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    arguments = parser.parse_args()
    target = pathlib.Path(arguments.output)
    if target.exists() and not arguments.overwrite:
        raise Failure(f"output '{target}': expected a new file, found one that exists (--overwrite)")
    if not target.parent.is_dir():
        raise Failure(f"output '{target}': expected a folder to write in, found none")
    network, source, count = convert(arguments.input, target, arguments.network, arguments.source)
    print(f"{target}: {network}, {count} layers, prepared as {source}")


if __name__ == "__main__":
    sys.exit(known.run(main))
