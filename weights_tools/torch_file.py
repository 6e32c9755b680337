"""Reads the tensors of a PyTorch state dict, .pth in either format, without PyTorch and without running what it says.

A .pth is a pickle, a program for a small machine that may call any function. Here it may name nothing but the things a
state dict is made of (tensors, parameters, OrderedDict and storages), each replaced by a harmless stand-in of ours;
everything else ends the reading.

Formats: torch/serialization.py. Zip (since 1.6): NAME/data.pkl and one member NAME/data/KEY for each storage. Legacy:
three pickles (magic number, protocol, system), the pickled object, the pickled list of storage keys, then for each
storage an int64 count and its elements.
"""
import collections
import io
import math
import os
import pickle
import struct
import zipfile
import zlib

import numpy

from weights_tools import layers
from weights_tools.known import Failure, printable

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
MOST_PICKLE_BYTES = 16 << 20  # VGG-19's has 4 kB
# What zipfile raises for archives that are damaged or of another kind.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, KeyError, EOFError, NotImplementedError, RuntimeError, OSError,
              OverflowError, ValueError)
DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
          "LongStorage": "<i8"}


class Storage:
    """Elements somewhere in the file; read when a tensor asks for them."""

    def __init__(self, kind, key, count):
        self.dtype, self.key, self.count = numpy.dtype(DTYPES[kind]), key, count
        self.bfloat16 = kind == "BFloat16Storage"
        self.read = None  # () -> bytes, set once the place in the file is known

    def elements(self):
        data = self.read()
        if len(data) != self.count * self.dtype.itemsize:
            raise Failure(f"storage {printable(self.key)}: expected {self.count} elements, file is cut short")
        return numpy.frombuffer(data, self.dtype)


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self):
        """As float32, contiguous."""
        reach = sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if math.prod(self.shape) == 0 or self.offset + reach >= self.storage.count:
            raise Failure(f"tensor {self.shape}: expected inside its storage of {self.storage.count} elements, "
                          "found outside")
        flat = self.storage.elements()[self.offset:]
        strides = [s * flat.itemsize for s in self.strides]
        view = numpy.lib.stride_tricks.as_strided(flat, self.shape, strides, writeable=False)
        return layers.as_float32(numpy.ascontiguousarray(view), self.storage.bfloat16)


def _sizes(values):
    if not (isinstance(values, tuple) and len(values) <= 8
            and all(type(v) is int and 0 <= v < 1 << 40 for v in values)):
        raise Failure("tensor: expected a tuple of sizes, found another")
    return values


def _rebuild_tensor(storage=None, offset=None, shape=None, strides=None, *_):
    """Stands in for torch._utils._rebuild_tensor and _rebuild_tensor_v2, whose further arguments do not matter."""
    if not isinstance(storage, Storage):
        raise Failure("tensor: expected a storage, found another")
    _sizes((offset,))
    if len(_sizes(shape)) != len(_sizes(strides)):
        raise Failure("tensor: expected as many strides as sizes, found others")
    return Tensor(storage, offset, shape, strides)


def _rebuild_parameter(data=None, *_):
    """Stands in for torch._utils._rebuild_parameter: what a Parameter adds to its tensor does not matter."""
    if not isinstance(data, Tensor):
        raise Failure("parameter: expected a tensor, found another")
    return data


class Callable:
    """What the pickle may call. Slots, so that it can set nothing on it."""
    __slots__ = ("function",)

    def __init__(self, function):
        object.__setattr__(self, "function", function)

    def __call__(self, *arguments):
        return self.function(*arguments)

    def __setattr__(self, name, value):
        raise Failure("pickle: expected data, found an assignment to a function")


class Dictionary(collections.OrderedDict):
    """An OrderedDict whose further state (torch puts `_metadata` there) is dropped."""

    def __setstate__(self, state):
        pass


def _dictionary(*arguments):
    if arguments not in ((), ([],)):
        raise Failure("pickle: expected an empty OrderedDict to fill, found another")
    return Dictionary()


