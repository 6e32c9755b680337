"""Allocations that fail: the n-th, all from the n-th on, or all that are larger than some number of bytes."""

import shutil

import program as p
import scene as s

COMMANDS = {
    "version": ["--version"],
    "plan": ["plan", *s.BASE[1:3], *s.BASE[5:-1]],
    "inspect": ["weights", "inspect", str(p.WEIGHTS)],
    "render": s.RENDER,
    "resume": [*s.RENDER, "--overwrite", "--resume", "c"],
}
ENOMEM = 12


def prepare(scene):
    """A checkpoint on the way, and how many allocations each command makes: once for all cases."""
    scene.allocations = {}
    with scene.folder("checkpoint") as folder:
        scene.interrupt(folder, s.RENDER, 14)
        scene.half_way = folder.parent / "half way"
        shutil.copytree(folder, scene.half_way)
    for name, arguments in COMMANDS.items():
        with scene.folder(f"counts-{name}") as folder:
            put(scene, name, folder)
            ran, counts = p.counts_of(scene.program, arguments, folder)
            if ran.code != 0:
                raise SystemExit(f"faults: expected {name} to finish, found {ran.told()}")
            scene.allocations[name] = counts["alloc"]


def put(scene, name, folder):
    if name == "resume":
        shutil.copytree(scene.half_way, folder, dirs_exist_ok=True)


def case(scene, folder, number):
    random = scene.random(number)
    name = random.choice(list(COMMANDS))
    put(scene, name, folder)
    most = scene.allocations[name]
    n = random.randint(1, most) if random.random() < 0.7 else min(most, int(most ** random.random()))
    when = random.choice([f"{n}", f"{n}+", f"{n}", f"{n}+", f">{2 ** random.randint(4, 22)}"])
    rule = f"alloc@{when}={ENOMEM}"
    done = p.command_line(scene.program, COMMANDS[name], folder, rule)
    ran = p.run(scene.program, COMMANDS[name], folder, rules=rule)
    # libhdf5, in a process of its own, takes the lack for damage, or crashes.
    taken_for_damage = ran.code == 3 and f"error: weights '{p.WEIGHTS}': " in ran.err
    found = p.ended_badly(ran, (0, 3, 4) if taken_for_damage else (0, 4))
    if name in ("render", "resume"):
        found += scene.broken(folder)
        found += scene.differs(folder) if ran.code == 0 else [] if found else scene.resume(folder)
    return done, found
