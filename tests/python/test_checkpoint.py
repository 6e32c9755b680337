"""A checkpoint of the program is a safetensors file to others: python3 -m unittest tests/python/test_checkpoint.py, in the
repository's root, with the built program's path as $IMPASTO_PROGRAM.

Read by the package safetensors where it is installed, and by the few lines that the format takes everywhere.
"""
import hashlib
import json
import math
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest
import zlib

try:
    import safetensors.numpy
except ImportError:
    safetensors = None

PROGRAM = os.environ.get("IMPASTO_PROGRAM")


def write_png(path, width, height, period):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((x * (c + 1) + y * period) % 17 * 15 for x in range(width) for c in range(3))
                    for y in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def load(data):
    """Texts, and (dtype, shape, bytes) of each tensor."""
    length, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    texts = header.pop("__metadata__")
    return texts, {name: (t["dtype"], t["shape"], data[8 + length:][slice(*t["data_offsets"])])
                   for name, t in header.items()}


@unittest.skipUnless(PROGRAM, "needs $IMPASTO_PROGRAM")
class Checkpoint(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name)
        write_png(folder / "content.png", 48, 36, 3)
        write_png(folder / "style.png", 40, 44, 7)
        subprocess.run([PROGRAM, "render", "content.png", "style.png", "-o", "x.png", "--device", "cpu", "--weights", "random:1",
                        "--size", "32", "--scales", "1", "--iterations", "7", "--tolerance", "0.001", "--optimizer", "lbfgs",
                        "--history", "4", "--preconditioner", "none", "--checkpoint", "c", "--save-every", "4", "-q"],
                       cwd=folder, check=True)
        cls.path = folder / "c"
        cls.data = cls.path.read_bytes()
        cls.texts, cls.tensors = load(cls.data)

    def test_texts(self):
        for name, text in {"format": "impasto checkpoint", "version": "2", "scale": "0", "iteration": "4", "option/size": "32",
                           "option/history": "4", "option/optimizer": "lbfgs"}.items():
            self.assertEqual(self.texts[name], text, name)
        self.assertTrue(0 < float(self.texts["seconds"]) < 600)
        self.assertEqual({name for name in self.texts if name.startswith("input/")},
                         {"input/content", "input/style 1", "input/weights"})

    def test_tensors(self):
        picture = [24, 32, 3]
        elements = math.prod(picture)
        self.assertEqual({name: (dtype, shape) for name, (dtype, shape, _) in self.tensors.items() if name != "host/state"},
                         {**{name: ("F32", picture) for name in ("x", "base", "direction", "previous_gradient")},
                          "history": ("F32", [10, 1, elements]), "state": ("F64", [1, 1, 58]), "host/best_losses": ("F64", [4])})
        dtype, shape, data = self.tensors["host/state"]
        self.assertEqual((dtype, len(shape), len(data)), ("F64", 1, 8 * shape[0]))
        x = struct.unpack(f"<{elements}f", self.tensors["x"][2])
        self.assertTrue(all(-200 < value < 400 for value in x))  # grey levels less the mean
        self.assertGreater(max(x) - min(x), 50)
        losses = struct.unpack("<4d", self.tensors["host/best_losses"][2])
        self.assertEqual(list(losses), sorted(losses, reverse=True))

    def test_layout(self):
        length, = struct.unpack_from("<Q", self.data)
        self.assertEqual(length % 8, 0)
        self.assertEqual(self.data[8:9], b"{")
        self.assertEqual(sum(len(data) for _, _, data in self.tensors.values()), len(self.data) - 8 - length)
        digest = self.texts["sha256"].encode()
        self.assertEqual(self.data.count(digest), 1)
        self.assertEqual(hashlib.sha256(self.data.replace(digest, b"0" * 64)).hexdigest().encode(), digest)

    @unittest.skipIf(safetensors is None, "needs safetensors")
    def test_package(self):
        with safetensors.safe_open(self.path, framework="numpy") as file:
            self.assertEqual(file.metadata(), self.texts)
            self.assertEqual(set(file.keys()), set(self.tensors))
            for name, (dtype, shape, data) in self.tensors.items():
                array = file.get_tensor(name)
                self.assertEqual((array.dtype.str, list(array.shape)), ({"F32": "<f4", "F64": "<f8"}[dtype], shape))
                self.assertEqual(array.tobytes(), data)


if __name__ == "__main__":
    unittest.main()
