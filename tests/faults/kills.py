"""SIGKILL at random times and beside chosen calls; then the render goes on from what is there."""

import signal

import program as p
import scene as s

CALLS = ("rename", "renameat2", "link", "linkat", "unlink", "fsync", "fdatasync", "ftruncate", "write", "pwrite",
         "open", "openat", "close", "flock", "fchmod", "read", "pread")
SECONDS = 0.25  # at most, of a random kill


def kill(scene, folder, arguments, random):
    """What was done, for a person."""
    calls = [name for name in CALLS if scene.counts.get(name)]
    if random.random() < 0.3:
        at = random.uniform(0.0, SECONDS)
        return f"SIGKILL after {at:.3f} s", p.run_with_signals(scene.program, arguments, folder, [(at, signal.SIGKILL)])
    name = random.choice(calls)
    beside = random.choice(["before", "after"] + ["torn"] * (name in ("write", "pwrite")))
    rule = f"{name}@{random.randint(1, scene.counts[name])}={beside}:9"
    return (p.command_line(scene.program, arguments, folder, rule),
            p.run(scene.program, arguments, folder, rules=rule))


def case(scene, folder, number):
    random = scene.random(number)
    old = random.random() < 0.3
    if old:
        scene.put_old(folder)
        (folder / "c").unlink()  # of another render
    arguments = [*s.RENDER, *["--overwrite"] * old]
    done, ran = kill(scene, folder, arguments, random)
    found = [] if ran.code in (0, -9) else p.ended_badly(ran)
    found += scene.broken(folder)
    if random.random() < 0.2 and (folder / "c").exists():  # killed again as it goes on
        again, ran = kill(scene, folder, [*s.RENDER, "--overwrite", "--resume", "c"], random)
        done += f"; then, as it goes on, {again}"
        found += [] if ran.code in (0, -9) else p.ended_badly(ran)
        found += scene.broken(folder)
    return done, found + scene.resume(folder)
