#!/usr/bin/env python3
"""Where programs and libraries look for the libraries that they need: places that are in no need of the current folder.

    scripts/runpaths.py FILE-OR-FOLDER...            print each ELF file that is linked dynamically, and what it says of places
    scripts/runpaths.py --check FILE-OR-FOLDER...    print what depends on the current folder and end with 1, or nothing and 0

An empty element of a RUNPATH is the current folder, whatever lies there. A test runs this over the build, another over an
installation. Reads 64-bit little-endian ELF, as all that is built here is."""

import os
import pathlib
import struct
import sys

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29


def dynamic(path):
    """(libraries that are needed, [RPATH and RUNPATH]), or None: not ELF, or not linked dynamically."""
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
        return None
    start, size, count = struct.unpack_from("<Q", data, 32) + struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<IIQQQQ", data, start + i * size) for i in range(count)]
    entries = [(tag, value) for kind, _, offset, _, _, length in segments if kind == PT_DYNAMIC
               for tag, value in struct.iter_unpack("<QQ", data[offset:offset + length // 16 * 16])]
    strings = next((value for tag, value in entries if tag == DT_STRTAB), None)
    if strings is None:
        return None
    at = next(strings - address + offset for kind, _, offset, address, _, length in segments
              if kind == PT_LOAD and address <= strings < address + length)

    def texts(*tags):
        return [os.fsdecode(data[at + value:data.index(0, at + value)]) for tag, value in entries if tag in tags]
    return texts(DT_NEEDED), texts(DT_RPATH, DT_RUNPATH)


def files(places):
    """The files themselves, and those under the folders, each once; links are not followed."""
    for place in map(pathlib.Path, places):
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (path for path in found if path.is_file() and not path.is_symlink())


def fixed(place):
    """Whether it is the same place from every current folder."""
    return place.startswith(("/", "$ORIGIN", "${ORIGIN}"))


def faults(needed, paths):
    """What depends on the current folder, in words."""
    found = [f"expected absolute places to look for libraries, found '{place}' in '{path}'"
             for path in paths for place in path.split(":") if not fixed(place)]
    return found + [f"expected libraries by name alone, found '{name}'"
                    for name in needed if "/" in name and not fixed(name)]


def main(arguments):
    check = arguments[:1] == ["--check"]
    read, failed = 0, False
    for path in files(arguments[check:]):
        found = dynamic(path)
        if found is None:
            continue
        read += 1
        if not check:
            print(f"{path}: {' '.join(found[1]) or '-'}")
        for fault in faults(*found) if check else ():
            print(f"{path}: {fault}")
            failed = True
    if read == 0:
        print("expected programs and libraries to read, found none", file=sys.stderr)
    return 1 if failed or read == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
