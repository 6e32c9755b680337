#!/usr/bin/env python3
"""Shows what a weight file holds, and checks it.

    inspect.py FILE

FILE: HDF5 in any layout that impasto reads, or what convert.py reads. Prints digests, layout, and for each layer its
shape and the mean, deviation and extremes of its filter. Exit codes: 0 the file is sound, 2 usage, 3 it is not.
Needs numpy and h5py (Debian: python3-h5py).
"""
import sys

if __name__ == "__main__":  # else this file itself would hide the standard library's module of its name
    del sys.path[0]
import pathlib

if __name__ == "__main__":
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from weights_tools import known  # noqa: E402
from weights_tools.known import Failure  # noqa: E402


def describe(path):
    """Lines of text; throws for a file that is not sound."""
    from weights_tools import content, convert
    with open(path, "rb") as file:
        hdf5 = file.read(8) == b"\x89HDF\r\n\x1a\n"
    own = {}
    if hdf5:
        from weights_tools import keras_file
        found, network, layout, own = keras_file.read(path)
    else:
        read = convert.read(path)
        found, network, layout = read.layers, read.name, read.layout
    size, md5, sha256 = known.digests(path)
    entry, nearly, digest = content.recognise(found, network)
    entry = entry or known.recognise(size, md5, sha256)
    yield f"file       {known.printable(path)}"
    yield f"name       {entry.name if entry else nearly or 'not a network known here'}"
    if entry:
        yield f"           {entry.description}; {entry.licence}"
    yield f"bytes      {size}"
    yield f"SHA-256    {sha256}"
    yield f"MD5        {md5}"
    yield f"content    {digest}"
    yield f"layout     {layout}"
    yield f"network    {network}, {len(found)} convolutions"
    for key in ("channel_order", "mean", "scale", "source", "licence"):
        if key in own:
            yield f"{key:10} {known.printable(own[key])}"
    yield f"{'layer':8} {'filter':>18} {'mean':>10} {'deviation':>10} {'least':>10} {'most':>10} {'bias mean':>10}"
    for layer in found:
        f = layer.filter.astype("f8")
        shape = "(" + ",".join(map(str, layer.filter.shape)) + ")"
        yield (f"{layer.name:8} {shape:>18} {f.mean():10.3g} {f.std():10.3g} {f.min():10.3g} {f.max():10.3g} "
               f"{layer.bias.mean():10.3g}")


def show(path):
    if not pathlib.Path(path).is_file():
        raise Failure(f"weights '{known.printable(path)}': expected a file, found none")
    try:
        text = "\n".join(describe(path))
    except Failure as failure:
        raise Failure(f"weights '{known.printable(path)}': {failure}") from failure
    except ImportError as error:
        raise Failure(f"{error.name}: expected for this file, found none (Debian: apt install python3-h5py)"
                      ) from error
    print(text)


def main():
    parser = known.Parser(prog="inspect.py", description="Show what a weight file holds, and check it.")
    parser.add_argument("file", metavar="FILE")
    path = parser.parse_args().file
    known.in_child(path, lambda: show(path))


if __name__ == "__main__":
    sys.exit(known.program(main))
