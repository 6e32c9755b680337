"""A batch killed at random times and beside chosen calls, and started again each time: all there, once."""

import collections
import json
import signal
import time

import program as p
import scene as s

ENTRIES = 6
OUTPUTS = {f"{n}.png" for n in range(ENTRIES)}
ARGUMENTS = ["batch", "m.jsonl", "--weights", str(p.WEIGHTS), *p.LAYERS, "--size", "32", "--scales", "2", "--tolerance", "0",
             "--iterations", "12", "--jobs", "1:2:1", "--report", "r.jsonl", "--device", "cpu", "-q"]
HIDES = ("--no-metadata",)
CALLS = ("rename", "renameat2", "link", "linkat", "unlink", "unlinkat", "fsync", "write", "pwrite", "openat", "close", "flock")
KILLS = 6  # at most, before it may end


def put_manifest(folder):
    with open(folder / "m.jsonl", "w", encoding="ascii") as file:
        for n, name in enumerate(sorted(OUTPUTS)):
            json.dump({"content": "a.png", "style": "s.png", "output": name, "init": "noise", "seed": n}, file)
            file.write("\n")


def prepare(scene):
    """What a batch leaves undisturbed, with metadata and without."""
    scene.batch = {}
    for hides in (False, True):
        with scene.folder(f"batch-{hides}") as folder:
            put_manifest(folder)
            began = time.monotonic()
            ran, scene.batch_counts = p.counts_of(scene.program, [*ARGUMENTS, *HIDES[:hides]], folder)
            scene.batch_seconds = time.monotonic() - began
            if ran.code != 0:
                raise SystemExit(f"faults: expected the undisturbed batch to finish, found {ran.told()}")
            scene.batch[hides] = {name: data for name, data in p.files_in(folder).items() if name in OUTPUTS}


def kill(scene, folder, arguments, random):
    """One start of it that may be killed: what was done, for a person, and how it ended."""
    calls = [name for name in CALLS if scene.batch_counts.get(name)]
    if random.random() < 0.5:
        at = random.uniform(0.0, scene.batch_seconds)
        return f"SIGKILL after {at:.3f} s", p.run_with_signals(scene.program, arguments, folder, [(at, signal.SIGKILL)])
    name = random.choice(calls)
    rule = f"{name}@{random.randint(1, scene.batch_counts[name])}={random.choice(['before', 'after'])}:9"
    return rule, p.run(scene.program, arguments, folder, rules=rule)


def wrong(scene, folder, hides):
    """Pictures that are not those of the undisturbed run."""
    files = p.files_in(folder)
    return [("lost", f"{name} is another picture") for name, data in scene.batch[hides].items()
            if name in files and files[name] != data]


def case(scene, folder, number):
    random = scene.random(number)
    hides = random.random() < 0.25
    arguments = [*ARGUMENTS, "--checkpoint-every", random.choice(["0", "60"]), *HIDES[:hides]]
    put_manifest(folder)
    done, found = [p.command_line(scene.program, arguments, folder)], []
    for _ in range(random.randint(1, KILLS)):
        what, ran = kill(scene, folder, arguments, random)
        done.append(what)
        found += [] if ran.code in (0, -9) else p.ended_badly(ran)
        found += wrong(scene, folder, hides)
    ran = p.run(scene.program, arguments, folder)
    found += p.ended_badly(ran, (0,)) + wrong(scene, folder, hides)
    files = p.files_in(folder)
    hidden = {f".{name}.recipe" for name in OUTPUTS} if hides else set()
    found += [("lost", f"{name} is missing") for name in (OUTPUTS | hidden) - files.keys()]
    expected = OUTPUTS | hidden | {"m.jsonl", "r.jsonl", *s.PICTURES}
    found += [("stray", f"{name} is left") for name in files.keys() - expected]
    lines = [json.loads(line) for line in files.get("r.jsonl", b"").decode().splitlines()]
    ends = collections.Counter(line["output"] for line in lines if line["status"] == "done")
    found += [("repeated", f"{name} was made {n} times") for name, n in ends.items() if n > 1]
    found += [("other", f"{line['output']}: {line['error']}") for line in lines if line["status"] == "failed"]
    return "; ".join(done), found
