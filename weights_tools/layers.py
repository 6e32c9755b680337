"""VGG's layers: names, order, shapes, and the own schema's file. Needs numpy, and h5py for writing."""
import dataclasses
import io
import re

import numpy

from weights_tools import part
from weights_tools.known import Failure, printable

# Convolutions in each block, and torchvision's index of each in `features`, where ReLUs and pools count too.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def names(network):
    """conv1_1 ... conv5_4"""
    return [f"conv{b}_{c}" for b, count in enumerate(BLOCKS[network], 1) for c in range(1, count + 1)]


def feature_indices(network):
    """0, 2, 5, 7, 10, ...: each convolution and its ReLU take two places, each pool one."""
    indices, at = [], 0
    for count in BLOCKS[network]:
        indices += range(at, at + 2 * count, 2)
        at += 2 * count + 1
    return indices


@dataclasses.dataclass
class Layer:
    name: str
    filter: numpy.ndarray  # (3, 3, in, out) float32
    bias: numpy.ndarray  # (out) float32


@dataclasses.dataclass
class Preprocessing:
    """Input of the network = (pixel * 255 - mean) * scale, pixel 0..1, channels in the order named."""
    channel_order: str
    mean: tuple
    scale: tuple


CAFFE = Preprocessing("BGR", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
# The same networks with red first: MatConvNet's files.
CAFFE_RGB = Preprocessing("RGB", (123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
HED = Preprocessing("BGR", (104.00699, 116.66877, 122.67892), (1.0, 1.0, 1.0))
# torchvision: (pixel - mean) / std with mean .485 .456 .406 and std .229 .224 .225, red first.
TORCHVISION = Preprocessing("RGB", tuple(255 * m for m in (0.485, 0.456, 0.406)),
                            tuple(1 / (255 * s) for s in (0.229, 0.224, 0.225)))


@dataclasses.dataclass
class Network:
    """What a file holds."""
    layers: list
    name: str  # vgg16 or vgg19
    layout: str  # what the file was
    source: str = ""  # how a picture is prepared, where the format shows it
    preprocessing: Preprocessing = None  # where the file says it in full


def as_float32(values, bfloat16=False):
    """Numbers of any width as float32; bfloat16 comes as integers of its 16 bits, the upper half of a float32."""
    if bfloat16:
        return (values.astype(numpy.uint32) << 16).view(numpy.float32)
    with numpy.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as that
        return numpy.ascontiguousarray(values, dtype=numpy.float32)


def conv_name(text):
    """conv3_2 from "block3_conv2", "conv3_2", "block3_conv2_W_1:0"; else None."""
    match = re.match(r"(?:block([1-5])_conv|conv([1-5])_)([1-4])(?=$|[_:])", text)
    return f"conv{match[1] or match[2]}_{match[3]}" if match else None


def check(layers, network=None):
    """The network's name, once the layers are in order from conv1_1, chained, and finite."""
    found = [layer.name for layer in layers]
    guess = "vgg19" if any(name.endswith("_4") for name in found) else "vgg16"
    network = network or guess
    if not found or found != names(network)[:len(found)]:
        missing = next((n for n in names(network) if n not in found), None)
        raise Failure(f"layers: expected {network}'s from conv1_1 without a gap, found "
                      + (f"no {missing}" if missing else f"{len(found)} others"))
    channels = 3
    for layer in layers:
        shape = layer.filter.shape
        if len(shape) != 4 or shape[:3] != (3, 3, channels):
            raise Failure(f"{layer.name}: expected (3,3,{channels},N), found {shape}")
        channels = shape[3]
        if layer.bias.shape != (channels,):
            raise Failure(f"{layer.name} bias: expected ({channels},), found {layer.bias.shape}")
        if not (numpy.isfinite(layer.filter).all() and numpy.isfinite(layer.bias).all()):
            raise Failure(f"{layer.name}: expected finite values, found NaN or infinity")
    return network


def encode(layers, network, preprocessing, source, licence):
    """The bytes of a file of the own schema (docs/weights.md)."""
    import h5py
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        file.attrs["format"] = "impasto-weights"
        file.attrs["version"] = numpy.int32(1)
        file.attrs["network"] = network
        file.attrs["channel_order"] = preprocessing.channel_order
        file.attrs["mean"] = numpy.array(preprocessing.mean, "<f8")
        file.attrs["scale"] = numpy.array(preprocessing.scale, "<f8")
        file.attrs["source"] = printable(source)
        file.attrs["licence"] = printable(licence)
        for layer in layers:
            file.create_dataset(f"{layer.name}/filter", data=numpy.asarray(layer.filter, "<f4"))
            file.create_dataset(f"{layer.name}/bias", data=numpy.asarray(layer.bias, "<f4"))
    return made.getbuffer()


def write(path, *content, replace=True):
    """What encode() makes, under its name only once it is whole; `replace`: a file that is there."""
    data = encode(*content)
    with part.making(path) as making:
        part.write_all(making.handle, data, f"output '{printable(path)}'", len(data))
        part.sync(making.handle, f"output '{printable(path)}'", len(data))
        making.install(path, replace)
