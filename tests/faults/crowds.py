"""Twenty renders at once on one output, checkpoint, trace and cache: one has them, and the others say which."""

import collections
import re

import program as p
import scene as s

RENDERS = 20
ARGUMENTS = [*s.BASE, "--iterations", "150", "--save-every", "50", "--checkpoint", "c", "--trace", "t", "--autotune"]
SHOWS = True  # what each was told


def case(scene, folder, number):
    overwrite = ["--overwrite"] * (number % 2)
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}
    started = [p.start(scene.program, [*ARGUMENTS, *overwrite], folder, environment=cache) for _ in range(RENDERS)]
    rans = [p.finish(scene.program, process) for process in started]
    found = [one for ran in rans for one in p.ended_badly(ran, (0, 3))]
    done = sum(ran.code == 0 for ran in rans)
    if done == 0 or (not overwrite and done > 1):
        found.append(("lost", f"{done} of {RENDERS} say that they made the picture"))
    for ran in rans:
        free = overwrite or "expected no file there, or --overwrite" not in ran.err
        if ran.code == 3 and free and not re.search(r"process \d+", ran.err):
            found.append(("other", f"a line that does not say which process has it: {ran.told()}"))
    found += scene.broken(folder)
    files = p.files_in(folder)
    expected = {"a.png", "s.png", "x.png", "c", "t", *(f"x-{n:06}.png" for n in range(50, 301, 50))}
    found += [("stray", f"{name} is left") for name in files.keys() - expected]
    found += [("lost", f"{name} is missing") for name in expected - files.keys()]
    found += [("stray", f"{path.name} is left in the cache") for path in (folder / "cache").rglob("*.tmp")]
    lines = p.trace_lines(files.get("t", b""))
    if len(lines) != 300 or len(set(lines)) != len(lines) or any(not line.endswith("}\n") for line in lines):
        found.append(("repeated", f"trace: {len(lines)} lines, {len(set(lines))} of them different, of 300"))
    told = collections.Counter((ran.code, re.sub(r"\d+", "N", ran.told())) for ran in rans)
    shown = "".join(f"\n    {n} ended with {code}: {text}" for (code, text), n in told.most_common())
    return p.command_line(scene.program, [*ARGUMENTS, *overwrite], folder) + f" # {RENDERS} at once{shown}", found
