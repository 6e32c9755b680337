#!/usr/bin/env python3
"""Turns a file with VGG's weights, of any format below, into an HDF5 file that impasto reads.

    convert.py IN OUT [--network vgg16|vgg19] [--source torchvision|caffe|caffe-rgb] [--overwrite]

IN: PyTorch (.pth, either format), .safetensors, Keras (.keras, and .h5 of any number type, chunked or compressed),
ONNX, NumPy (.npz), MatConvNet (.mat, with SciPy) or Caffe (.caffemodel).
--source says how a picture is prepared: torchvision (red first, 0..1, mean and deviation), caffe (blue first, 0..255,
mean only; also jcjohnson's, Gatys' and Keras' files) or caffe-rgb (the same, red first: MatConvNet's). It is told from
the file where that is possible.
Needs numpy and h5py (Debian: python3-h5py). Exit codes: 0 done, 2 usage, 3 a file that cannot be used,
130 interrupted.
"""
import sys

if __name__ == "__main__":  # else inspect.py beside this file would hide the standard library's module
    del sys.path[0]
import pathlib

if __name__ == "__main__":
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from weights_tools import known  # noqa: E402
from weights_tools.known import Failure  # noqa: E402

SOURCES = ("torchvision", "caffe", "caffe-rgb")
LICENCES = {"torchvision": "BSD-3-Clause (torchvision; stated for its code)", "caffe": known.OXFORD,
            "caffe-rgb": known.OXFORD}


def read(path, name=None):
    """The network in a file of any format."""
    from weights_tools import formats, layers, state
    found = formats.read(path, name)
    if isinstance(found, layers.Network):
        return found
    tensors, layout, source = found
    plain = state.without_prefix(tensors)
    name, pairs = state.pairs(plain, name)
    network = layers.Network(state.to_layers(pairs), name, layout, source or _source_of_names(plain))
    layers.check(network.layers, name)
    return network


def _source_of_names(tensors):
    """torchvision or caffe, where names show it, as by how they number the classifier; else empty."""
    if any(name.startswith("conv") for name in tensors):
        return "caffe"
    if "classifier.1.weight" in tensors:  # torchvision has them at 0, 3 and 6; files converted from Caffe at 1, 4, 6
        return "caffe"
    return "torchvision" if "classifier.0.weight" in tensors else ""


def prepare(network, source, sha256):
    """(source, preprocessing), once it is told; a known network with red first is turned to blue first."""
    from weights_tools import content, layers
    kinds = {"torchvision": layers.TORCHVISION, "caffe": layers.CAFFE, "caffe-rgb": layers.CAFFE_RGB}
    entry, _, _ = content.recognise(network.layers, network.name)
    if entry is None and not source:
        first = network.layers[0]
        turned = [layers.Layer(first.name, first.filter[:, :, ::-1, :].copy(), first.bias), *network.layers[1:]]
        entry, _, _ = content.recognise(turned, network.name)
        network.layers = turned if entry else network.layers
    if entry is not None:
        return "caffe", layers.HED if entry.name == "hed-vgg16" else layers.CAFFE
    if not source and network.preprocessing is not None:
        return "the file", network.preprocessing
    source = source or known.CONVERTIBLE.get(sha256, ("",))[0] or network.source
    if not source:
        raise Failure(f"source: expected --source {', '.join(SOURCES[:-1])} or {SOURCES[-1]}, because this file does "
                      "not show how a picture is prepared")
    return source, kinds[source]


def convert(source_path, target, network=None, source=None, replace=True):
    """Returns (network, source, number of layers)."""
    try:
        import h5py  # noqa: F401 - missing is better said before the work
        import numpy  # noqa: F401

        from weights_tools import layers
    except ImportError as error:
        raise Failure(f"{error.name}: expected for converting, found none (Debian: apt install python3-h5py)"
                      ) from error
    try:
        found = read(source_path, network)
        sha256 = known.digests(source_path)[2]
        source, preprocessing = prepare(found, source, sha256)
    except Failure as failure:
        raise Failure(f"weights '{known.printable(source_path)}': {failure}") from failure
    origin = known.CONVERTIBLE[sha256][1] if sha256 in known.CONVERTIBLE else pathlib.Path(source_path).name
    layers.write(target, found.layers, found.name, preprocessing, f"{origin}, SHA-256 {sha256}",
                 LICENCES.get(source, "as the file it was made from"), replace=replace)
    return found.name, source, len(found.layers)


def main():
    parser = known.Parser(prog="convert.py", description="Turn a VGG's weights into a file impasto reads.")
    parser.add_argument("input", metavar="IN", help=".pth, .safetensors, .keras, .h5, .onnx, .npz, .mat or .caffemodel")
    parser.add_argument("output", metavar="OUT", help="the HDF5 file to write")
    parser.add_argument("--network", choices=("vgg16", "vgg19"), help="(told by the layers)")
    parser.add_argument("--source", choices=SOURCES, help="how a picture is prepared (told by the file)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    arguments = parser.parse_args()
    target = pathlib.Path(arguments.output)
    if target.exists() and not arguments.overwrite:
        raise Failure(f"output '{target}': expected a new file, found one that exists (--overwrite)")
    if not target.parent.is_dir():
        raise Failure(f"output '{target}': expected a folder to write in, found none")

    def work():
        network, source, count = convert(arguments.input, target, arguments.network, arguments.source,
                                         arguments.overwrite)
        print(f"{target}: {network}, {count} layers, prepared as {source}")
    known.in_child(arguments.input, work)


if __name__ == "__main__":
    sys.exit(known.program(main))
