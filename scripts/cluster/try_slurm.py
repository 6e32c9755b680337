#!/usr/bin/env python3
"""Runs a batch under a real Slurm on this machine, four nodes that are daemons on loopback. In the middle it kills a node and tells
the task of another to end, and looks at what comes of it: every picture as a single run makes it, none made twice, nothing else left.

    scripts/cluster/try_slurm.py build/bin/impasto [--entries 16] [--iterations 150]

For root, with the Debian packages munge, slurmctld, slurmd and slurm-client. Everything else is in a temporary folder, and the
daemons end with it. Takes some minutes: Slurm waits before it gives a node up, and before it queues its tasks again."""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/faults"))
import program as p  # noqa: E402

NODES = 4
CONF = """
ClusterName=impasto
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
CommunicationParameters=NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
SchedulerParameters=sched_interval=5,bf_interval=5
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17001-1700{nodes}] CPUs=1
PartitionName=all Nodes=n[1-{nodes}] Default=YES MaxTime=INFINITE State=UP
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--entries", type=int, default=16)
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--patience", type=float, default=420, help="seconds until all must be done (%(default)s)")
    return parser.parse_args()


@contextlib.contextmanager
def slurm(root):
    """The daemons; gives back those of the nodes."""
    for folder in ("state", "munge", *(f"spool-n{n}" for n in range(1, NODES + 1))):
        (root / folder).mkdir()
    (root / "slurm.conf").write_text(CONF.format(host=socket.gethostname().split(".")[0], root=root, nodes=NODES))
    os.environ["SLURM_CONF"] = str(root / "slurm.conf")
    key = root / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    root.chmod(0o755)
    started = []

    def start(*command):
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
        return started[-1]
    try:
        start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={root}/munge.socket",
              f"--pid-file={root}/munge/munged.pid", f"--log-file={root}/munge/munged.log", f"--seed-file={root}/munge/seed")
        time.sleep(1)
        start("slurmctld", "-D", "-c")
        nodes = {f"n{n}": start("slurmd", "-D", "-N", f"n{n}") for n in range(1, NODES + 1)}
        for _ in range(60):
            if subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False).stdout.split() == ["idle"]:
                break
            time.sleep(1)
        else:
            raise SystemExit("slurm: expected four idle nodes, found others: " + (root / "slurmctld.log").read_text()[-2000:])
        yield nodes
    finally:
        for process in reversed(started):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.kill()


def put_work(folder, a):
    folder.mkdir()
    p.pictures(folder)
    with open(folder / "m.jsonl", "w", encoding="ascii") as file:
        for n in range(a.entries):
            json.dump({"content": "a.png", "style": "s.png", "output": f"{n}.png", "init": "noise", "seed": n}, file)
            file.write("\n")


def batch(a):
    return ["m.jsonl", "--weights", str(p.WEIGHTS), *p.LAYERS, "--size", "192", "--scales", "1", "--tolerance", "0", "--iterations",
            str(a.iterations), "--device", "cpu", "--checkpoint-every", "1", "--jobs", "1:1:1", "--threads", "1"]


def pictures_in(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png") if path.name not in ("a.png", "s.png")}


def processes_of(node, daemon):
    """The node's daemon, the stewards of its steps (daemons of their own), and what runs in these."""
    parents, names, members = {}, {}, set()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ProcessLookupError):
            text, pid = (folder / "stat").read_text(), int(folder.name)
            parents[pid] = int(text.rsplit(")", 1)[1].split()[1])
            names[pid] = text[text.index("(") + 1:text.rindex(")")]
            if f"SLURMD_NODENAME={node}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                members.add(pid)
    stewards = {parents[pid] for pid in members if names.get(parents[pid], "").startswith("slurmstepd")}
    return [daemon.pid, *stewards, *members]


def kill_node(node, daemon):
    """Gives back how many processes there were."""
    pids = processes_of(node, daemon)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def states(job):
    told = subprocess.run(["squeue", "-h", "-r", "-j", job, "-o", "%i %T %N %r"], capture_output=True, text=True, check=False)
    return [line.split(None, 3) for line in told.stdout.splitlines()]


def submit_and_kill(a, folder, nodes):
    """What was done, and which node was killed."""
    script = ROOT / "scripts/cluster/impasto.sbatch"
    told = subprocess.run(["sbatch", "--parsable", f"--array=0-{NODES - 1}", str(script), *batch(a), "--report", "r.jsonl"],
                          cwd=folder, env={**os.environ, "IMPASTO": str(a.program)}, capture_output=True, text=True, check=True)
    job, began, killed, last = told.stdout.strip(), time.monotonic(), None, None
    while time.monotonic() - began < a.patience:
        now = states(job)
        if now != last:
            print(f"{time.monotonic() - began:6.1f} s  {now}", flush=True)
            last = now
        if not now:
            return killed
        running = [state for state in now if state[1] == "RUNNING" and len(state) > 2]
        if not killed and running and len(pictures_in(folder)) >= a.entries // 4 and list(folder.glob(".*.checkpoint")):
            killed = running[0][2]
            told = running[-1][0]
            subprocess.run(["scancel", "--signal=TERM", "--batch", told], check=True)
            print(f"{time.monotonic() - began:6.1f} s  SIGTERM to task {told}", flush=True)
            number = kill_node(killed, nodes[killed])
            print(f"{time.monotonic() - began:6.1f} s  SIGKILL to the {number} processes of node {killed}", flush=True)
        if killed:  # held for two minutes, unless it is let go
            for state in now:
                if state[1] == "PENDING" and "Begin" in state[-1]:
                    subprocess.run(["scontrol", "update", f"JobId={state[0]}", "StartTime=now"], capture_output=True, check=False)
        time.sleep(1)
    raise SystemExit(f"slurm: expected the array to end in {a.patience} s, found {states(job)}")


def compare(a, folder, single, killed):
    wrong, made, expected = [], pictures_in(folder), pictures_in(single)
    if not killed:
        wrong.append("no node was killed: more or longer entries are needed")
    wrong += [f"{name} is missing" for name in expected.keys() - made.keys()]
    wrong += [f"{name} is another picture than a single run's" for name in expected if made.get(name) not in (None, expected[name])]
    lines = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    count = collections.Counter(line["output"] for line in lines if line["status"] == "done")
    wrong += [f"{name} was made {n} times" for name, n in count.items() if n > 1]
    wrong += [f"{line['output']}: {line['error']}" for line in lines if line["status"] == "failed"]
    wrong += [f"{path.name} is left" for path in folder.glob(".*")]
    print(f"{len(made)} of {a.entries} pictures, {sum(count.values())} told as done, "
          f"{sum(line['status'] == 'skipped' for line in lines)} skipped in later starts; {len(wrong)} wrong")
    for what in wrong:
        print(what)
    return 1 if wrong else 0


def main():
    a = arguments()
    root = pathlib.Path(tempfile.mkdtemp(prefix="impasto-slurm-"))
    try:
        for name in ("single", "array"):
            put_work(root / name, a)
        began = time.monotonic()
        subprocess.run([str(a.program), "batch", *batch(a), "-q"], cwd=root / "single", check=True)
        print(f"a single run takes {time.monotonic() - began:.0f} s", flush=True)
        with slurm(root) as nodes:
            killed = submit_and_kill(a, root / "array", nodes)
        return compare(a, root / "array", root / "single", killed)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
