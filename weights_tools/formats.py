"""Which format a file has, and what is in it."""
import pathlib
import zipfile
import zlib

import numpy

from weights_tools import layers, safetensors_file, state, torch_file
from weights_tools.known import Failure, printable

EXPECTED = "expected a .pth, .safetensors, .keras, .h5, .onnx, .npz, .mat or .caffemodel"
# What else is met, by its first bytes.
OTHERS = ((b"version https://git-lfs", "a Git LFS pointer; get the file itself with: git lfs pull"),
          (b"\x1f\x8b", "a gzip-compressed file; unpack it with: gunzip"), (b"\x93NUMPY", "a single NumPy array"),
          *((bytes((0x80, version)), "a Python pickle; save its arrays as .npz or .safetensors")
            for version in range(2, 6)),
          (b"GIF8", "a GIF picture"), (b"\xff\xd8", "a JPEG picture"), (b"\x89PNG", "a PNG picture"),
          (b"MATLAB 7.3", "a MATLAB 7.3 file; save it with -v7"), (b"%PDF", "a PDF document"))


def read(path, network):
    """A layers.Network, or (tensors by name, layout, source or empty) where names must be understood first."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise Failure("expected a file, found " + ("a folder" if path.is_dir() else "none"))
    with open(path, "rb") as file:
        start = file.read(512)
    if not start:
        raise Failure(f"{EXPECTED}, found an empty file")
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _keras(path, False)
    if start.startswith(b"PK\x03\x04"):
        return _zip(path)
    if torch_file.is_torch_file(path):
        return torch_file.read(path), "state dict", ""
    if safetensors_file.is_safetensors(path):
        return safetensors_file.read(path), "safetensors", ""
    if start.startswith(b"MATLAB 5.0"):
        from weights_tools import mat_file
        return mat_file.read(path), "MatConvNet .mat", "caffe-rgb"
    if start[:1] == b"\x08" or b"GraphProto" in start:
        from weights_tools import onnx_file
        convolutions, pools = onnx_file.read(path)
        name, pairs = state.from_graph(convolutions, pools, network)
        found = state.to_layers(pairs)
        layers.check(found, name)
        keras = any(layers.conv_name(part) for part in convolutions[0][0].split("/"))  # tf2onnx keeps Keras' names
        return layers.Network(found, name, "ONNX", "caffe" if keras else "")
    if start[:1] == b"\x0a" and path.suffix == ".caffemodel" or start[:4].startswith(b"\x0a") and b"conv1_1" in start:
        from weights_tools import caffe_file
        return caffe_file.read(path), "Caffe model", "caffe"
    text = start.lstrip().lower()
    other = next((kind for magic, kind in OTHERS if start.startswith(magic)), None)
    if text.startswith((b"<!doctype html", b"<html")):
        other = "a web page"
    raise Failure(f"{EXPECTED}, found {other or 'none of these'}")


def _keras(path, archive):
    from weights_tools import keras_file
    found, name, layout, own = keras_file.read_archive(path) if archive else keras_file.read(path, any_storage=True)
    said = None
    if "channel_order" in own:
        order = str(own["channel_order"])
        mean, scale = (tuple(numpy.atleast_1d(own.get(key, ())).tolist()) for key in ("mean", "scale"))
        if order not in ("BGR", "RGB") or len(mean) != 3 or len(scale) != 3:
            raise Failure("attributes channel_order, mean and scale: expected BGR or RGB and 3 numbers each, found "
                          "others")
        said = layers.Preprocessing(order, mean, scale)
    return layers.Network(found, name, layout, "caffe", said)


def _zip(path):
    """A zip archive is a .keras, a .npz or a state dict of PyTorch, by what it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Failure("zip archive: expected whole, found damage") from error
    if "model.weights.h5" in names:
        return _keras(path, True)
    if names and all(name.endswith(".npy") for name in names):
        return _npz(path), "NumPy archive", ""
    return torch_file.read(path), "state dict", ""


class Values:
    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def array(self):
        """As float32, contiguous."""
        return layers.as_float32(self.values)


def _npz(path):
    found, total = {}, 0
    try:
        with numpy.load(path, allow_pickle=False) as archive:
            for info in archive.zip.infolist():
                total += info.file_size
            if total > 4 << 30:
                raise Failure(f"NumPy archive: expected at most 4 GiB, found {total} bytes")
            for name in archive.files:
                if not any(map(layers.conv_name, name.replace("/", ".").split("."))) and "." not in name:
                    continue  # a classifier
                values = archive[name]
                if values.dtype.kind == "f":
                    found[name] = Values(values)
    except Failure:
        raise
    except Exception as error:  # NumPy promises no more about what damaged archives raise
        raise Failure(f"NumPy archive: expected whole, without pickled objects, found another ({printable(error, 100)})"
                      ) from error
    return found
