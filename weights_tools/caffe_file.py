"""Reads the convolutions of a Caffe model (.caffemodel), without Caffe.

caffe.proto: NetParameter.layer 100 (LayerParameter: name 1, type 2, blobs 7) or, before 2014, layers 2
(V1LayerParameter: name 4, type 5, blobs 6); BlobProto: num, channels, height, width 1 to 4, data 5, shape 7.
Filters are (out, in, h, w), blue first.
"""
import math

import numpy

from weights_tools import protobuf
from weights_tools.known import Failure, printable

BENDING = {"BatchNorm", "Scale", "PReLU", "ELU", "BN", "LRN", "Bias"}


class Blob:
    def __init__(self, shape, data):
        self.shape, self.data = shape, data

    def array(self):
        """As float32, contiguous."""
        if len(self.data) != 4 * math.prod(self.shape):
            raise Failure(f"blob {self.shape}: expected {math.prod(self.shape)} values, found {len(self.data) // 4}")
        return numpy.frombuffer(self.data, "<f4").reshape(self.shape)


def _blob(data):
    sizes, shape, values = [1, 1, 1, 1], None, []
    for number, wire, value in protobuf.fields(data):
        if number in (1, 2, 3, 4) and wire == protobuf.VARINT:
            sizes[number - 1] = value
        elif number == 5:
            values.append(value if wire in (protobuf.BYTES, protobuf.FIXED32) else b"")
        elif number == 7:
            shape = [n for part, kind, content in protobuf.fields(protobuf.message(value, wire)) if part == 1
                     for n in protobuf.integers(content, kind)]
    shape = tuple(shape or sizes)
    if len(shape) > 8 or any(n >= 1 << 40 for n in shape):
        raise Failure("blob: expected a shape, found another")
    return Blob(shape, values[0] if len(values) == 1 else b"".join(values))


def read(path):
    """Tensors by name: conv1_1.weight, conv1_1.bias."""
    tensors, kinds = {}, []
    for number, wire, value in protobuf.fields(protobuf.open_file(path)):
        if number not in (2, 100):
            continue
        name_field, blobs_field = (1, 7) if number == 100 else (4, 6)
        name, blobs, kind = "", [], ""
        for part, form, content in protobuf.fields(protobuf.message(value, wire)):
            if part == name_field:
                name = protobuf.text(content, form)
            elif part == blobs_field:
                blobs.append(content)
            elif part == 2 and number == 100 and form == protobuf.BYTES:
                kind = protobuf.text(content, form)
        kinds.append(kind)
        if len(blobs) == 2:
            weight, bias = (_blob(protobuf.message(b, protobuf.BYTES)) for b in blobs)
            if name + ".weight" in tensors:
                raise Failure(f"{printable(name)}: expected one such layer, found two")
            bias.shape = (math.prod(bias.shape),)
            tensors[name + ".weight"], tensors[name + ".bias"] = weight, bias
    bending = next((kind for kind in kinds if kind in BENDING), None)
    if bending:
        raise Failure(f"layers: expected convolutions, ReLU and pooling alone, found {bending} among them")
    return tensors
