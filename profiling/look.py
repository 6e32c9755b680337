#!/usr/bin/env python3
"""Renders pairs of photograph and painting with several settings; writes a table of measures and times and a contact sheet.

    look.py PROGRAM WEIGHTS OUT_DIR --pairs FILE [--size PX] [--threads N] [--height PX] NAME='OPTIONS' ...

PROGRAM   build/bin/impasto.     WEIGHTS   VGG-16 in the own schema (impasto weights fetch vgg16).
FILE      a line a pair: PHOTOGRAPH PAINTING, relative to the file's folder; "#" begins a comment.
NAME=...  a setting: options of `impasto render`, for example  default=''  peer='--preset neural-style-pt --init content'
Every setting renders a pair before the next pair begins, so that times drift alike. What is there already is not rendered
again. Writes OUT_DIR/PAIR-NAME.png, OUT_DIR/table.md and OUT_DIR/sheet-N.jpg (a row a pair: photograph, painting, results).
Needs numpy, h5py and pillow. The measures are look_measures.py's.
"""
import argparse
import json
import pathlib
import resource
import shlex
import subprocess
import time

from PIL import Image, ImageDraw

from look_measures import Judge

ROWS_A_SHEET, LABEL = 4, 14


def read_pairs(path):
    pairs = []
    for line in path.read_text().splitlines():
        words = shlex.split(line, comments=True)
        if words:
            pairs.append(tuple(str((path.parent / word).resolve()) for word in words))
    return pairs


def pair_name(pair):
    return "-".join(pathlib.Path(path).stem for path in pair)


def render(program, weights, pair, out, arguments, options):
    """{"wall", "cpu"} in seconds; kept beside the picture."""
    note = out.with_suffix(".json")
    if out.is_file() and note.is_file():
        return json.loads(note.read_text())
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([program, "render", *pair, "-o", out, "--weights", weights, "--size", str(arguments.size), "--threads",
                    str(arguments.threads), "--overwrite", "--quiet", *options], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = {"wall": time.monotonic() - start,
             "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}
    note.write_text(json.dumps(times))
    return times


def sheet(rows, path, height):
    """rows: lists of (label, file)."""
    scaled = [[(label, Image.open(file).convert("RGB")) for label, file in row] for row in rows]
    scaled = [[(label, i.resize((round(i.width * height / i.height), height), Image.LANCZOS)) for label, i in row]
              for row in scaled]
    width = max(sum(image.width + 4 for _, image in row) for row in scaled)
    page = Image.new("RGB", (width, len(rows) * (height + LABEL)), "white")
    draw = ImageDraw.Draw(page)
    for y, row in enumerate(scaled):
        x = 0
        for label, image in row:
            page.paste(image, (x, y * (height + LABEL)))
            draw.text((x + 2, y * (height + LABEL) + height), label, fill="black")
            x += image.width + 4
    page.save(path, quality=88)


def table(results, names):
    """Markdown: a row a pair and setting, then the mean of each setting."""
    lines = ["| pair | setting | style | content | grain | wall s | cpu s |", "|---|---|---|---|---|---|---|"]

    def row(pair, name, values):
        return (f"| {pair} | {name} | {values['style']:.3f} | {values['content']:.3f} | {values['grain']:.2f} | "
                f"{values['wall']:.0f} | {values['cpu']:.0f} |")

    lines += [row(pair, name, values) for (pair, name), values in results.items()]
    for name in names:
        mine = [values for (_, n), values in results.items() if n == name]
        lines.append(row("mean", name, {key: sum(v[key] for v in mine) / len(mine) for key in mine[0]}))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("weights")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("settings", nargs="+", metavar="NAME=OPTIONS")
    parser.add_argument("--pairs", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=0, help="0: all")
    parser.add_argument("--height", type=int, default=384, help="of a picture on the contact sheet")
    arguments = parser.parse_args()
    settings = dict(text.split("=", 1) for text in arguments.settings)
    arguments.out.mkdir(parents=True, exist_ok=True)
    judge, results, rows = Judge(arguments.weights), {}, []
    for pair in read_pairs(arguments.pairs):
        rows.append([(pathlib.Path(path).stem, path) for path in pair])
        for name, options in settings.items():
            out = arguments.out / f"{pair_name(pair)}-{name}.png"
            times = render(arguments.program, arguments.weights, pair, out, arguments, shlex.split(options))
            values = judge.judge(str(out), *pair) | times
            results[pair_name(pair), name] = values
            rows[-1].append((f"{name}  style {values['style']:.3f} content {values['content']:.2f} grain "
                             f"{values['grain']:.2f}", out))
            print(pair_name(pair), rows[-1][-1][0], f"{times['wall']:.0f} s", flush=True)
    for n in range(0, len(rows), ROWS_A_SHEET):
        sheet(rows[n:n + ROWS_A_SHEET], arguments.out / f"sheet-{n // ROWS_A_SHEET + 1}.jpg", arguments.height)
    text = table(results, settings)
    (arguments.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
