"""The sources in C++ and CUDA that git knows, for the scripts beside this one that check them."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def tracked():
    """{path from the repository's root: text}"""
    listed = subprocess.run(["git", "ls-files", "*.h", "*.cuh", "*.cpp", "*.cu"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split()
    return {f: (ROOT / f).read_text(encoding="utf-8", errors="replace") for f in listed if (ROOT / f).exists()}
