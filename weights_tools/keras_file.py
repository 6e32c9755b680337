"""Finds VGG's layers in an HDF5 file of any layout (docs/weights.md). Needs h5py."""
import json
import re
import shutil
import struct
import tempfile
import zipfile
import zlib

import h5py
import numpy

from weights_tools import layers
from weights_tools.known import Failure, printable

MOST_BYTES = 4 << 30  # of one file


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


def _array(group, path, any_storage):
    """The values as float32. `any_storage`: also of other widths, chunked and compressed, which the program refuses."""
    data = _open(group, path)
    if not isinstance(data, h5py.Dataset):
        raise Failure(f"{printable(path)}: expected an array, found a group")
    if data.external is not None or data.is_virtual:
        raise Failure(f"{printable(path)}: expected its values in the file, found external or virtual storage")
    if data.size > 1 << 28:
        raise Failure(f"{printable(path)}: expected at most {1 << 28} values, found {data.size}")
    if any_storage:
        bfloat16 = (_text(data.attrs.get("dtype")) == "bfloat16" and data.dtype.itemsize == 2
                    and data.dtype.kind in "Vui")
        if data.dtype.kind != "f" and not bfloat16:
            raise Failure(f"{printable(path)}: expected floating-point numbers, found {data.dtype}")
        return layers.as_float32(data[()].view("<u2") if bfloat16 else data[()], bfloat16)
    if data.dtype.kind != "f" or data.dtype.itemsize != 4 or data.chunks is not None:
        raise Failure(f"{printable(path)}: expected float32 in plain contiguous storage, found another (convert.py "
                      "makes it that)")
    return data[()]


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _refuse_layer(name):
    """A layer among the convolutions with numbers of its own and no kernel."""
    lower = name.lower()
    kind = ("PReLU" if re.search("p_?re_?lu|alpha", lower)
            else "batch normalisation" if re.search("batch|moving|bn", lower)
            else "normalisation" if re.search("norm|gamma", lower) else "a layer without a kernel")
    raise Failure(f"expected convolutions, ReLU and pooling alone, found {kind} among them ('{printable(name)}')")


def _bare(data):
    """Whether an array is that of a layer without a kernel: scales and shifts, slopes."""
    return isinstance(data, h5py.Dataset) and data.ndim in (1, 3) and data.dtype.kind in "fV"


def _legacy(base):
    """Pairs from the attributes layer_names and weight_names."""
    found, pending = {}, {}
    for layer in _strings(base.attrs, "layer_names"):
        group = _open(base, layer)
        for path in _strings(group.attrs, "weight_names") or []:
            name = next(filter(None, map(layers.conv_name, (layer + "/" + path).split("/"))), None)
            if not name:
                place = f"{layer}/{path.rpartition('/')[0]}"
                pending[place] = pending.get(place, True) and _bare(_open(group, path))
                continue
            found.setdefault(name, []).append((group, path))
            for place, bare in pending.items():  # Keras lists layers as they are computed: these come before
                if bare:
                    _refuse_layer(place)
            pending = {}
    for name, arrays in found.items():
        if len(arrays) != 2:
            raise Failure(f"{name}: expected kernel and bias, found {len(arrays)} arrays")
    return found


def _name_from_path(path):
    block = re.search(r"(?:^|/)block([1-5])/", path)
    counter = re.search(r"/conv2d(?:_([1-3]))?(?=/|$)", path)
    return f"conv{block[1]}_{int(counter[1] or 0) + 1}" if block and counter else None


