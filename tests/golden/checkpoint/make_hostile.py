#!/usr/bin/env python3
"""Writes checkpoints by hand, one sound and the others each with one thing that a reader must refuse.

    python3 make_hostile.py     (writes beside itself)

The digest of every file is right. refusals.json has what each refusal says after the path.
"""
import hashlib
import json
import pathlib
import struct

FOLDER = pathlib.Path(__file__).parent
ZEROS = "0" * 64
TEXTS = {"format": "impasto checkpoint", "version": "2", "scale": "1", "iteration": "7", "seconds": "0.1",
         "option/content-weight": "0.05", "input/style 1": "abc", "sha256": ZEROS}
DATA = struct.pack("<4d24f", 1 / 3, 2, 1.5, float("inf"), *range(24))


def header():
    return {"__metadata__": dict(TEXTS),
            "a state": {"dtype": "F64", "shape": [1, 1, 2], "data_offsets": [0, 16]},
            "host/state": {"dtype": "F64", "shape": [2], "data_offsets": [16, 32]},
            "host/best_losses": {"dtype": "F64", "shape": [0], "data_offsets": [32, 32]},
            "x": {"dtype": "F32", "shape": [2, 4, 3], "data_offsets": [32, 128]}}


def seal(text, data=DATA, length=None):
    """The file of a header that has zeros as its digest."""
    text = text.encode() if isinstance(text, str) else text
    text = text.ljust((len(text) + 7) // 8 * 8)
    whole = struct.pack("<Q", len(text) if length is None else length) + text + data
    return whole.replace(ZEROS.encode(), hashlib.sha256(whole).hexdigest().encode(), 1)


def text(name, value):
    """One text replaced, or left out with None."""
    changed = header()
    changed["__metadata__"][name] = value
    if value is None:
        del changed["__metadata__"][name]
    return seal(json.dumps(changed))


def tensor(name, data=DATA, **parts):
    """Parts of one tensor replaced, or the tensor left out without any."""
    changed = header()
    if parts:
        changed.setdefault(name, {}).update(parts)
    else:
        del changed[name]
    return seal(json.dumps(changed), data)


def raw(old, new, **kwargs):
    """A part of the header's text replaced."""
    dumped = json.dumps(header())
    assert old in dumped
    return seal(dumped.replace(old, new, 1), **kwargs)


def large():
    changed = header()
    changed["__metadata__"]["option/large"] = "1" * 70000
    return seal(json.dumps(changed))


def many_tensors():
    changed = header()
    for i in range(63):
        changed[f"empty {i}"] = {"dtype": "F32", "shape": [0], "data_offsets": [128, 128]}
    return seal(json.dumps(changed))


def earlier():
    data = b"\x89HDF\r\n\x1a\n"
    block = b"impasto checkpoint 1\nsha256 " + hashlib.sha256(data).hexdigest().encode() + b"\n"
    return block.ljust(512, b"\0") + data


WHOLE = "expected a whole file, found one that is damaged or cut short"
FILES = {
    "sound": (seal(json.dumps(header())), ""),
    # the file around the header
    "earlier_version": (earlier(), "expected a checkpoint of version 2, found a checkpoint of an earlier version (HDF5); "
                                   "start again without --resume"),
    "long_header": (seal(json.dumps(header()), length=1 << 62), "expected a header of 2 to 1048576 bytes, found one of "
                                                                "4611686018427387904"),
    "header_past_the_end": (seal(json.dumps(header()), length=5000), WHOLE),
    "no_json": (raw('"x": {', '"x": }'), "expected a header in JSON, found one that is damaged"),
    "no_utf8": (seal(json.dumps(header()).encode().replace(b"abc", b"a\xffc")), "expected a header in JSON, found one that is damaged"),
    "text_after_json": (seal(json.dumps(header()) + "x"), "expected a header in JSON, found one that is damaged"),
    "large_number": (raw("[0, 16]", "[0, 1e999]"), "expected a header in JSON, found one that is damaged"),
    "deep": (raw("[2, 4, 3]", "[" * 999 + "]" * 999), "expected a header of tensors, found JSON of another form"),
    "text_twice": (raw('"scale": "1"', '"scale": "1", "scale": "0"'), 'expected each name once, found "scale" twice'),
    "tensor_twice": (raw('"x": {', '"a state": {'), 'expected each name once, found "a state" twice'),
    "metadata_twice": (raw('"x": {', '"__metadata__": {}, "x": {'), 'expected each name once, found "__metadata__" twice'),
    "no_metadata": (raw("__metadata__", "__meta__"), "expected a checkpoint, found a safetensors file of another program"),
    "metadata_is_a_list": (seal('{"__metadata__": ["' + ZEROS + '"]}'),
                           "expected a checkpoint, found a safetensors file of another program"),
    "no_digest": (raw("sha256", "sha512"), "expected a checkpoint, found a safetensors file of another program"),
    "short_digest": (raw(ZEROS, "0" * 63), f'expected 64 digits as "sha256", found "{"0" * 59}..."'),
    "wrong_digest": (seal(json.dumps(header())).replace(struct.pack("<f", 5), struct.pack("<f", 6)), WHOLE),
    "digest_is_a_number": (raw(f'"{ZEROS}"', "64"), 'expected a text as "sha256", found 64'),
    "text_is_a_number": (raw('"scale": "1"', '"scale": 1'), 'expected a text as "scale", found 1'),
    # tensors
    "data_missing": (seal(json.dumps(header()), DATA[:-4]), WHOLE),
    "data_left": (seal(json.dumps(header()), DATA + b"\0" * 8), WHOLE),
    "hole": (tensor("x", DATA + b"\0" * 8, data_offsets=[40, 136]), 'expected the tensor "x" at 32, found 40'),
    "overlap": (tensor("x", data_offsets=[24, 120]), 'expected the tensor "x" at 32, found 24'),
    "shared_bytes": (tensor("y", **header()["x"]), 'expected the tensor "y" at 128, found 32'),
    "outside": (tensor("x", data_offsets=[1 << 62, (1 << 62) + 96]), f'expected the tensor "x" at 32, found {1 << 62}'),
    "backwards": (tensor("x", data_offsets=[128, 32]),
                  'expected data_offsets with 96 bytes between them of the tensor "x", found [128,32]'),
    "overflow": (tensor("x", shape=[1 << 32, 1 << 32, 1]),
                 'expected a shape that the file has room for of the tensor "x", found [4294967296,4294967296,1]'),
    "overflow_to_the_size": (tensor("x", shape=[(1 << 62) + 6, 4, 1]),
                             'expected a shape that the file has room for of the tensor "x", found [4611686018427387910,4,1]'),
    "overflow_of_nothing": (tensor("x", shape=[0, (1 << 64) - 1, 1]),
                            'expected a shape that the file has room for of the tensor "x", found [0,18446744073709551615,1]'),
    "negative_size": (tensor("x", shape=[-2, -4, 3]),
                      'expected a shape of at most 8 whole numbers of the tensor "x", found [-2,-4,3]'),
    "size_in_float": (tensor("x", shape=[2, 4, 3.0]),
                      'expected a shape of at most 8 whole numbers of the tensor "x", found [2,4,3.0]'),
    "too_long": (tensor("x", shape=[2, 4, 2]),
                 'expected data_offsets with 64 bytes between them of the tensor "x", found [32,128]'),
    "too_short": (tensor("x", DATA[:-8], data_offsets=[32, 120]),
                  'expected data_offsets with 96 bytes between them of the tensor "x", found [32,120]'),
    "nine_dimensions": (tensor("x", shape=[2, 4, 3, 1, 1, 1, 1, 1, 1]),
                        'expected a shape of at most 8 whole numbers of the tensor "x", found [2,4,3,1,1,1,1,1,1]'),
    "integers": (tensor("x", dtype="I32"), 'expected a dtype F32 or F64 of the tensor "x", found "I32"'),
    "dtype_is_a_list": (tensor("x", dtype=["F32"]), 'expected a dtype F32 or F64 of the tensor "x", found ["F32"]'),
    "three_offsets": (tensor("x", data_offsets=[32, 64, 128]),
                      'expected two data_offsets of the tensor "x", found [32,64,128]'),
    "unknown_part": (tensor("x", strides=[1, 2, 3]),
                     'expected dtype, shape and data_offsets of the tensor "x", found '
                     '{"data_offsets":[32,128],"dtype":"F32","shape":[2,4,3],"stri...'),
    "tensor_is_a_text": (raw('"host/best_losses": {"dtype": "F64", "shape": [0], "data_offsets": [32, 32]}',
                             '"host/best_losses": "none"'),
                         'expected dtype, shape and data_offsets of the tensor "host/best_losses", found "none"'),
    # what makes it a checkpoint
    "other_format": (text("format", "pt"), 'expected a checkpoint, found a file of the format "pt"'),
    "no_format": (text("format", None), 'expected a text "format", found none'),
    "later_version": (text("version", "3"), 'expected a checkpoint of version 2, found one of "3"'),
    "no_iteration": (text("iteration", None), 'expected a text "iteration", found none'),
    "negative_scale": (text("scale", "-1"), 'expected scale from 0 to 63, found "-1"'),
    "scale_in_float": (text("scale", "1.0"), 'expected scale from 0 to 63, found "1.0"'),
    "absurd_iteration": (text("iteration", "2147483648"), 'expected iteration from 0 to 1000000000, found "2147483648"'),
    "number_too_long": (text("iteration", "9" * 30), f'expected iteration from 0 to 1000000000, found "{"9" * 30}"'),
    "empty_number": (text("iteration", ""), 'expected iteration from 0 to 1000000000, found ""'),
    "seconds_not_finite": (text("seconds", "inf"), 'expected seconds from 0 to 1000000000000, found "inf"'),
    "seconds_not_a_number": (text("seconds", "nan"), 'expected seconds from 0 to 1000000000000, found "nan"'),
    "unknown_text": (text("colour", "red"), 'expected no text of another name, found "colour"'),
    "two_lines": (text("option/size", "1\n\x1b[2J"),
                  r'expected a short text as "option/size", found "1\n\u001b[2J"'),
    "large_text": (large(), f'expected a short text as "option/large", found "{"1" * 59}..."'),
    "no_host_state": (raw('"host/state"', '"state"'), "expected a tensor host/state, found none"),
    "host_state_in_float32": (tensor("host/state", dtype="F32", shape=[4]),
                              "expected host/state as at most 100000 numbers in float64, found float32(4)"),
    "host_state_of_two_dimensions": (tensor("host/state", shape=[1, 2]),
                                     "expected host/state as at most 100000 numbers in float64, found float64(1,2)"),
    "two_dimensions": (tensor("x", shape=[8, 3]),
                       'expected a tensor with height, width and channels, found "x" float32(8,3)'),
    "empty_tensor": (tensor("y", dtype="F32", shape=[0, 4, 3], data_offsets=[128, 128]),
                     'expected a tensor with height, width and channels, found "y" float32(0,4,3)'),
    "tensor_of_the_host": (raw('"x": {', '"host/x": {'),
                           'expected a tensor with height, width and channels, found "host/x" float32(2,4,3)'),
    "many_tensors": (many_tensors(), "expected at most 64 tensors, found 67"),
}

for name, (data, _) in FILES.items():
    (FOLDER / f"{name}.checkpoint").write_bytes(data)
refusals = {name: expected for name, (_, expected) in FILES.items() if expected}
(FOLDER / "refusals.json").write_text(json.dumps(refusals, indent=1) + "\n")
