"""What failed once, and must not again: each with the exit codes that are right."""

import program as p
import scene as s

INSPECT = ["weights", "inspect", str(p.WEIGHTS)]
KNOWN = [
    # The handlers of failures took memory for their lines.
    (["--version"], "alloc@1=12", (4,)), (["--version"], "alloc@1+=12", (4,)), (INSPECT, "alloc@100+=12", (4,)),
    # A pool of threads ended the program where the machine had fewer threads.
    *[([*s.BASE, "--iterations", "2", "--threads", "4"], f"pthread_create@{n}=11", (0,)) for n in (1, 2, 3)],
]


def prepare(scene):
    """OpenSSL crashed where memory ended as it began: somewhere in the last third of a run that reads weights."""
    with scene.folder("counts-known") as folder:
        most = p.counts_of(scene.program, INSPECT, folder)[1]["alloc"]
    first = most * 7 // 10
    step = max(1, (most - first) // 40)
    scene.known = KNOWN + [(INSPECT, f"alloc@{n}+=12", (0, 4)) for n in range(first, most, step)]


def case(scene, folder, number):
    arguments, rule, codes = scene.known[number % len(scene.known)]
    ran = p.run(scene.program, arguments, folder, rules=rule)
    return p.command_line(scene.program, arguments, folder, rule), p.ended_badly(ran, codes)
