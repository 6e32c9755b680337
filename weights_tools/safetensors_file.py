"""Reads .safetensors: an uint64 length, that many bytes of JSON {name: dtype, shape, data_offsets}, the data."""
import json
import math
import os
import struct

import numpy

from weights_tools import layers
from weights_tools.known import Failure, printable

MOST_HEADER_BYTES = 100 << 20  # the format's own limit
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}


class Tensor:
    def __init__(self, path, start, dtype, shape):
        self.path, self.start, self.dtype, self.shape = path, start, dtype, shape

    def array(self):
        """As float32, contiguous."""
        raw = numpy.fromfile(self.path, DTYPES[self.dtype], math.prod(self.shape), offset=self.start)
        return layers.as_float32(raw, bfloat16=self.dtype == "BF16").reshape(self.shape)


def _entry(name, entry, data_bytes):
    """(dtype, shape, begin, end) of one header entry, checked."""
    what = f"tensor '{printable(name)}'"
    if not isinstance(entry, dict):
        raise Failure(f"{what}: expected a description, found another")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if dtype not in DTYPES:
        raise Failure(f"{what}: expected one of {', '.join(DTYPES)}, found {printable(dtype, 20)}")
    for numbers, most in ((shape, 8), (offsets, 2)):
        if not (isinstance(numbers, list) and len(numbers) <= most
                and all(type(n) is int and 0 <= n < 1 << 48 for n in numbers)):
            raise Failure(f"{what}: expected a shape and offsets, found others")
    if len(offsets) != 2:
        raise Failure(f"{what}: expected two offsets, found {len(offsets)}")
    if not offsets[0] <= offsets[1] <= data_bytes:
        raise Failure(f"{what}: expected its data inside the file, found it outside")
    if offsets[1] - offsets[0] != math.prod(shape) * numpy.dtype(DTYPES[dtype]).itemsize:
        raise Failure(f"{what}: expected as many bytes as its shape has, found another number")
    return dtype, tuple(shape), offsets[0], offsets[1]


def is_safetensors(path):
    with open(path, "rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= MOST_HEADER_BYTES


def read(path):
    """The tensors by name, each with .shape and .array()."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(MOST_HEADER_BYTES, size - 8):
            raise Failure("safetensors: expected a header inside the file, found it longer")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise Failure("safetensors: expected a JSON header, found another") from error
    if not isinstance(header, dict):
        raise Failure("safetensors: expected tensors by name, found another header")
    tensors, spans = {}, []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, shape, begin, end = _entry(name, entry, size - 8 - length)
        tensors[name] = Tensor(path, 8 + length + begin, dtype, shape)
        spans.append((begin, end))
    spans.sort()
    if any(a[1] > b[0] for a, b in zip(spans, spans[1:])):
        raise Failure("safetensors: expected each tensor's data apart, found them overlapping")
    return tensors
