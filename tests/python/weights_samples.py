"""Small weight files in every format, made by writers of their own, and what the tests of weights_tools share."""
import collections
import io
import json
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT))
try:
    import h5py
    import numpy

    from weights_tools import layers, torch_file
except ImportError:
    numpy = h5py = None
needs_h5py = unittest.skipIf(numpy is None, "needs python3-h5py")


def tool(name, *arguments, **kwargs):
    """Runs a tool as a user would."""
    return subprocess.run([sys.executable, str(ROOT / "weights_tools" / name), *map(str, arguments)],
                          capture_output=True, text=True, check=False, **kwargs)


def state_dict(network="vgg16", count=16, seed=1, style="features"):
    """Names and (out, in, 3, 3) arrays of a small VGG, in PyTorch's order."""
    generator = numpy.random.default_rng(seed)
    state, channels = collections.OrderedDict(), 3
    widths = [w for w, n in zip((2, 3, 4, 3, 2), layers.BLOCKS[network]) for _ in range(n)]
    names = layers.names(network)[:count]
    for name, index, out in zip(names, layers.feature_indices(network), widths):
        key = f"features.{index}" if style == "features" else name
        state[f"{key}.weight"] = generator.standard_normal((out, channels, 3, 3)).astype("<f4")
        state[f"{key}.bias"] = generator.standard_normal(out).astype("<f4")
        channels = out
    return state


class TorchWriter:
    """Pickles arrays as torch.save does, with stand-ins for the few names of torch that appear."""

    def __init__(self, version=2, dtype="FloatStorage", parameters=False):
        self.version, self.dtype, self.storages = version, dtype, []
        self.parameters = parameters  # as dict(model.named_parameters())
        self.modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
        self.kind = type(dtype, (), {"__module__": "torch"})
        setattr(self.modules["torch"], dtype, self.kind)
        name = "_rebuild_tensor_v2" if version == 2 else "_rebuild_tensor"

        def rebuild(*_):
            raise AssertionError("only its name is used")
        def parameter(*_):
            raise AssertionError("only its name is used")
        for function, called in ((rebuild, name), (parameter, "_rebuild_parameter")):
            function.__module__, function.__qualname__, function.__name__ = "torch._utils", called, called
            setattr(self.modules["torch._utils"], called, function)
        self.rebuild, self.parameter = rebuild, parameter

    def dumps(self, state):
        """The pickle; the storages' bytes are then in .storages."""
        writer = self
        self.storages = []

        class Storage:
            def __init__(self, key, array):
                self.key, self.array = key, array

        class Tensor:
            def __init__(self, array):
                self.array = array

            def __reduce__(self):
                array = self.array
                storage = Storage(str(len(writer.storages)), array)
                writer.storages.append(storage)
                strides = tuple(s // array.itemsize for s in array.strides)
                more = (False, collections.OrderedDict()) if writer.version == 2 else ()
                return writer.rebuild, (storage, 0, array.shape, strides, *more)

        class Parameter:
            def __init__(self, tensor):
                self.tensor = tensor

            def __reduce__(self):
                return writer.parameter, (self.tensor, True, collections.OrderedDict())

        def wrap(value):
            if isinstance(value, numpy.ndarray):
                return Parameter(Tensor(value)) if writer.parameters else Tensor(value)
            return {k: wrap(v) for k, v in value.items()} if isinstance(value, dict) else value

        class Pickler(pickle.Pickler):
            def persistent_id(self, obj):
                if not isinstance(obj, Storage):
                    return None
                pid = ("storage", writer.kind, obj.key, "cpu", obj.array.size)
                return pid if zip_format else pid + (None,)

        zip_format = self.version == 2
        out = io.BytesIO()
        with unittest.mock.patch.dict(sys.modules, self.modules):
            top = dict if self.parameters else collections.OrderedDict
            Pickler(out, 2).dump(top((name, wrap(value)) for name, value in state.items()))
        return out.getvalue()

    def zip(self, path, state):
        data = self.dumps(state)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("sample/data.pkl", data)
            archive.writestr("sample/byteorder", "little")
            for storage in self.storages:
                archive.writestr(f"sample/data/{storage.key}", storage.array.tobytes())
        return path

    def legacy(self, path, state):
        data = self.dumps(state)
        with open(path, "wb") as file:
            for head in (torch_file.LEGACY_MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}):
                pickle.dump(head, file, 2)
            file.write(data)
            pickle.dump([s.key for s in self.storages], file, 2)
            for storage in self.storages:
                file.write(struct.pack("<q", storage.array.size) + storage.array.tobytes())
        return path


