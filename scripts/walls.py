#!/usr/bin/env python3
"""Who includes whom: the rooms of the house, the arrows that are allowed between them, and whether the code keeps to both.

    scripts/walls.py            print the graph of the rooms, each room after those that it stands on
    scripts/walls.py --check    print what crosses a wall and end with 1, or nothing and 0

A common include path cannot hold walls: this does, and a test runs it."""

import re
import sys

import sources

# A room is the files under a path, less those of the rooms that are named after it; "NAME." a file's both halves.
# Every room may include itself.
ROOMS = {
    "core": ["engine/core/"],
    "ops": ["kernels/ops.h", "kernels/line_search.h", "kernels/lbfgs_search.h", "kernels/descent_search.h",
            "kernels/gradient_scale.h"],
    "kernels": ["kernels/"],
    "image": ["engine/image/"],
    "options": ["engine/options/"],
    "seam": ["engine/backend/"],
    "cpu": ["engine/backend/cpu/"],
    "cuda": ["engine/backend/cuda/"],
    "reference": ["engine/backend/reference/"],
    "devices": ["engine/backend/devices.", "engine/backend/cuda_loader."],
    "selftest": ["engine/selftest/"],
    "network": ["engine/network/"],
    "terms": ["engine/style/terms/"],
    "style": ["engine/style/"],
    "face": ["engine/impasto.h"],
    "apps": ["apps/"],
    "painter": ["apps/demo/"],
    "profiling": ["profiling/"],
    "tests": ["tests/"],
}

# room: those that it may include.
ARROWS = {
    "core": [],
    "ops": [],
    "kernels": ["ops"],
    "image": ["core"],
    "options": ["core", "ops"],
    "seam": ["core", "ops"],
    "cpu": ["core", "ops", "kernels", "seam"],
    "cuda": ["core", "ops", "kernels", "seam"],
    "reference": ["core", "ops", "kernels", "seam"],
    "devices": ["core", "ops", "seam", "cpu", "cuda", "reference"],
    "selftest": ["core", "ops", "seam", "reference"],
    "network": ["core", "ops", "seam"],
    "terms": ["core", "ops", "options", "seam", "network"],
    "style": ["core", "ops", "options", "image", "seam", "devices", "network", "terms"],
    "face": ["core", "options", "image", "network", "style"],
    "painter": ["core", "image"],
    "apps": ["core", "ops", "options", "image", "seam", "devices", "selftest", "network", "style", "face"],
    "profiling": ["core", "ops", "options", "image", "kernels", "seam", "cpu", "devices", "selftest", "network", "style",
                  "face"],
    "tests": None,  # whatever they test
}

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def room_of(path):
    """The room whose path is the longest that the file's begins with; None for a file outside the house."""
    found = [(len(prefix), room) for room, prefixes in ROOMS.items() for prefix in prefixes if path.startswith(prefix)]
    return max(found)[1] if found else None


def read(texts):
    """{file: [included files]} of quoted includes, which are all from the repository's root."""
    return {file: INCLUDE.findall(text) for file, text in texts.items()}


def faults(includes):
    """What crosses a wall, what is outside of every room, and files that include each other in a circle; one line each."""
    lines = []
    for file, included in sorted(includes.items()):
        room = room_of(file)
        if room is None:
            lines.append(f"{file}: in no room")
            continue
        allowed = ARROWS[room]
        for other in included:
            to = room_of(other)
            if other not in includes:
                lines.append(f"{file}: includes \"{other}\", which is not a file from the repository's root")
            elif allowed is not None and to != room and to not in allowed:
                lines.append(f'{file}: includes "{other}", but {room} may not include {to}')
    lines += [f"{' -> '.join(circle)}: includes in a circle" for circle in circles(includes)]
    return lines


def circles(graph):
    """Circles of {node: [nodes]}, each once."""
    found, state, path = [], {}, []

    def visit(node):
        state[node] = "open"
        path.append(node)
        for other in graph.get(node, []):
            if state.get(other) == "open":
                found.append(path[path.index(other):] + [other])
            elif other not in state:
                visit(other)
        path.pop()
        state[node] = "done"

    for node in sorted(graph):
        if node not in state:
            visit(node)
    return found


def room_graph(includes):
    """{room: {room: number of includes}}"""
    graph = {room: {} for room in ROOMS}
    for file, included in includes.items():
        for other in included:
            a, b = room_of(file), room_of(other)
            if a and b and a != b:
                graph[a][b] = graph[a].get(b, 0) + 1
    return graph


def main(arguments):
    includes = read(sources.tracked())
    if arguments == ["--check"]:
        lines = faults(includes) + [f"{' -> '.join(c)}: rooms in a circle" for c in circles({a: b for a, b in ARROWS.items() if b})]
        print("\n".join(lines), end="\n" if lines else "")
        return 1 if lines else 0
    for room, others in room_graph(includes).items():
        files = sum(room_of(f) == room for f in includes)
        print(f"{room:10} {files:3} files  -> " + (", ".join(f"{o} {n}" for o, n in sorted(others.items())) or "nothing"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