def _tree(root, ordered):
    """Pairs from the groups `vars` of a Keras 3 .weights.h5. `ordered`: what lies among them has been looked at."""
    named, unnamed, bare, folders = {}, [], [], set()

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
                continue
            if "0" in child and _bare(child["0"]):
                bare.append(path)
            if "0" in child and "1" in child and child["0"].shape[:2] == (3, 3) and child["0"].ndim == 4:
                name = layers.conv_name(str(child.attrs.get("name", ""))) or _name_from_path(path + "/")
                pair = [(child, "0"), (child, "1")]
                folders.add(path.rpartition("/")[0])
                if name is None:
                    unnamed.append(pair)
                elif named.setdefault(name, pair) is not pair:
                    raise Failure(f"{name}: expected one such layer, found two")
    visit(root, "", 0)
    for place in bare:  # a tree does not say in which order layers are computed
        if place.rpartition("/")[0] in folders and not ordered:
            _refuse_layer(place)
    if named:
        return named, "Keras 3 .weights.h5"
    network = {13: "vgg16", 16: "vgg19"}.get(len(unnamed))
    if network is None:
        raise Failure(f"expected a known layout (docs/weights.md), found {len(unnamed)} unnamed 3x3 convolutions")
    return dict(zip(layers.names(network), unnamed)), "Keras 3 .weights.h5 without names"


def refuse_activations(config):
    """Refuses a model whose description, in JSON, has other layers than VGG's before its last 3x3 convolution.

    Returns whether it could be told.
    """
    try:
        model = json.loads(config)
    except (ValueError, RecursionError):
        return False  # then it is the numbers that count
    found = []

    def visit(value, depth):
        if depth > 40:
            return
        if isinstance(value, dict):
            kind, config = value.get("class_name"), value.get("config")
            if isinstance(kind, str) and isinstance(config, dict):
                found.append((kind, config))
            value = list(value.values())
        for child in value if isinstance(value, list) else ():
            visit(child, depth + 1)
    visit(model, 0)
    filters = [i for i, (kind, config) in enumerate(found) if kind == "Conv2D" and config.get("kernel_size") == [3, 3]]
    for kind, config in found[:filters[-1] + 1] if filters else []:
        activation = config.get("activation") if kind in ("Conv2D", "Activation") else None
        activation = activation if isinstance(activation, str) else "relu"
        plain = activation in ("relu", "linear")
        if not plain or re.search("Normalization|PReLU|LeakyReLU|ELU", kind) and kind != "ReLU":
            raise Failure("expected convolutions, ReLU and pooling alone, found "
                          f"{printable(kind if plain else activation, 40)} among them")
    return bool(filters)


def read_archive(path):
    """As read, of a .keras: a zip of config.json, metadata.json and model.weights.h5."""
    with tempfile.TemporaryFile() as weights:  # without a name: nothing is left, whatever the HDF5 library does
        try:
            with zipfile.ZipFile(path) as archive:
                size = archive.getinfo("model.weights.h5").file_size
                if size > MOST_BYTES or archive.getinfo("config.json").file_size > 64 << 20:
                    raise Failure(f"model.weights.h5: expected at most {MOST_BYTES} bytes, found more")
                with archive.open("model.weights.h5") as member:
                    shutil.copyfileobj(member, weights)
                config = archive.read("config.json").decode("utf-8", "replace")
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError,
                OverflowError, struct.error) as error:
            raise Failure("expected a whole .keras archive with config.json and model.weights.h5, found damage "
                          f"({printable(error, 100)})") from error
        ordered = refuse_activations(config)
        weights.seek(0)
        found, network, layout, own = read(weights, any_storage=True, ordered=ordered)
    return found, network, f"{layout} in a .keras", own


def read(path, any_storage=False, ordered=False):
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
                if "model_config" in file.attrs:
                    refuse_activations(_text(file.attrs["model_config"]))
                if _strings(base.attrs, "layer_names") is not None:
                    version = str(base.attrs.get("keras_version", "1"))[:1]
                    layout = {"2": "Keras 2 .h5", "3": "Keras 3 legacy .h5"}.get(version, "Keras 1 .h5")
                    layout, pairs = ("Keras whole model" if whole else layout), _legacy(base)
                else:
                    pairs, layout = _tree(base, ordered)
            found = [layers.Layer(name, *(_array(*place, any_storage) for place in pairs[name]))
                     for name in sorted(pairs)]
            return found, layers.check(found, network), layout, own
    except (OSError, KeyError, ValueError, RuntimeError, UnicodeError, TypeError) as error:
        raise Failure(f"expected a sound HDF5 file, found damage ({printable(error, 100)})") from error