ALLOWED = {
    ("collections", "OrderedDict"): Callable(_dictionary),
    ("torch._utils", "_rebuild_tensor"): Callable(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Callable(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Callable(_rebuild_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Callable(_rebuild_parameter),
}


class StateUnpickler(pickle.Unpickler):
    """Storages appear as persistent ids: ("storage", type, key, place, count[, view])."""

    def __init__(self, file):
        super().__init__(file, encoding="utf-8")
        self.storages = {}

    def find_class(self, module, name):
        if module == "torch" and name in DTYPES:
            return name
        try:
            return ALLOWED[module, name]
        except KeyError:
            hint = "; save model.state_dict() in place of the model" if ".nn." in module or "models" in module else ""
            raise Failure(f"pickle: expected a state dict's types, found {printable(module)}.{printable(name)}{hint}"
                          ) from None

    def persistent_load(self, pid):
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and pid[1] in DTYPES
                and isinstance(pid[2], str) and type(pid[4]) is int and 0 <= pid[4] < 1 << 34):
            raise Failure("pickle: expected a float32, float64, float16, bfloat16 or int64 storage, found another")
        if len(pid) == 6 and pid[5] is not None:
            raise Failure("pickle: expected whole storages, found a view")
        storage = Storage(pid[1], pid[2], pid[4])
        return self.storages.setdefault(pid[2], storage)


def _unpickle(file):
    """(object, storages by key) of the next pickle."""
    unpickler = StateUnpickler(file)
    try:
        return unpickler.load(), unpickler.storages
    except Failure:
        raise
    except Exception as error:  # pickle promises no more about what malformed data raises
        raise Failure(f"pickle: expected a state dict, found damage ({printable(error) or type(error).__name__})"
                      ) from error


def _read_zip(path):
    # The archive stays open through the closures of the storages, as long as a tensor is.
    try:
        archive = zipfile.ZipFile(path)  # pylint: disable=consider-using-with
    except ZIP_ERRORS as error:
        raise Failure("zip archive: expected whole, found damage") from error
    pickles = [n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise Failure("zip archive: expected NAME/data.pkl of a state dict, found none")
    prefix = pickles[0][:-len("data.pkl")]

    def member(name, most):
        try:
            info = archive.getinfo(name)
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
                raise Failure(f"{printable(name)}: expected at most {most} plain bytes, found others")
            return archive.read(info)
        except ZIP_ERRORS as error:
            raise Failure(f"{printable(name)}: expected in the archive, found damage") from error

    if prefix + "byteorder" in archive.namelist() and member(prefix + "byteorder", 16) != b"little":
        raise Failure("state dict: expected little-endian numbers, found others")
    state, storages = _unpickle(io.BytesIO(member(pickles[0], MOST_PICKLE_BYTES)))
    for key, storage in storages.items():
        size = storage.count * storage.dtype.itemsize
        storage.read = lambda key=key, size=size: member(f"{prefix}data/{key}", size)
    return state


def _read_legacy(path):
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head, _ = _unpickle(file)
        if head != LEGACY_MAGIC:
            raise Failure("state dict: expected torch's magic number, found another")
        protocol, _ = _unpickle(file)
        system, _ = _unpickle(file)
        if protocol != 1001 or not isinstance(system, dict) or system.get("little_endian") is not True:
            raise Failure("state dict: expected protocol 1001, little-endian, found another")
        state, storages = _unpickle(file)
        keys, _ = _unpickle(file)
        if not isinstance(keys, list) or set(map(type, keys)) - {str} or sorted(keys) != sorted(storages):
            raise Failure("state dict: expected a list of its storages, found another")
        for key in keys:
            storage = storages[key]
            count = file.read(8)
            start, length = file.tell(), storage.count * storage.dtype.itemsize
            if len(count) != 8 or struct.unpack("<q", count)[0] != storage.count or start + length > size:
                raise Failure(f"storage {printable(key)}: expected {storage.count} elements, file is cut short")
            file.seek(length, os.SEEK_CUR)

            def read(start=start, length=length):
                with open(path, "rb") as again:
                    again.seek(start)
                    return again.read(length)
            storage.read = read
    return state


def is_torch_file(path):
    with open(path, "rb") as file:
        start = file.read(len(LEGACY_START))
    return start == LEGACY_START or start.startswith(b"PK\x03\x04")


def read(path):
    """The tensors of a state dict by name, each with .shape and .array()."""
    state = _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    if not isinstance(state, dict):
        raise Failure("state dict: expected tensors by name, found another object")
    return _tensors(state)


def _tensors(state, depth=0):
    """The tensors by name; those of a training checkpoint lie one or two dictionaries down."""
    found = {name: t for name, t in state.items() if isinstance(name, str) and isinstance(t, Tensor)}
    if any(len(t.shape) == 4 for t in found.values()) or depth == 3:
        return found
    # "model", "state_dict", "net", ...: the names differ; an optimiser's state has numbers for names
    nested = [t for t in (_tensors(value, depth + 1) for value in state.values() if isinstance(value, dict)) if t]
    kernels = [t for t in nested if any(len(tensor.shape) == 4 for tensor in t.values())]
    if len(kernels) > 1:
        raise Failure(f"state dict: expected one network in the file, found {len(kernels)}")
    return kernels[0] if kernels else found
