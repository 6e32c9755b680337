"""A small render in a folder of its own, what it leaves undisturbed, and what a disturbed one may leave."""

import contextlib
import pathlib
import random
import shutil
import tempfile

import program as p

PICTURES = ("a.png", "s.png")
BASE = ["render", "a.png", "s.png", "-o", "x.png", "--weights", str(p.WEIGHTS), *p.LAYERS, "--size", "32",
        "--scales", "2", "--tolerance", "0", "-q"]
KEEPS = ["--iterations", "12", "--save-every", "3", "--checkpoint", "c", "--trace", "t"]
RENDER = [*BASE, *KEEPS]


class Scene:
    """The undisturbed run, made once."""

    def __init__(self, program, seed):
        self.program, self.seed = program, seed
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="impasto-faults-"))
        with self.folder("undisturbed") as folder:
            ran, self.counts = p.counts_of(program, RENDER, folder)
            if ran.code != 0:
                raise SystemExit(f"faults: expected the undisturbed render to finish, found {ran.told()}")
            self.left = p.files_in(folder)
        with self.folder("old") as folder:  # what stands there before, where something does
            old = p.run(program, [*RENDER, "--seed", "7", "--init", "noise"], folder)
            if old.code != 0:
                raise SystemExit(f"faults: expected the older render to finish, found {old.told()}")
            self.old = p.files_in(folder)
        self.trace = p.trace_lines(self.left["t"])

    def random(self, case):
        return random.Random(f"{self.seed} {case}")

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)

    @contextlib.contextmanager
    def folder(self, name):
        path = self.root / name
        path.mkdir()
        p.pictures(path)
        try:
            yield path
        finally:
            for left in (path, self.root / f"{name}-home"):
                shutil.rmtree(left, ignore_errors=True)

    def put_old(self, folder):
        for name, data in self.old.items():
            (folder / name).write_bytes(data)

    def interrupt(self, folder, arguments, line):
        """A render interrupted after this line of its trace `t`, with a checkpoint; the trace is written line by line."""
        with self.folder(f"{folder.name}-counts") as other:
            whole, counts = p.counts_of(self.program, arguments, other)
            before = counts.get("write", 0) - len(p.files_in(other).get("t", b"").splitlines())
        ran = p.run(self.program, arguments, folder, rules=f"write@{before + line}=after:2")
        if whole.code != 0 or ran.code != 75:
            raise SystemExit(f"faults: expected a render to be interrupted, found {whole.told()} and {ran.told()}")

    def broken(self, folder):
        """Files under the names of results that are neither old nor whole."""
        found = []
        for name, data in p.files_in(folder).items():
            whole = {"c": p.checkpoint_is_whole, "t": lambda _: True}.get(name)
            if whole is None:
                whole = p.png_is_whole if name.endswith(".png") and not name.startswith(".") else None
            if whole and not whole(data):
                found.append(("lost", f"{name} is broken, of {len(data)} bytes"))
        return found

    def differs(self, folder, but=()):
        """Where a folder is not as the undisturbed run leaves it; `but`: names that may be there, or missing."""
        found, files = [], p.files_in(folder)
        for name in sorted(self.left.keys() - files.keys() - set(but)):
            found.append(("lost", f"{name} is missing"))
        for name in sorted(files.keys() - self.left.keys() - set(but)):
            found.append(("stray", f"{name} is left"))
        for name, data in files.items():
            if name.endswith(".png") and name in self.left and data != self.left[name]:
                found.append(("lost", f"{name} is another picture"))
        found += self.broken(folder)
        if "t" in files and "t" not in but:
            found += self.trace_differs(p.trace_lines(files["t"]))
        return found

    def trace_differs(self, lines):
        if lines == self.trace:
            return []
        repeated = len(lines) - len(set(lines))
        if repeated:
            return [("repeated", f"trace: {repeated} lines are there twice")]
        if lines and not lines[-1].endswith("\n") or any(not line.endswith("}\n") for line in lines):
            return [("lost", "trace: half a line")]
        return [("lost", f"trace: {len(lines)} lines, {len(set(self.trace) - set(lines))} of the undisturbed missing")]

    def resume(self, folder, but=()):
        """Goes on, or begins again where there is no checkpoint, to what the undisturbed run leaves."""
        goes_on = ["--resume", "c"] if (folder / "c").exists() else []
        ran = p.run(self.program, [*RENDER, "--overwrite", *goes_on], folder)
        how = "resumed" if goes_on else "begun again"
        bad = p.ended_badly(ran, (0,))
        if bad:
            return [(sign, f"{how}: {what}") for sign, what in bad]
        return [(sign, f"{how}: {what}") for sign, what in self.differs(folder, but)]
