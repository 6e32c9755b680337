"""Finds VGG's layers in an HDF5 file of any layout (docs/weights.md). Needs h5py."""
import re

import h5py
import numpy

from weights_tools import layers
from weights_tools.known import Failure, printable


def _natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _strings(attributes, name):
    """A list of names, whatever its type; split over name0, name1 ... where it is long; None if it is absent."""
    if name in attributes:
        values = numpy.atleast_1d(attributes[name])
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    parts, number = None, 0
    while f"{name}{number}" in attributes:
        parts = (parts or []) + _strings(attributes, f"{name}{number}")
        number += 1
    return parts


def _open(group, path):
    """A member, through hard links alone."""
    for part in filter(None, path.split("/")):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise Failure(f"{printable(path)}: expected a hard link, found {'another' if link else 'none'}")
        group = group[part]
    return group


def _array(group, path):
    data = _open(group, path)
    if not isinstance(data, h5py.Dataset):
        raise Failure(f"{printable(path)}: expected an array, found a group")
    plain = data.chunks is None and data.external is None and not data.is_virtual
    if data.dtype.kind != "f" or data.dtype.itemsize != 4 or not plain or data.size > 1 << 28:
        raise Failure(f"{printable(path)}: expected float32 in plain contiguous storage, found another")
    return data[()]


def _legacy(base):
    """Pairs from the attributes layer_names and weight_names."""
    found = {}
    for layer in _strings(base.attrs, "layer_names"):
        group = _open(base, layer)
        for path in _strings(group.attrs, "weight_names") or []:
            name = next(filter(None, map(layers.conv_name, (layer + "/" + path).split("/"))), None)
            if name:
                found.setdefault(name, []).append((group, path))
    for name, arrays in found.items():
        if len(arrays) != 2:
            raise Failure(f"{name}: expected kernel and bias, found {len(arrays)} arrays")
    return found


def _name_from_path(path):
    block = re.search(r"(?:^|/)block([1-5])/", path)
    counter = re.search(r"/conv2d(?:_([1-3]))?(?=/|$)", path)
    return f"conv{block[1]}_{int(counter[1] or 0) + 1}" if block and counter else None


def _tree(root):
    """Pairs from the groups `vars` of a Keras 3 .weights.h5."""
    named, unnamed = {}, []

    def visit(group, path, depth):
        if depth > 12:
            raise Failure("groups: expected a model's, found them too deep")
        for member in sorted(group, key=_natural):
            if group.get(member, getclass=True, getlink=True) is not h5py.HardLink:
                raise Failure(f"{printable(member)}: expected a hard link, found another")
            child = group[member]
            if not isinstance(child, h5py.Group):
                continue
            if member != "vars":
                visit(child, f"{path}/{member}", depth + 1)
            elif "0" in child and "1" in child and child["0"].shape[:2] == (3, 3) and child["0"].ndim == 4:
                name = layers.conv_name(str(child.attrs.get("name", ""))) or _name_from_path(path + "/")
                pair = [(child, "0"), (child, "1")]
                if name is None:
                    unnamed.append(pair)
                elif named.setdefault(name, pair) is not pair:
                    raise Failure(f"{name}: expected one such layer, found two")
    visit(root, "", 0)
    if named:
        return named, "Keras 3 .weights.h5"
    network = {13: "vgg16", 16: "vgg19"}.get(len(unnamed))
    if network is None:
        raise Failure(f"expected a known layout (docs/weights.md), found {len(unnamed)} unnamed 3x3 convolutions")
    return dict(zip(layers.names(network), unnamed)), "Keras 3 .weights.h5 without names"


def read(path):
    """(layers in network order, network, layout, attributes of the own schema)."""
    try:
        with h5py.File(path, "r") as file:
            own, network = {}, None
            if str(file.attrs.get("format", "")) == "impasto-weights":
                layout = f"impasto-weights {file.attrs.get('version')}"
                own = {key: file.attrs[key] for key in file.attrs}
                network = str(own.get("network"))
                if network not in layers.BLOCKS:
                    raise Failure(f"attribute network: expected vgg16 or vgg19, found '{printable(network)}'")
                pairs = {n: [(file, f"{n}/filter"), (file, f"{n}/bias")] for n in layers.names("vgg19") if n in file}
            else:
                whole = "model_weights" in file
                base = _open(file, "model_weights") if whole else file
                if _strings(base.attrs, "layer_names") is not None:
                    version = str(base.attrs.get("keras_version", "1"))[:1]
                    layout = {"2": "Keras 2 .h5", "3": "Keras 3 legacy .h5"}.get(version, "Keras 1 .h5")
                    layout, pairs = ("Keras whole model" if whole else layout), _legacy(base)
                else:
                    pairs, layout = _tree(base)
            found = [layers.Layer(name, _array(*pairs[name][0]), _array(*pairs[name][1])) for name in sorted(pairs)]
            return found, layers.check(found, network), layout, own
    except (OSError, KeyError, ValueError, RuntimeError, UnicodeError, TypeError) as error:
        raise Failure(f"expected a sound HDF5 file, found damage ({printable(error, 100)})") from error
