"""Tests of profiling/on_a_gpu and of what it packs: python3 -m unittest tests/python/test_on_a_gpu.py.

The programs in the archive are scripts here, so that a step can fail or hang.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Run(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("bin", "lib", "profiling"):
            (self.folder / name).mkdir()
        shutil.copy(ROOT / "profiling" / "on_a_gpu_run", self.folder / "run")
        for name in ("photo.jpg", "painting.jpg", "lib/libimpasto_cuda.so", "lib/libnowhere.so.1"):
            (self.folder / name).touch()
        (self.folder / "built").write_text("commit abc\n")
        self.program("one_iteration", 'echo "cuda: iteration 4 took 1.25 ms"')
        self.program("impasto", 'echo "$@"')

    def program(self, name, body):
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def run_it(self, *arguments):
        tools = self.folder / "tools"  # no ncu, no nvidia-smi, no PyTorch
        tools.mkdir(exist_ok=True)
        for name in ("bash", "sh", "dirname", "ls", "sed", "tail", "timeout", "cp", "rm", "mkdir", "date", "uname", "cat", "tr",
                     "grep", "ln", "sleep", "env"):
            if not (tools / name).exists():
                (tools / name).symlink_to(shutil.which(name))
        result = subprocess.run([self.folder / "run", *arguments], env={"PATH": str(tools)}, capture_output=True, text=True,
                                check=False)
        return result.returncode, (self.folder / "report.md").read_text(encoding="utf-8"), result.stderr

    def test_all_steps_are_in_the_report_and_what_is_missing_is_said(self):
        code, report, errors = self.run_it("--precisions", "fp32 bf16", "--sizes", "512")
        self.assertEqual((code, errors), (0, ""))
        for line in ("commit abc", "nvidia-smi: not installed", "selftest --device cuda --precision bf16",
                     "selftest --gradient --device cuda --precision fp32 --size 1024",
                     "### compute-sanitizer\n\nLeft out: it is not installed.", "| 512 | bf16 | 1.25 | 1.25 | - |",
                     "batch manifest.jsonl --device cuda --jobs 1:3:1", "### Profiles\n\nLeft out: no python3",
                     "\n0 steps failed, "):
            self.assertIn(line, report)
        self.assertEqual(os.readlink(self.folder / "lib-missing/libnowhere.so.1"), "../lib/libnowhere.so.1")

    def test_a_step_that_fails_is_said_and_the_rest_goes_on(self):
        self.program("impasto", 'case $2 in --gradient) echo off; exit 1;; esac; echo fine')
        code, report, _ = self.run_it("--small")
        self.assertEqual(code, 1)
        self.assertRegex(report, r"### selftest --gradient, 40 px, fp32\n\n\d s. \*\*FAILED: exit status 1\*\*\n\n```\noff")
        self.assertIn("| 64 | fp32 | 1.25 | 1.25 | - |", report)
        self.assertIn("\n1 steps failed, ", report)

    def test_a_step_that_hangs_is_ended_and_nothing_begins_after_the_time_is_over(self):
        self.program("impasto", 'case $2 in --gradient) exec sleep 100;; esac; echo fine')
        script = (self.folder / "run").read_text(encoding="utf-8")
        (self.folder / "run").write_text(script.replace("seconds=600", "seconds=4"), encoding="utf-8")
        code, report, _ = self.run_it("--small")
        self.assertEqual(code, 1)
        self.assertRegex(report, r"\*\*FAILED: not done within [34] s\*\*")
        self.assertIn("minutes are over", report)


class Pack(unittest.TestCase):
    def pack(self, *arguments):
        return subprocess.run([ROOT / "profiling" / "on_a_gpu", *arguments], capture_output=True, text=True, check=False)

    def test_what_is_wrong_is_one_line_that_says_what_to_do(self):
        for arguments, code, message in ((["--what"], 2, "expected --build, --photo"), ([], 2, "expected the archive to write"),
                                         (["a.tar.gz", "--build"], 2, "option --build: expected a value"),
                                         (["a.tar.gz", "--build", "/nowhere"], 1, "build the targets impasto, one_iteration")):
            result = self.pack(*arguments)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertIn(message, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
