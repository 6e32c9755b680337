"""Files in the making: written under a name beside the final one, which they take when they are whole.

The name is .FINAL.PROCESS.RANDOM.part. A part is locked while its process lives, so that what a killed one left is told
from what another is writing, and removed by the next that makes the same file. Its work folder has the part's name and
more, and goes before it.
"""
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import stat
import tempfile
import time

from weights_tools.known import Failure, printable

PATIENCE = 10  # seconds for the folder's lock, which is held for moments


def write_all(handle, data, what, size):
    """Through a descriptor. `size`: of the whole file, for the message."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(handle, view):]
    except OSError as error:
        raise _no_room(what, size, error) from error


def sync(handle, what, size):
    """Full disks are told of here at the latest."""
    try:
        os.fsync(handle)
    except OSError as error:
        raise _no_room(what, size, error) from error


def _no_room(what, size, error):
    return Failure(f"{what}: expected room for {size} bytes, found: {error.strerror}; make room and try again")


class Busy(Failure):
    """Another process makes the same file."""


class Part:
    """`handle`: the descriptor to write through."""

    def __init__(self, handle, path):
        self.handle, self.path, self._work = handle, pathlib.Path(path), None

    def work(self):
        """A folder for what is only needed on the way."""
        if self._work is None:
            self._work = pathlib.Path(tempfile.mkdtemp(prefix=self.path.name + ".", dir=self.path.parent))
        return self._work

    def empty(self):
        os.lseek(self.handle, 0, os.SEEK_SET)
        os.ftruncate(self.handle, 0)

    def reader(self):
        """A stream over what was written, from the beginning."""
        os.lseek(self.handle, 0, os.SEEK_SET)
        return os.fdopen(os.dup(self.handle), "rb")

    def install(self, target, replace=True):
        """The file takes its name, readable as others are."""
        self._remove_work()
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(self.handle, 0o666 & ~umask)  # mkstemp's files are private
        if not os.path.samestat(os.fstat(self.handle), os.lstat(self.path)):
            raise Failure(f"'{printable(self.path)}': expected the file that was written, found another; try again")
        if replace:
            os.replace(self.path, target)
            return
        try:
            os.link(self.path, target)
        except FileExistsError:
            raise Failure(f"output '{printable(target)}': expected no file there still, found one that came meanwhile "
                          "(--overwrite)") from None
        except OSError:  # a file system without hard links
            os.replace(self.path, target)
            return
        self.path.unlink()

    def _remove_work(self):
        """Before the part, by which a next one finds it."""
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)

    def remove(self):
        """What is left of it."""
        self._remove_work()
        self.path.unlink(missing_ok=True)
        os.close(self.handle)


@contextlib.contextmanager
def making(target, also=()):
    """A Part for the target, removed whatever happens. Failure where another process makes one for it, or for one of
    the names in `also`, which lie in the same folder."""
    target = pathlib.Path(target)
    with _folder_lock(target.parent):
        for name in dict.fromkeys([target.name, *also]):
            _sweep(target.parent, name)
        handle, path = tempfile.mkstemp(prefix=f".{target.name}.{os.getpid()}.", suffix=".part", dir=target.parent)
        part = Part(handle, path)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield part
    finally:
        part.remove()


@contextlib.contextmanager
def _folder_lock(folder):
    """So that of two that look and then make a part one sees the other's. Goes on without where there is none to have."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, handle)
            end = time.monotonic() + PATIENCE
            while not _lock(handle) and time.monotonic() < end:
                time.sleep(0.01)
        yield


def _lock(handle):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _sweep(folder, name):
    """Removes what killed processes of this user left of a file of this name."""
    shape = re.compile(re.escape(f".{name}.") + r"(?:(\d+)\.)?\w{8}\.part")
    try:
        there = os.listdir(folder)
    except OSError:
        return  # one that may be written to and not listed
    for left in filter(shape.fullmatch, there):
        path = os.path.join(folder, left)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            stack.callback(os.close, handle)
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                continue
            if not _lock(handle):
                process = shape.fullmatch(left)[1]
                raise Busy(f"'{printable(os.path.join(folder, name))}': expected no other at work on it, found process "
                           f"{process or 'unknown'}; wait until it is done")
            for work in there:
                if work.startswith(left + "."):
                    shutil.rmtree(os.path.join(folder, work), ignore_errors=True)
            os.unlink(path)
