"""Whose scripts the program runs, and which variables it heeds with rights that its user has not."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("IMPASTO_PROGRAM")


def run(*command, **variables):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          env={**os.environ, **variables})


@unittest.skipIf(PROGRAM is None, "IMPASTO_PROGRAM names no program")
class Tools(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.prefix = pathlib.Path(holder.name).resolve()
        self.tools = self.prefix / "share" / "impasto" / "weights_tools"
        (self.prefix / "bin").mkdir()
        self.program = shutil.copy2(PROGRAM, self.prefix / "bin" / "impasto")

    def test_a_program_elsewhere_runs_no_script_of_the_source_tree(self):
        done = run(self.program, "weights", "fetch", "vgg19", "--from", "none", "--to", self.prefix)
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertEqual(done.stderr, f"impasto: error: fetch.py: expected in '{self.tools}', found none; install "
                                      "impasto again\n")

    def test_a_program_elsewhere_runs_the_scripts_beside_it(self):
        self.tools.mkdir(parents=True)
        (self.tools / "fetch.py").write_text("import sys\nprint(*sys.argv[1:])\n")
        done = run(self.program, "weights", "fetch", "vgg19")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "-- vgg19\n", ""))

    def test_the_built_program_runs_the_source_tree_s_even_through_a_link(self):
        link = self.prefix / "bin" / "link"
        link.symlink_to(PROGRAM)
        for program in (PROGRAM, link):
            done = run(program, "weights", "fetch", "vgg19", "--from", "none", "--to", self.prefix)
            self.assertIn("expected a file or address after --from, found 'none'", done.stderr)

    def test_a_program_with_more_rights_than_its_user_heeds_no_variable(self):
        asked = {"IMPASTO_CPU_ISA": "nonsense"}
        self.assertIn("nonsense", run(self.program, "devices", **asked).stdout)
        if os.geteuid() != 0:
            self.skipTest("only root can give a program another group's rights")
        os.chown(self.program, 0, 65534)
        os.chmod(self.program, 0o2755)
        options = os.statvfs(self.program).f_flag
        if options & os.ST_NOSUID or os.getegid() == 65534:
            self.skipTest("no program has other rights here")
        done = run(self.program, "devices", **asked)
        self.assertNotIn("nonsense", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^cpu ")


class Sources(unittest.TestCase):
    def test_one_place_reads_the_environment(self):
        for folder in ("engine", "apps", "kernels", "profiling"):
            for path in sorted((ROOT / folder).rglob("*")):
                if path.suffix in (".h", ".cpp", ".cu", ".cuh") and path.name != "environment.h":
                    self.assertIsNone(re.search(r"getenv\s*\(|\benviron\b", path.read_text()), path)


if __name__ == "__main__":
    unittest.main()
