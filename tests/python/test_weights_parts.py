"""What the tools leave behind: nothing when they are interrupted, and what a killed one left the next removes."""
import contextlib
import fcntl
import hashlib
import http.server
import io
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading
import time
import unittest
import unittest.mock
import zipfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
from weights_samples import ROOT, Folder, TorchWriter, needs_h5py, state_dict, tool  # noqa: E402
sys.path.append(str(ROOT / "scripts"))
import fetch_photo  # noqa: E402
from weights_tools import part  # noqa: E402
from weights_tools.known import Failure  # noqa: E402

NAME = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


class Slow(http.server.BaseHTTPRequestHandler):
    """Begins to answer, and goes on once it may."""
    go_on = threading.Event()

    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(bytes(300000))
            self.wfile.flush()
            self.go_on.wait(60)

    def log_message(self, *_):
        pass


def wait_for(what):
    end = time.monotonic() + 20
    while not what():
        if time.monotonic() > end:
            raise AssertionError("expected within 20 s, found nothing")
        time.sleep(0.02)


class Interrupted(Folder):
    def setUp(self):
        super().setUp()
        self.target = self.folder / "to"
        self.target.mkdir()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(Slow.go_on.set)
        Slow.go_on.clear()
        self.address = f"http://127.0.0.1:{server.server_port}/x.h5"

    def begun(self, **options):
        """A fetch that waits in the middle of its file."""
        running = subprocess.Popen([sys.executable, ROOT / "weights_tools" / "fetch.py", "vgg19", "--to", self.target, "--from",
                                    self.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(running.communicate)
        self.addCleanup(running.kill)
        wait_for(lambda: any(path.name == "given" and path.stat().st_size for path in self.target.rglob("*")))
        return running

    def left(self):
        return sorted(os.listdir(self.target))

    def test_each_signal_to_end_cleans_up(self):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                running = self.begun()
                running.send_signal(number)
                out, err = running.communicate(timeout=30)
                self.assertEqual((running.returncode, out, err), (130, "", "impasto: interrupted\n"))
                self.assertEqual(self.left(), [])

    def test_signals_that_are_ignored_stay_so(self):
        running = self.begun(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        running.send_signal(signal.SIGHUP)
        Slow.go_on.set()
        _, err = running.communicate(timeout=30)
        self.assertEqual(running.returncode, 3)
        self.assertIn("expected 80134624 bytes, found 300000", err)

    def test_what_a_killed_one_left_the_next_of_its_name_removes(self):
        running = self.begun()
        running.kill()
        running.wait()
        left = self.left()
        self.assertEqual(len(left), 2)
        self.assertTrue(all(name.startswith(f".{NAME}.{running.pid}.") for name in left), left)
        (self.target / ".other.h5.1.abcdefgh.part").touch()  # another file's
        (self.target / f".{NAME}.backup.part").touch()  # no tool's
        done = tool("fetch.py", "vgg19", "--to", self.target, "--from", self.target / "none")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(self.left(), [".other.h5.1.abcdefgh.part", f".{NAME}.backup.part"])

    def test_a_second_fetch_is_told_of_the_first_and_leaves_it_alone(self):
        running = self.begun()
        left = self.left()
        done = tool("fetch.py", "vgg19", "--to", self.target, "--from", self.address, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertEqual(done.stderr, f"impasto: error: '{self.target / NAME}': expected no other at work on it, found process "
                                      f"{running.pid}; wait until it is done\n")
        self.assertEqual(self.left(), left)
        self.assertIsNone(running.poll())
        again = tool("fetch.py", "vgg16", "--to", self.target, "--from", self.target / "none")  # another name
        self.assertIn("expected a file or address", again.stderr)

    def test_a_disk_that_fills_is_one_line(self):
        source = self.folder / "given.h5"
        source.write_bytes(bytes(100000))
        done = tool("fetch.py", "vgg19", "--to", self.target, "--from", source,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)))
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertEqual(done.stderr, "impasto: error: weights 'vgg19': expected room for 80134624 bytes, found: File too large; "
                                      "make room and try again\n")
        self.assertEqual(self.left(), [])

    @needs_h5py
    def test_a_disk_that_fills_while_converting_is_one_line(self):
        source = TorchWriter().zip(self.folder / "a.pth", state_dict())
        done = tool("convert.py", source, self.target / "out.h5", "--source", "caffe",
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)))
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"\Aimpasto: error: output '[^\n]*out.h5': expected room for \d+ bytes, found: File too "
                                      r"large; make room and try again\n\Z")
        self.assertEqual(self.left(), [])

    def in_child(self, work, *before):
        """A tool whose work is in a child process, as convert.py's is."""
        script = "\n".join(["import signal, sys, time", "from weights_tools import known, part", *before,
                            "def work():", f"    with part.making({str(self.target / 'out.h5')!r}) as making:",
                            f"        {work}", "        print('begun', flush=True)", "        time.sleep(60)",
                            "raise SystemExit(known.program(lambda: known.in_child('in', work)))"])
        running = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(running.communicate)
        self.addCleanup(running.kill)
        self.assertEqual(running.stdout.readline(), "begun\n")
        return running

    def test_work_in_a_child_process_ends_with_the_tool(self):
        running = self.in_child("pass")
        self.assertEqual(len(self.left()), 1)
        running.terminate()
        _, err = running.communicate(timeout=30)
        self.assertEqual((running.returncode, err), (130, "impasto: interrupted\n"))
        self.assertEqual(self.left(), [])

    def test_a_child_that_hears_no_signal_is_killed(self):
        running = self.in_child("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "known.CHILD_PATIENCE = 0.1")
        running.terminate()
        _, err = running.communicate(timeout=30)
        self.assertEqual((running.returncode, err), (130, "impasto: interrupted\n"))
        with part.making(self.target / "out.h5"):
            self.assertEqual(len(self.left()), 1)  # its own


class Photo(Folder):
    def test_a_photograph_is_written_through_no_link(self):
        out, other = self.folder / "photo.png", self.folder / "other"
        other.write_text("another's")
        (self.folder / "photo.png.part").symlink_to(other)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("skimage/data/coffee.png", b"a picture")

        def download(command, **_):
            (pathlib.Path(command[command.index("--dest") + 1]) / "x.whl").write_bytes(made.getvalue())
            return subprocess.CompletedProcess(command, 0)
        with unittest.mock.patch.object(fetch_photo.subprocess, "run", download), \
                unittest.mock.patch.object(fetch_photo, "SHA256", hashlib.sha256(made.getvalue()).hexdigest()), \
                contextlib.redirect_stdout(io.StringIO()):
            fetch_photo.main(["coffee", str(out)])
        self.assertEqual((out.read_bytes(), other.read_text()), (b"a picture", "another's"))


class Parts(Folder):
    def test_nothing_is_written_or_taken_by_name(self):
        target, other = self.folder / "out.h5", self.folder / "other"
        other.write_text("another's")
        with self.assertRaisesRegex(Failure, "expected the file that was written, found another"):
            with part.making(target) as making:
                making.path.unlink()
                making.path.symlink_to(other)
                part.write_all(making.handle, b"own", "output", 3)
                making.install(target)
        self.assertEqual(other.read_text(), "another's")
        self.leftovers("other")

    def test_links_and_locked_files_of_the_name_s_shape_stay(self):
        target, other = self.folder / "out.h5", self.folder / "other"
        other.touch()
        link = self.folder / ".out.h5.12.abcdefgh.part"
        link.symlink_to(other)
        with part.making(target):
            self.assertTrue(link.is_symlink())
        with open(self.folder / ".out.h5.13.abcdefgh.part", "wb") as locked:
            fcntl.flock(locked, fcntl.LOCK_EX)
            with self.assertRaisesRegex(part.Busy, "found process 13; wait"):
                with part.making(target):
                    pass
            self.assertTrue(os.path.exists(locked.name))

    def test_a_part_and_its_work_folder_go_whatever_happens(self):
        with self.assertRaises(ZeroDivisionError):
            with part.making(self.folder / "out.h5") as making:
                (making.work() / "x").touch()
                raise ZeroDivisionError
        self.leftovers()
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
