#!/usr/bin/env python3
"""The GPUs that a program, library or object file holds code for.

    scripts/gpu_code.py FILE...                      print each file's list: sm_90 is machine code, compute_90 is PTX
    scripts/gpu_code.py --expect 80-real,90 FILE...  end with 1 unless each holds code of these, in CMake's words, and no other

nvcc puts one archive for each source file into the section .nv_fatbin, each with every kernel of the file in each of its forms.
A form that one of them lacks is as good as missing, so the list is of what all have. Reads 64-bit little-endian ELF."""

import struct
import sys

SECTION, ARCHIVE = b".nv_fatbin", 0xBA55ED50
PTX, MACHINE_CODE = 1, 2


def section(data):
    """The bytes of .nv_fatbin; none where there is no such section."""
    if data[:6] != b"\x7fELF\x02\x01":
        return b""
    start, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<3H", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, start + i * size) for i in range(count)]
    for name, _, _, _, offset, length in headers:
        at = headers[names][4] + name
        if data[at:data.index(0, at)] == SECTION:
            return data[offset:offset + length]
    return b""


def archives(data):
    """The forms in each archive, a set of (kind, architecture)."""
    at = 0
    while at + 16 <= len(data):
        magic, _, header, size = struct.unpack_from("<IHHQ", data, at)
        if magic != ARCHIVE:
            at += 8  # between two of them there are zeros
            continue
        at, end, forms = at + header, at + header + size, set()
        while at + 64 <= end:
            kind, _, header, size = struct.unpack_from("<HHIQ", data, at)
            architecture, = struct.unpack_from("<I", data, at + 28)
            forms.add((kind, architecture))
            at += header + size
        yield forms
        at = end


def code_of(path):
    with open(path, "rb") as file:
        found = list(archives(section(file.read())))
    forms = set.intersection(*found) if found else set()
    names = {PTX: "compute_", MACHINE_CODE: "sm_"}
    return [names[kind] + str(number) for kind, number in sorted(forms, key=lambda form: (form[1], -form[0]))
            if kind in names]


def of_cmake(words):
    """80-real is machine code, 80-virtual is PTX, 80 is both."""
    names = set()
    for word in words.replace(";", ",").split(","):
        number, _, kind = word.partition("-")
        names |= {kind_name + number for kind_name, other in (("sm_", "virtual"), ("compute_", "real")) if kind != other}
    return names


def main(arguments):
    expected = of_cmake(arguments[1]) if arguments[:1] == ["--expect"] else None
    failed = False
    for path in arguments[2:] if expected else arguments:
        found = code_of(path)
        print(f"{path}: {' '.join(found) or '-'}")
        if expected is not None and set(found) != expected:
            print(f"{path}: expected {' '.join(sorted(expected))}", file=sys.stderr)
            failed = True
    return 1 if failed or not arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
