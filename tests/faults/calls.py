"""Calls of the C library that fail: once or from then on, over an empty folder or over older files."""

import errno

import program as p
import scene as s

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
NAMES = (errno.EACCES, errno.ENOSPC, errno.EIO, errno.EROFS)
DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
ERRORS = {
    "open": (*DESCRIPTORS, *NAMES, errno.EINTR), "openat": (*DESCRIPTORS, *NAMES, errno.EINTR),
    "creat": (*DESCRIPTORS, *NAMES, errno.EINTR), "mkstemp": (*DESCRIPTORS, *NAMES),
    "read": (errno.EIO, errno.EINTR), "pread": (errno.EIO, errno.EINTR),
    "write": (*FULL, errno.EINTR, errno.EPIPE), "pwrite": (*FULL, errno.EINTR), "ftruncate": (*FULL, errno.EINTR),
    "fsync": (*FULL, errno.EINTR), "fdatasync": (*FULL, errno.EINTR), "close": (*FULL, errno.EINTR),
    "link": (*NAMES, errno.EPERM, errno.EEXIST), "linkat": (*NAMES, errno.EPERM, errno.EEXIST), "rename": NAMES,
    "renameat": NAMES, "renameat2": (*NAMES, errno.EINVAL, errno.ENOSYS), "unlink": NAMES, "unlinkat": NAMES,
    "flock": (errno.ENOLCK, errno.EINTR, errno.ENOSYS), "fchmod": (errno.EPERM, errno.EIO),
    "mmap": (errno.ENOMEM, errno.EACCES), "opendir": (*DESCRIPTORS, errno.EACCES), "readdir": (errno.EIO,),
    "pipe2": DESCRIPTORS, "fork": (errno.EAGAIN, errno.ENOMEM), "pthread_create": (errno.EAGAIN,),
}


def rule_for(scene, random):
    name = random.choice([name for name in ERRORS if scene.counts.get(name)])
    number = random.choice(ERRORS[name])
    n = random.randint(1, scene.counts[name])
    if name in ("read", "pread", "write", "pwrite") and random.random() < 0.15:
        return f"{name}@{n}{random.choice(['', '+'])}=half", "half"
    more = "+" if number != errno.EINTR and random.random() < 0.25 else ""
    return f"{name}@{n}{more}={number}", errno.errorcode[number]


def after_success(scene, folder, ran, survivable, rule):
    but = set()
    warned = [line for line in ran.lines if "warning: " in line]
    if any("trace" in line for line in warned):
        but.add("t")
    if rule.startswith("unlink"):  # what could not be removed is there
        but |= {name for name in p.files_in(folder) if name.startswith(".")}
    found = scene.differs(folder, but)
    if survivable and but:
        found.append(("other", f"a warning where nothing was wrong: {ran.told()}"))
    return found


def after_failure(scene, folder, ran, old, rule):
    found = scene.broken(folder)
    left = p.files_in(folder)
    for name in old.keys() - left.keys():
        found.append(("lost", f"the older {name} is gone: {ran.told()}"))
    if not rule.startswith("unlink"):  # else nothing could be done
        found += [("stray", f"{name} is left: {ran.told()}") for name in left if name.endswith(".tmp")]
    new = "c" in left and left["c"] != old.get("c")
    if not new:
        return found
    if not ran.errors[0].endswith("go on with --resume c"):
        found.append(("other", f"the line does not say how to go on: {ran.told()}"))
    kept = [name for name in left.keys() - scene.left.keys() if "partial" in name or name in ran.err]
    return found + scene.resume(folder, but=kept)


def case(scene, folder, number):
    random = scene.random(number)
    rule, what = rule_for(scene, random)
    old = scene.old if random.random() < 0.3 else {}
    if old:
        scene.put_old(folder)
    arguments = [*s.RENDER, *["--overwrite"] * bool(old)]
    done = p.command_line(scene.program, arguments, folder, rule)
    ran = p.run(scene.program, arguments, folder, rules=rule)
    survivable = what in ("EINTR", "half")
    found = p.ended_badly(ran, (0,) if survivable else (0, 2, 3, 4, 75, 130))
    if found:
        return done, found
    if ran.code == 0:
        return done, after_success(scene, folder, ran, survivable, rule)
    return done, after_failure(scene, folder, ran, old, rule)
