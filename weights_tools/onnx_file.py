"""Reads the convolutions of an ONNX model, in the order of its graph, without the onnx package.

onnx.proto: ModelProto.graph 7; GraphProto.node 1, initializer 5; NodeProto.input 1, op_type 4, attribute 5;
AttributeProto.name 1, t 5, ints 8; TensorProto.dims 1, data_type 2, float_data 4, name 8, raw_data 9, external_data 13,
data_location 14. Filters are (out, in, h, w).
"""
import dataclasses
import math

import numpy

from weights_tools import layers, protobuf
from weights_tools.known import Failure, printable

DTYPES = {1: "<f4", 10: "<f2", 11: "<f8", 16: "<u2"}  # TensorProto.DataType; 16 is bfloat16
# What may stand between the convolutions and leaves them a VGG; Add is a bias, and looked at.
HARMLESS = {"Conv", "Relu", "MaxPool", "AveragePool", "Identity", "Transpose", "Pad", "Cast", "Constant", "Dropout",
            "Add"}


@dataclasses.dataclass
class Tensor:
    name: str = ""
    shape: tuple = ()
    dtype: int = 0
    data: object = b""  # bytes of the values
    plain: bool = True  # in the file itself, of a type that is read

    def array(self):
        """As float32, contiguous."""
        what = f"tensor '{printable(self.name, 80)}'"
        if not self.plain:
            raise Failure(f"{what}: expected its values inside the file, found them elsewhere or in another form")
        if self.dtype not in DTYPES:
            raise Failure(f"{what}: expected float32, float16, bfloat16 or float64, found type {self.dtype}")
        dtype = numpy.dtype(DTYPES[self.dtype])
        if len(self.data) != math.prod(self.shape) * dtype.itemsize:
            raise Failure(f"{what}: expected {math.prod(self.shape)} values, found {len(self.data) // dtype.itemsize}")
        values = numpy.frombuffer(self.data, dtype)
        return layers.as_float32(values, bfloat16=self.dtype == 16).reshape(self.shape)


@dataclasses.dataclass
class Node:
    operator: str = ""
    inputs: list = dataclasses.field(default_factory=list)
    outputs: list = dataclasses.field(default_factory=list)
    steps: dict = dataclasses.field(default_factory=dict)  # strides, dilations
    value: object = None  # a Constant's


def _tensor(data):
    tensor, dims, singles = Tensor(), [], []
    for number, wire, value in protobuf.fields(data):
        if number == 1:
            dims += protobuf.integers(value, wire)
        elif number == 2 and wire == protobuf.VARINT:
            tensor.dtype = value
        elif number == 4:  # float_data, packed or one by one
            singles.append(value if wire in (protobuf.BYTES, protobuf.FIXED32) else b"")
        elif number == 8:
            tensor.name = protobuf.text(value, wire)
        elif number == 9:
            tensor.data = protobuf.message(value, wire)
        elif number in (5, 13) or (number == 14 and value != 0):  # int32_data; values in another file
            tensor.plain = False
    if singles:
        tensor.data = singles[0] if len(singles) == 1 else b"".join(singles)
    if len(dims) > 8 or any(n >= 1 << 40 for n in dims):
        raise Failure(f"tensor '{printable(tensor.name, 80)}': expected a shape, found another")
    tensor.shape = tuple(dims)
    return tensor


def _node(data):
    node = Node()
    for number, wire, value in protobuf.fields(data):
        if number == 1:
            node.inputs.append(protobuf.text(value, wire))
        elif number == 2:
            node.outputs.append(protobuf.text(value, wire))
        elif number == 4:
            node.operator = protobuf.text(value, wire)
        elif number == 5:
            name, numbers, tensor = "", [], None
            for part, kind, content in protobuf.fields(protobuf.message(value, wire)):
                if part == 1:
                    name = protobuf.text(content, kind)
                elif part == 5:
                    tensor = content
                elif part == 8:
                    numbers += protobuf.integers(content, kind)
            if name in ("strides", "dilations"):
                node.steps[name] = numbers
            if name == "value" and tensor is not None:
                node.value = tensor
    return node


def _graph(path):
    """(nodes in order, tensors by name)"""
    nodes, tensors, found = [], {}, False
    for number, wire, value in protobuf.fields(protobuf.open_file(path)):
        if number != 7:
            continue
        found = True
        for part, kind, content in protobuf.fields(protobuf.message(value, wire)):
            if part == 1:
                node = _node(protobuf.message(content, kind))
                nodes.append(node)
                if node.operator == "Constant" and node.value is not None and node.outputs:
                    tensors[node.outputs[0]] = _tensor(protobuf.message(node.value, protobuf.BYTES))
            elif part == 5:
                tensor = _tensor(protobuf.message(content, kind))
                tensors[tensor.name] = tensor
    if not found:
        raise Failure("model: expected an ONNX graph, found none")
    return nodes, tensors


def read(path):
    """([(name in the file, filter, bias)] in order, numbers of convolutions before each pooling).

    Only 3x3 convolutions count. Refused is what stands between them and makes another function of them.
    """
    nodes, tensors = _graph(path)
    convs = [i for i, n in enumerate(nodes) if n.operator == "Conv" and len(n.inputs) >= 2
             and tensors.get(n.inputs[1], Tensor()).shape[2:] == (3, 3)]
    if not convs:
        raise Failure("model: expected 3x3 convolutions with their filters in the file, found none")
    found, pools = [], []
    for at in range(convs[0], convs[-1] + 1):
        node = nodes[at]
        if node.operator not in HARMLESS:
            raise Failure("model: expected convolutions, ReLU and pooling alone, found "
                          f"{printable(node.operator, 40)} among them")
        if node.operator == "Add" and not any(name in tensors for name in node.inputs):
            raise Failure("model: expected one path through its layers, found a sum of two")
        if node.operator in ("MaxPool", "AveragePool"):
            pools.append(len(found))
        if at not in convs:
            continue
        if any(n != 1 for numbers in node.steps.values() for n in numbers):
            raise Failure(f"{printable(node.inputs[1], 80)}: expected steps of 1, found others")
        bias = tensors.get(node.inputs[2]) if len(node.inputs) > 2 else _added(node, nodes[at + 1:at + 3], tensors)
        if bias is None:
            raise Failure(f"{printable(node.inputs[1], 80)}: expected a bias, found none")
        found.append((node.inputs[1], tensors[node.inputs[1]], bias))
    return found, pools


def _added(conv, following, tensors):
    """A bias that is added by a node of its own."""
    for node in following:
        if node.operator == "Add" and set(conv.outputs) & set(node.inputs):
            return next((tensors[name] for name in node.inputs if name in tensors), None)
    return None
