#!/usr/bin/env python3
"""Does to the program what disks, kernels, users and other programs do to it, and looks at what it leaves.

    tests/faults/run.py build/bin/impasto build/lib/libfaults_preload.so --calls 500 --kills 300
    tests/faults/run.py PROGRAM PRELOAD --only calls:17       one case again, as it was with this --seed

Prints a table of what failed by kind, and each failure with what was done. Ends with 1 if there was any."""

import argparse
import concurrent.futures
import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import allocations  # noqa: E402
import batch  # noqa: E402
import calls  # noqa: E402
import checkpoints  # noqa: E402
import crowds  # noqa: E402
import kills  # noqa: E402
import known  # noqa: E402
import program  # noqa: E402
import scene as scenes  # noqa: E402
import second_user  # noqa: E402
import signals  # noqa: E402

KINDS = {"known": known, "kills": kills, "signals": signals, "calls": calls, "allocations": allocations,
         "mutants": checkpoints, "crafted": checkpoints.Crafted, "crowds": crowds, "second_user": second_user,
         "batch": batch}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("preload", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", metavar="KIND:CASE", help="this one alone")
    for kind in KINDS:
        parser.add_argument(f"--{kind.replace('_', '-')}", type=int, default=0, metavar="N")
    return parser.parse_args()


def try_one(scene, kind, number):
    """One case: what was done, and what was wrong as (sign, text)s."""
    with scene.folder(f"{kind}-{number}") as folder:
        return KINDS[kind].case(scene, folder, number)


def table(tries, failures):
    heads = ["kind", "tries", *program.SIGNS]
    rows = [[kind, str(n), *(str(sum(k == kind and sign in (s for s, _ in found) for k, _, _, found in failures))
                             for sign in program.SIGNS)] for kind, n in tries.items() if n]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    line = "| " + " | ".join("{:>" + str(w) + "}" for w in widths) + " |"
    return "\n".join(line.format(*row) for row in [heads, *rows])


def main():
    a = arguments()
    tries = {kind: getattr(a, kind) for kind in KINDS}
    cases = [(kind, n) for kind, most in tries.items() for n in range(most)]
    if a.only:
        kind, number = a.only.split(":")
        cases = [(kind, int(number))]
        tries = {kind: 1}
    scene, failures = scenes.Scene(program.Program(a.program, a.preload), a.seed), []
    try:
        for kind in dict(cases):
            getattr(KINDS[kind], "prepare", lambda _: None)(scene)
        with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
            ran = pool.map(lambda c: (*c, *try_one(scene, *c)), cases)
            for kind, number, done, found in ran:
                if found:
                    failures.append((kind, number, done, found))
                if a.only or getattr(KINDS[kind], "SHOWS", False):
                    print(done)
    finally:
        scene.close()
    print(table(tries, failures))
    for kind, number, done, found in failures:
        for sign, what in found:
            print(f"{kind}:{number} {sign}: {what}\n    {done}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
