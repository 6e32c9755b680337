"""The program under test: one run of it, with faults or signals, and what it left."""

import hashlib
import json
import os
import pathlib
import re
import shlex
import signal
import struct
import subprocess
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "tests/golden/weights/converted.h5"
LAYERS = ["--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1"]
ERROR = "impasto: error: "
SIGNS = ("crashes", "hangs", "lost", "stray", "repeated", "other")  # of failures: the columns of the table


class Program:
    def __init__(self, path, preload, seconds=60):
        self.path, self.preload, self.seconds = str(path), str(preload), seconds


class Ran:
    """code: as a shell says it, but -N for signal N, and None where it had to be killed."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.lines = err.splitlines()
        self.errors = [line for line in self.lines if line.startswith(ERROR)]

    def told(self):
        return " | ".join(self.lines)[-300:] or "nothing"


def start(program, arguments, folder, rules="", counts=None, user=None, environment=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("IMPASTO_", "LD_PRELOAD"))}
    env.update(environment or {})
    if rules or counts:
        env.update(LD_PRELOAD=program.preload, IMPASTO_FAULTS=rules)
    if counts:
        env["IMPASTO_FAULTS_COUNTS"] = str(counts)
    extra = {"user": user, "group": user, "extra_groups": []} if user else {}
    return subprocess.Popen([program.path, *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **extra)


def finish(program, process):
    try:
        out, err = process.communicate(timeout=program.seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        code = None
    return Ran(code, out.decode(errors="replace"), err.decode(errors="replace"))


def run(program, arguments, folder, **how):
    return finish(program, start(program, arguments, folder, **how))


def run_with_signals(program, arguments, folder, signals):
    """`signals`: (seconds after the start, number)s, in order."""
    process, began = start(program, arguments, folder), time.monotonic()
    for at, number in signals:
        try:
            process.wait(timeout=max(0.0, began + at - time.monotonic()))
            break
        except subprocess.TimeoutExpired:
            process.send_signal(number)
    return finish(program, process)


def command_line(program, arguments, folder, rules=""):
    env = f"LD_PRELOAD={program.preload} IMPASTO_FAULTS={shlex.quote(rules)} " if rules else ""
    return f"cd {folder} && {env}{shlex.join([program.path, *arguments])}"


def counts_of(program, arguments, folder):
    """How often an undisturbed run calls each function."""
    file = pathlib.Path(folder) / "counts"
    ran = run(program, arguments, folder, counts=file)
    data = file.read_bytes()
    file.unlink()
    return ran, {name.rstrip(b"\0").decode(): n for name, n in struct.iter_unpack("24sQ", data) if n}


def png(path, width, height, colour):
    """Writes a small RGB picture; colour(x, y) gives three bytes."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"".join(bytes(colour(x, y)) for x in range(width)) for y in range(height))
    pathlib.Path(path).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
        chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def pictures(folder):
    png(pathlib.Path(folder) / "a.png", 40, 32, lambda x, y: (x * 6 % 256, y * 8 % 256, x * y % 256))
    png(pathlib.Path(folder) / "s.png", 32, 32, lambda x, y: (255 * ((x // 4 + y // 4) % 2), x * 8, y * 7))


def png_is_whole(data):
    at, packed = 8, b""
    while data[:8] == b"\x89PNG\r\n\x1a\n" and at + 12 <= len(data):
        size = struct.unpack(">I", data[at:at + 4])[0]
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + size]
        if data[at + 8 + size:at + 12 + size] != struct.pack(">I", zlib.crc32(kind + body)):
            return False
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
        if kind == b"IEND":
            return at == len(data) and bool(zlib.decompress(packed))
    return False


def header_of(data):
    """Of a checkpoint: its header and where its tensors begin."""
    end = 8 + struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:end]), end


def sealed(data):
    """With the right digest, where there is room for one."""
    at = data.find(b'"sha256":"') + 10
    if at < 10 or len(data) < at + 64:
        return data
    digest = hashlib.sha256(data[:at] + b"0" * 64 + data[at + 64:]).hexdigest()
    return data[:at] + digest.encode() + data[at + 64:]


def checkpoint_is_whole(data):
    return len(data) > 8 and sealed(data) == data


def trace_lines(data):
    """Without the times; a line that is not whole is kept as it is."""
    return [re.sub(r',"seconds":[^,}]*', "", line) for line in data.decode(errors="replace").splitlines(True)]


def files_in(folder):
    return {p.name: p.read_bytes() for p in sorted(pathlib.Path(folder).iterdir()) if p.is_file()}


def ended_badly(ran, codes=(0, 2, 3, 4, 75, 130)):
    """What holds for every run, whatever was done to it: an empty list, or (sign, what)s."""
    if ran.code is None:
        return [("hangs", "did not end")]
    if ran.code < 0:
        return [("crashes", f"ended by {signal.Signals(-ran.code).name}: {ran.told()}")]
    if ran.code not in codes:
        return [("other", f"exit {ran.code}: {ran.told()}")]
    if ran.code and len(ran.errors) != 1:
        return [("other", f"exit {ran.code} with {len(ran.errors)} lines of error: {ran.told()}")]
    return []
