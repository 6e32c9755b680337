"""Checkpoints that were damaged by chance, and others that somebody made: half of the first and all of the second with the
right digest. Going on from one is refused with 3 and one line, or ends well where nothing harmful was changed."""

import json
import math
import random as chance
import struct

import program as p

MADE_WITH = ["-o", "x.png", "--weights", str(p.WEIGHTS), "--content-layers", "relu1_1", "--style-layers", "relu1_1",
             "--size", "16", "--min-size", "0", "--scales", "2", "--tolerance", "0", "--iterations", "6", "-q"]
OPTIMISERS = {
    "wolfe": ["--history", "3"],
    "lbfgs": ["--history", "3", "--line-search", "none", "--preconditioner", "none"],
    "adam": ["--optimizer", "adam"],
    "gd auto": ["--optimizer", "gd"],
    "gd": ["--optimizer", "gd", "--learning-rate", "0.5", "--momentum", "0.5"],
    "clamp": ["--history", "3", "--clamp", "--tolerance", "1e-9"],
}
SECONDS = 20  # for each
NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 1e6, 2.0**31, 2.0**32, 2.0**53, -2.0**63, 2.0**64, 1e300, -1e300, 5e-324, 0.5,
           math.nan, math.inf, -math.inf)
TEXTS = ("", "0", "-1", "1", "2", "63", "64", "1000000", "2147483647", "2147483648", "4294967296", "9007199254740992",
         "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e6", "1e400", "nan", "inf", "0x10",
         " 1", "1 ", "true", "x" * 5000, "\n", "é", "\0", "{}")
DEVICE = {"gradient_scale": ("0", "-1", "1", "3", "0.125", "1e308", "5e-324", "nan", "inf", "", "x"),
          "tuning": ("", "\n", "forward 3x3 = F4 own 8 8\n", "forward 3x3 = F9 own 999999999 8\n",
                     "nothing = x\n", "=" * 3000, "forward 3x3 =\n" * 300)}


class Parts:
    """Of a checkpoint that is taken apart."""

    def __init__(self, data):
        header, self.begin = p.header_of(data)
        self.texts, self.data = header.pop("__metadata__"), bytearray(data[self.begin:])
        self.tensors = header

    def whole(self):
        texts = {**self.texts, **({"sha256": "0" * 64} if "sha256" in self.texts else {})}
        header = json.dumps({"__metadata__": texts, **self.tensors}, separators=(",", ":")).encode()
        header += b" " * (-len(header) % 8)
        return p.sealed(struct.pack("<Q", len(header)) + header + bytes(self.data))

    def put(self, name, element, value):
        """A number of a tensor, in its type."""
        tensor = self.tensors[name]
        kind, size = ("d", 8) if tensor["dtype"] == "F64" else ("f", 4)
        try:
            number = struct.pack(f"<{kind}", value)
        except OverflowError:
            number = struct.pack(f"<{kind}", math.copysign(math.inf, value))
        at = tensor["data_offsets"][0] + element * size
        self.data[at:at + size] = number

    def elements(self, name):
        begin, end = self.tensors[name]["data_offsets"]
        return (end - begin) // (8 if self.tensors[name]["dtype"] == "F64" else 4)

    def keep(self, name, size):
        """Of a tensor's bytes `size`, moving what follows, as a sound file has it."""
        begin, end = self.tensors[name]["data_offsets"]
        self.data[begin:end] = (bytes(self.data[begin:end]) + bytes(max(0, size - (end - begin))))[:size]
        for other in self.tensors.values():
            other["data_offsets"] = [at + size - (end - begin) if at >= end and at > begin else at
                                     for at in other["data_offsets"]]
        self.tensors[name]["data_offsets"] = [begin, begin + size]


def prepare(scene):
    """A checkpoint of each optimiser at each of two scales, once."""
    if hasattr(scene, "bases"):
        return
    scene.bases = {}
    for name, options in OPTIMISERS.items():
        for scale in (0, 1):
            with scene.folder(f"base-{name}-{scale}") as folder:
                scene.interrupt(folder, ["render", "a.png", "s.png", *MADE_WITH, *options, "--checkpoint", "c", "--trace", "t"],
                                6 * scale + 3)
                scene.bases[name, scale] = (folder / "c").read_bytes()
    scene.quick = p.Program(scene.program.path, scene.program.preload, SECONDS)


def try_it(scene, folder, name, data, refused=False):
    (folder / "m").write_bytes(data)
    arguments = ["render", "a.png", "s.png", *MADE_WITH, *OPTIMISERS[name], "--resume", "m"]
    ran = p.run(scene.quick, arguments, folder)
    found = p.ended_badly(ran, (3,) if refused else (0, 3)) + scene.broken(folder)
    if ran.code == 0 and not (folder / "x.png").exists():
        found.append(("lost", "no picture"))
    if ran.code == 3 and len(ran.lines) != 1:
        found.append(("other", f"{len(ran.lines)} lines: {ran.told()}"))
    return p.command_line(scene.quick, arguments, folder), found


def change_bytes(data, random):
    data, kind = bytearray(data), random.randrange(5)
    end = 8 + struct.unpack("<Q", data[:8])[0]
    if kind == 0:
        del data[random.randrange(len(data)):]
    elif kind == 1:
        data += random.randbytes(random.randint(1, 100))
    else:
        first, last = ((0, 8), (8, end), (end, len(data)))[random.choice((0, 1, 1, 1, 2, 2, 2))]
        for _ in range(random.choice((1, 1, 2, 8))):
            at = random.randrange(first, last)
            data[at] = random.choice((data[at] ^ 1 << random.randrange(8), 0, 255, random.randrange(256),
                                      ord(random.choice('0919-{}[],:"'))))
    return bytes(data)


