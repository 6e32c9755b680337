"""A second user in a shared sticky folder plants links, pipes and folders: nothing of the first is written, read or waited
for through them. For root, who can be both."""

import os
import stat
import subprocess

import program as p
import scene as s

FIRST, SECOND = 65534, 65533
NAMES = (".x.png.lock", ".c.lock", ".t.lock", "x.png", "c", "t", "x-000003.png", "x-partial.png", "cache",
         ".x-000003.png.lock")
KINDS = ("link to a file", "link to nothing", "link to a folder", "hard link", "pipe", "folder", "file")


def plant(path, kind, home):
    """As the second user, who knows where the first one's files are; false where the kernel does not let him."""
    commands = {"link to a file": ["ln", "-s", home / "precious"], "link to nothing": ["ln", "-s", home / "new"],
                "link to a folder": ["ln", "-s", home], "hard link": ["ln", home / "precious"], "pipe": ["mkfifo"],
                "folder": ["mkdir"], "file": ["cp", "/etc/hostname"]}
    return subprocess.run([*commands[kind], path], user=SECOND, group=SECOND, extra_groups=[], umask=0,
                          stderr=subprocess.DEVNULL).returncode == 0


def state(home):
    return {str(at.relative_to(home)): (at.read_bytes() if at.is_file() else None, stat.S_IMODE(at.lstat().st_mode))
            for at in sorted(home.rglob("*"))}


def prepare(scene):
    scene.root.chmod(0o755)
    scene.soon = p.Program(scene.program.path, scene.program.preload, 20)


def case(scene, folder, number):
    if os.geteuid() != 0:
        return "left out: only root can be two users", []
    name, kind = NAMES[number % len(NAMES)], KINDS[number // len(NAMES) % len(KINDS)]
    overwrite = ["--overwrite"] * (number // (len(NAMES) * len(KINDS)) % 2)
    folder.chmod(0o1777)
    home = folder.parent / f"{folder.name}-home"
    home.mkdir(0o700)
    (home / "precious").write_bytes(b"the first user's own")
    for path in (home, home / "precious"):
        os.chown(path, FIRST, FIRST)
    if not plant(folder / name, kind, home):
        return f"left out: the kernel refuses a {kind} to the second user", []
    before = state(home)
    cache = {"XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(home)}
    arguments = [*s.RENDER, *overwrite, "--autotune"]
    done = f"{kind} at {name}: {p.command_line(scene.program, arguments, folder)}"
    if kind == "pipe" and name == "t":
        return "left out: a trace may go to a pipe, and waits for its reader", []
    ran = p.run(scene.soon, arguments, folder, user=FIRST, environment=cache)
    found = p.ended_badly(ran, (0, 3))
    if state(home) != before:
        found.append(("lost", f"the first user's folder was changed: {ran.told()}"))
    if b"first user's" in (ran.out + ran.err).encode():
        found.append(("lost", "the first user's file was shown"))
    return done, found + [one for one in scene.broken(folder) if not one[1].startswith(f"{name} ")]
