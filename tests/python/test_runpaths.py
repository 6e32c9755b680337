"""Where the built programs and libraries look for what they need, and that nothing in the current folder is among it."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import runpaths  # noqa: E402

PROGRAM = os.environ.get("IMPASTO_PROGRAM")


@unittest.skipIf(PROGRAM is None, "IMPASTO_PROGRAM names no program")
class Built(unittest.TestCase):
    def test_no_built_file_looks_in_the_current_folder(self):
        build = pathlib.Path(PROGRAM).parent.parent
        found = subprocess.run([sys.executable, ROOT / "scripts/runpaths.py", "--check", build / "bin", build / "lib"],
                               capture_output=True, text=True, check=False)
        self.assertEqual((found.returncode, found.stdout, found.stderr), (0, "", ""))

    def test_libraries_that_lie_in_the_current_folder_are_not_loaded(self):
        needed, _ = runpaths.dynamic(PROGRAM)
        self.assertIn("liblcms2.so.2", needed)
        with tempfile.TemporaryDirectory() as folder:
            for name in needed:
                (pathlib.Path(folder) / name).write_text("no library")
            done = subprocess.run([PROGRAM, "--version"], cwd=folder, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Faults(unittest.TestCase):
    def test_a_place_that_depends_on_the_current_folder_is_a_fault(self):
        for path in ("", "/usr/lib:", ":/usr/lib", "/usr/lib::/lib", "lib", "/usr/lib:../lib", "."):
            self.assertEqual(len(runpaths.faults([], [path])), 1, path)
        self.assertEqual(runpaths.faults(["lib/libx.so"], []), ["expected libraries by name alone, found 'lib/libx.so'"])

    def test_absolute_places_and_the_file_s_own_are_none(self):
        self.assertEqual(runpaths.faults(["libx.so.1", "/lib64/ld.so"], ["/usr/lib:/opt/lib", "$ORIGIN/../lib"]), [])

    def test_nothing_to_read_is_a_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(runpaths.main(["--check", folder]), 1)


if __name__ == "__main__":
    unittest.main()