def change_header(parts, random):
    name = random.choice(list(parts.tensors))
    tensor, kind = parts.tensors[name], random.randrange(8)
    if kind == 0:
        parts.tensors.pop(name)
    elif kind == 1:
        parts.tensors[random.choice(("y", "", "host/", "host/other", "a/b", "state"))] = tensor
    elif kind == 2:
        tensor["shape"] = [max(0, n + random.choice((-1, 0, 1))) for n in tensor["shape"]]
    elif kind == 3:
        tensor["shape"] = random.choice(([], [0], [2**31], [2**62, 2**62], [-1], tensor["shape"][::-1], [1.5]))
    elif kind == 4:
        tensor["dtype"] = random.choice(("F32", "F64", "I64", "BF16", "", 1))
    elif kind == 5:
        tensor["data_offsets"] = [n + random.choice((-8, -4, 0, 4, 8, 2**40)) for n in tensor["data_offsets"]]
    elif kind == 6:
        parts.keep(name, random.choice((0, 4, 8, 16, 2 * (tensor["data_offsets"][1] - tensor["data_offsets"][0]))))
    else:
        size = 8 if tensor["dtype"] == "F64" else 4
        fewer = max(0, parts.elements(name) - random.randint(1, 8))
        parts.keep(name, fewer * size)
        tensor["shape"] = [*[1] * (len(tensor["shape"]) - 1), fewer]


def mutant(base, random):
    """A changed checkpoint, and whether it has to be refused."""
    kind = random.randrange(4)
    if kind == 0:
        data = change_bytes(base, random)
        return (data, data != base) if random.random() < 0.5 else (p.sealed(data), False)
    parts = Parts(base)
    if kind == 1:
        change_header(parts, random)
    elif kind == 2:
        key = random.choice([*parts.texts, "device/gradient_scale", "device/tuning", "option/other", "input/other"])
        parts.texts[key] = random.choice(TEXTS)
    else:
        for _ in range(random.choice((1, 1, 1, 3))):
            full = [name for name in parts.tensors if parts.elements(name)]
            name = random.choice(full + ["host/state"] * 3 * ("host/state" in full) + ["state"] * 3 * ("state" in full))
            element = min(int(random.expovariate(0.05)), parts.elements(name) - 1)
            if random.random() < 0.3:
                element = random.randrange(parts.elements(name))
            parts.put(name, element, random.choice(NUMBERS))
    data = parts.whole()
    if random.random() < 0.4 and data != base:  # with the digest of what it was
        at, was = data.find(b'"sha256":"') + 10, base.find(b'"sha256":"') + 10
        return data[:at] + base[was:was + 64] + data[at + 64:], True
    return data, False


def case(scene, folder, number):
    random = scene.random(number)
    name, scale = random.choice(list(scene.bases))
    data, refused = mutant(scene.bases[name, scale], random)
    done, found = try_it(scene, folder, name, data, refused)
    return f"a mutant of {name}, scale {scale}: {done}", found


class Crafted:
    """The other kind: each number, text and size at the ends of what it may be."""

    prepare = staticmethod(prepare)

    @staticmethod
    def changes(parts):
        """What is changed, and how."""
        for key in ("scale", "iteration", "seconds", "version", "format"):
            yield from ((f"{key} = {text[:30]!r}", lambda q, k=key, t=text: q.texts.update({k: t})) for text in TEXTS)
        for key, texts in DEVICE.items():
            yield from ((f"{key} = {text[:30]!r}", lambda q, k="device/" + key, t=text: q.texts.update({k: t}))
                        for text in texts)
        for key in ("option/iterations", "option/history", "option/size", "option/other", "input/content", "input/style 2"):
            yield from ((f"{key} = {text[:30]!r}", lambda q, k=key, t=text: q.texts.update({k: t})) for text in TEXTS[:6])
        for name in parts.tensors:
            count = parts.elements(name)
            for element in sorted({*range(min(count, 14)), *range(max(0, count - 3), count)}):
                yield from ((f"{name}[{element}] = {value}", lambda q, n=name, e=element, v=value: q.put(n, e, v))
                            for value in NUMBERS)
            yield f"{name} is gone", lambda q, n=name: q.tensors.pop(n)
            yield f"{name} is empty", lambda q, n=name: (q.keep(n, 0), q.tensors[n].update(shape=[0]))
            yield f"{name} is short", lambda q, n=name: (q.keep(n, 8), q.tensors[n].update(
                shape=[1 if q.tensors[n]["dtype"] == "F64" else 2]))
            yield f"{name} has another type", lambda q, n=name: q.tensors[n].update(
                dtype="F32" if q.tensors[n]["dtype"] == "F64" else "F64")

    @staticmethod
    def case(scene, folder, number):
        random = chance.Random(f"{scene.seed} {number // 6}")
        name, scale = [(n, s) for s in (0, 1) for n in OPTIMISERS][number % 12]
        every = list(Crafted.changes(Parts(scene.bases[name, scale])))
        groups = ("state[", "host/", "scale", "iteration", "device", " is ", "")  # the many numbers of x would hide the rest
        group = groups[number // 12 % len(groups)]
        what, change = random.choice([c for c in every if group in c[0]] or every)
        parts = Parts(scene.bases[name, scale])
        change(parts)
        done, found = try_it(scene, folder, name, parts.whole())
        return f"{name}, scale {scale}, {what}: {done}", found