def write_safetensors(path, state, dtype="F32", change=None):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in state.items():
        raw = array.tobytes()
        if dtype == "BF16":
            raw = (array.view("<u4") >> 16).astype("<u2").tobytes()
        elif dtype == "F16":
            raw = array.astype("<f2").tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    if change:
        change(header)
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def leftovers(self, *expected):
        self.assertEqual(sorted(p.name for p in self.folder.rglob("*") if p.is_file()), sorted(expected))


def write_tree(path, state, **extra):
    """A Keras 3 .weights.h5 without names; `extra` are further arrays by path, "." as "__"."""
    with h5py.File(path, "w") as file:
        arrays = list(state.values())
        for number, (weight, bias) in enumerate(zip(arrays[::2], arrays[1::2])):
            variables = file.create_group(f"layers/conv2d{f'_{number}' if number else ''}/vars")
            variables["0"], variables["1"] = weight.transpose(2, 3, 1, 0), bias
        for name, array in extra.items():
            file[name.replace("__", "/")] = array
    return path


# ---- protocol buffers, by hand

def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, value):
    """A whole number, or text, bytes or a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


ONNX_TYPES = {"float32": 1, "float16": 10, "float64": 11}


def onnx_tensor(name, array, dtype=None, raw=True, packed_dims=False):
    dims = b"".join(field(1, n) for n in array.shape)
    if packed_dims:
        dims = field(1, b"".join(map(varint, array.shape)))
    values = field(9, array.tobytes()) if raw else field(4, array.tobytes())
    return dims + field(2, dtype or ONNX_TYPES[array.dtype.name]) + field(8, name) + values


def onnx_node(operator, inputs, output, *attributes):
    return (b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)
            + b"".join(field(5, a) for a in attributes))


def onnx_model(state, network="vgg16", prefix="functional_1/", tensor=onnx_tensor, between=None, added=False):
    """A small VGG as tf2onnx writes it; `between` goes after the third convolution, `added`: biases by Add."""
    nodes, tensors, before = [], [], "input"
    arrays = list(state.values())
    names = layers.names(network)[:len(arrays) // 2]
    for number, (name, weight, bias) in enumerate(zip(names, arrays[::2], arrays[1::2])):
        key = f"{prefix}block{name[4]}_conv{name[6]}_1" if prefix else f"n{number}"
        tensors += [tensor(f"{key}/w", weight), tensor(f"{key}/b", bias)]
        if added:
            nodes += [onnx_node("Conv", [before, f"{key}/w"], f"{key}/c"),
                      onnx_node("Add", [f"{key}/c", f"{key}/b"], f"{key}/out")]
        else:
            nodes.append(onnx_node("Conv", [before, f"{key}/w", f"{key}/b"], f"{key}/out",
                                   field(1, "strides") + field(8, 1) + field(8, 1)))
        nodes.append(onnx_node("Relu", [f"{key}/out"], f"{key}/relu"))
        before = f"{key}/relu"
        if between and number == 2:
            nodes.append(between(before))
        if number + 1 < len(names) and names[number + 1][4] != name[4]:
            nodes.append(onnx_node("MaxPool", [before], f"{key}/pool"))
            before = f"{key}/pool"
    graph = b"".join(field(1, n) for n in nodes) + field(2, "graph") + b"".join(field(5, t) for t in tensors)
    return field(1, 7) + field(2, "tf2onnx") + field(7, graph)
