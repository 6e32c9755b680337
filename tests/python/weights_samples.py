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

    def __init__(self, version=2, dtype="FloatStorage"):
        self.version, self.dtype, self.storages = version, dtype, []
        self.modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
        self.kind = type(dtype, (), {"__module__": "torch"})
        setattr(self.modules["torch"], dtype, self.kind)
        name = "_rebuild_tensor_v2" if version == 2 else "_rebuild_tensor"

        def rebuild(*_):
            raise AssertionError("only its name is used")
        rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", name, name
        setattr(self.modules["torch._utils"], name, rebuild)
        self.rebuild = rebuild

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

        class Pickler(pickle.Pickler):
            def persistent_id(self, obj):
                if not isinstance(obj, Storage):
                    return None
                pid = ("storage", writer.kind, obj.key, "cpu", obj.array.size)
                return pid if zip_format else pid + (None,)

        zip_format = self.version == 2
        out = io.BytesIO()
        with unittest.mock.patch.dict(sys.modules, self.modules):
            Pickler(out, 2).dump(collections.OrderedDict(
                (name, Tensor(value) if isinstance(value, numpy.ndarray) else value) for name, value in state.items()))
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
