"""Signals at random times and beside calls, singly and twice: the documented exit codes, and the render goes on."""

import signal

import program as p
import scene as s

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PASSES = (signal.SIGPIPE, signal.SIGWINCH, signal.SIGCONT, signal.SIGURG)
KILLS = (signal.SIGQUIT, signal.SIGUSR1)  # as every program is, by a signal that it does not know
CALLS = ("write", "pwrite", "rename", "renameat2", "fsync", "linkat", "close")
SECONDS = 0.25


def judge(scene, folder, ran, sent):
    """Whether the exit code and the line are right for what was sent."""
    began = (folder / "t").exists()  # before that, the signals' ordinary effect
    if ran.code is None:
        return p.ended_badly(ran)
    if ran.code < 0 and -ran.code in sent and (-ran.code in KILLS or not began):
        return []
    if not set(sent) & set(ENDS):
        return p.ended_badly(ran, (0,))
    found = p.ended_badly(ran, (0, 75, 130))
    if not found and ran.code in (75, 130):
        resumable = (folder / "c").exists()
        if (ran.code == 75) != resumable and len(sent) == 1:
            found.append(("other", f"exit {ran.code}, checkpoint: {resumable}: {ran.told()}"))
        if ran.code == 75 and len(sent) == 1 and not ran.errors[0].endswith("go on with --resume c"):
            found.append(("other", f"the line does not say how to go on: {ran.told()}"))
    return found


def case(scene, folder, number):
    random = scene.random(number)
    kinds = ENDS * 4 + PASSES + KILLS + (signal.SIGTSTP,)
    first = random.choice(kinds)
    calls = [name for name in CALLS if scene.counts.get(name)]
    if first != signal.SIGTSTP and random.random() < 0.4:
        name = random.choice(calls)
        n = random.randint(1, scene.counts[name])
        numbers = [first]
        rule = f"{name}@{n}={random.choice(['before', 'after'])}:{int(first)}"
        if random.random() < 0.3:  # and another soon after
            numbers.append(random.choice(ENDS))
            other = random.choice(calls)
            rule += f";{other}@{random.randint(1, scene.counts[other])}=before:{int(numbers[1])}"
        done = p.command_line(scene.program, s.RENDER, folder, rule)
        ran = p.run(scene.program, s.RENDER, folder, rules=rule)
    else:
        at = random.uniform(0.0, SECONDS)
        numbers = [first, signal.SIGCONT] if first == signal.SIGTSTP else [first]
        if first in ENDS and random.random() < 0.4:
            numbers.append(random.choice(ENDS))
        times = [(at + i * random.choice([0.0, 0.001, 0.02]), n) for i, n in enumerate(numbers)]
        done = ", ".join(f"{signal.Signals(n).name} after {t:.3f} s" for t, n in times)
        ran = p.run_with_signals(scene.program, s.RENDER, folder, times)
    found = judge(scene, folder, ran, numbers) + scene.broken(folder)
    return done, found + scene.resume(folder)
