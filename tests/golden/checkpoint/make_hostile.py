#!/usr/bin/env python3
"""Writes checkpoints by hand, one sound and the others each with one thing that a reader must refuse.

    python3 make_hostile.py     (needs h5py; writes beside itself)
"""
import hashlib
import pathlib

import h5py
import numpy as np

FOLDER = pathlib.Path(__file__).parent
X = np.arange(24, dtype="<f4").reshape(2, 4, 3)


def text(group, name, value):
    group.attrs.create(name, np.bytes_(value), dtype=h5py.string_dtype("utf-8", len(value)))


def sound(file):
    file.attrs.create("scale", 1, dtype="<i8")
    file.attrs.create("iteration", 7, dtype="<i8")
    file.attrs.create("seconds", 0.1, dtype="<f8")
    text(file.create_group("options"), "content-weight", "0.05")
    text(file.create_group("inputs"), "style 1", "abc")
    file["host_state"] = np.array([1.5, np.inf])
    tensors = file.create_group("tensors", track_order=True)
    tensors["x"] = X
    tensors["a state"] = np.array([[[1 / 3, 2]]])


def replaced(name, make):
    def spoil(file):
        del file[name]
        make(file)
    return spoil


def contiguous(file, shape):
    """A dataset of a great size that takes no room, because nothing was written to it."""
    file["tensors"].create_dataset("x", shape, "<f4")


def outside(file):
    file["tensors"].create_dataset("x", (2, 4, 3), "<f4", external=[("/etc/passwd", 0, 96)])


def virtual(file):
    layout = h5py.VirtualLayout((2, 4, 3), "<f4")
    layout[:] = h5py.VirtualSource("sound.checkpoint", "tensors/x", (2, 4, 3), "<f4")
    file["tensors"].create_virtual_dataset("x", layout)


def many_names(file):
    for i in range(60):
        file["tensors"][f"x{i}"] = file["big"]


def variable_text(file):
    file["options"].attrs["content-weight"] = "0.05"


def number(name, value, dtype):
    def spoil(file):
        del file.attrs[name]
        file.attrs.create(name, value, dtype=dtype)
    return spoil


def set_item(name, value):
    return replaced(name, lambda file: file.__setitem__(name, value))


SPOILS = {
    "sound": lambda file: None,
    "soft_link": set_item("tensors/x", h5py.SoftLink("/tensors/a state")),
    "external_link": set_item("tensors/x", h5py.ExternalLink("sound.checkpoint", "/tensors/x")),
    "external_data": replaced("tensors/x", outside),
    "virtual_data": replaced("tensors/x", virtual),
    "compressed": replaced("tensors/x", lambda f: f["tensors"].create_dataset("x", data=X, compression=9)),
    "huge": replaced("tensors/x", lambda f: contiguous(f, (1 << 40, 1 << 20, 3))),
    "empty_tensor": set_item("tensors/x", np.zeros((0, 4, 3), "<f4")),
    "two_dimensions": set_item("tensors/x", X[0]),
    "integers": set_item("tensors/x", X.astype("<i4")),
    "big_endian": set_item("tensors/x", X.astype(">f4")),
    "group_for_tensor": replaced("tensors/x", lambda f: f["tensors"].create_group("x")),
    "shared_bytes": lambda f: (f.__setitem__("big", np.zeros((1, 10, 60))), many_names(f)),
    "no_tensors": lambda f: f.__delitem__("tensors"),
    "no_order": replaced("tensors", lambda f: f.create_group("tensors").__setitem__("x", X)),
    "no_iteration": lambda f: f.attrs.__delitem__("iteration"),
    "negative_scale": number("scale", -1, "<i8"),
    "seconds_not_finite": number("seconds", np.nan, "<f8"),
    "scale_in_float": number("scale", 1, "<f8"),
    "variable_text": variable_text,
    "host_state_of_integers": set_item("host_state", np.array([1, 2])),
    "best_losses_of_integers": lambda f: f.__setitem__("best_losses", np.array([2, 1])),
}

for name, spoil in SPOILS.items():
    path = FOLDER / f"{name}.checkpoint"
    with h5py.File(path, "w", userblock_size=512, libver=("earliest", "v110")) as h5:
        sound(h5)
        spoil(h5)
    data = path.read_bytes()[512:]
    block = b"impasto checkpoint 1\nsha256 " + hashlib.sha256(data).hexdigest().encode() + b"\n"
    path.write_bytes(block.ljust(512, b"\0") + data)
