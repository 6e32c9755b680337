#!/usr/bin/env python3
"""Times one batch against as many single renders of the same pictures, in turn, in one run; and, where it is there, against
runs of the package neural-style 0.5.7 (against_neural_style.py says how it is installed and where its model comes from).

    profiling/batch_against_single.py build/bin/impasto --weights vgg16                  100 pictures of 256x192, 20 iterations
    profiling/batch_against_single.py build/bin/impasto --weights vgg16 --count 10 --pairs 3 --jobs auto 1:1:1 1:2:1
    profiling/batch_against_single.py build/bin/impasto --peer peer/bin/neural-style --peer-model vgg16.pth

Prints the seconds of each pair, the processors' too, the ratio, and whether the pictures have the same bytes."""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/faults"))
import program as p  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--weights", default="vgg16")
    parser.add_argument("--count", type=int, default=100, help="pictures (%(default)s)")
    parser.add_argument("--size", default="256")
    parser.add_argument("--iterations", default="20")
    parser.add_argument("--styles", type=int, default=2, help="style pictures that they take turns with (%(default)s)")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--jobs", nargs="+", default=["auto"], help="of the batch; each is held against single runs")
    parser.add_argument("--no-single", action="store_true", help="hold the batches against each other alone")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peer", type=lambda path: str(pathlib.Path(path).resolve()), help="the program neural-style")
    parser.add_argument("--peer-model", type=lambda path: str(pathlib.Path(path).resolve()), help="vgg16.pth")
    parser.add_argument("--peer-count", type=int, default=10, help="pictures that it renders (%(default)s)")
    return parser.parse_args()


def put_pictures(folder, a):
    for n in range(a.count):
        p.png(folder / f"c{n}.png", 512, 384, lambda x, y, n=n: ((x * 3 + n * 11 + y * x % 7) % 256, (y * 2 + n * 5) % 256,
                                                                (x ^ y) % 256))
    for n in range(a.styles):
        p.png(folder / f"s{n}.png", 400, 300, lambda x, y, n=n: (255 * ((x // 9 + y // (5 + n)) % 2), x % 256, y % 256))


def entries(a, folder):
    return [{"content": f"c{n}.png", "style": f"s{n % a.styles}.png", "output": f"{folder}/{n}.png"} for n in range(a.count)]


def options(a):
    return ["--weights", a.weights, "--size", a.size, "--iterations", a.iterations, "--device", a.device, "-q"]


def emptied(folder):
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()


def cpu_seconds():
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


def timed(work):
    """Seconds, and those of all processors."""
    began, cpu = time.monotonic(), cpu_seconds()
    work()
    return time.monotonic() - began, cpu_seconds() - cpu


def run_single(a, folder):
    for entry in entries(a, "single"):
        subprocess.run([a.program, "render", entry["content"], entry["style"], "-o", entry["output"], *options(a)], cwd=folder,
                       check=True)


def run_peer(a, folder):
    """One scale with its own defaults, of as many iterations."""
    (folder / pathlib.Path(a.peer_model).name).symlink_to(a.peer_model)  # it guesses the network from the path
    for entry in entries(a, "peer")[:a.peer_count]:
        subprocess.run([a.peer, "-gpu", "c", "-model_file", pathlib.Path(a.peer_model).name, "-disable_check", "-content_image",
                        entry["content"], "-style_image", entry["style"], "-image_size", a.size, "-init", "image",
                        "-num_iterations", a.iterations, "-print_iter", "0", "-save_iter", "0", "-output_image", "peer.png"],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL)


def run_batch(a, folder, jobs):
    (folder / "m.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries(a, "batch")))
    subprocess.run([a.program, "batch", "m.jsonl", *options(a), "--jobs", jobs], cwd=folder, check=True)


def main():
    a = arguments()
    ratios = {jobs: [] for jobs in a.jobs}
    with tempfile.TemporaryDirectory(prefix="impasto-batch-") as name:
        folder = pathlib.Path(name)
        put_pictures(folder, a)
        for pair in range(a.pairs):
            for jobs in a.jobs:
                emptied(folder / "single")
                emptied(folder / "batch")
                single, single_cpu = (0, 0) if a.no_single else timed(lambda: run_single(a, folder))
                batch, batch_cpu = timed(lambda jobs=jobs: run_batch(a, folder, jobs))
                line = f"pair {pair + 1}, jobs {jobs}: batch {batch:.2f} s ({batch_cpu:.1f} of processors)"
                if single:
                    same = all((folder / "single" / f"{n}.png").read_bytes() == (folder / "batch" / f"{n}.png").read_bytes()
                               for n in range(a.count))
                    ratios[jobs].append(single / batch)
                    line += f", single {single:.2f} s ({single_cpu:.1f}), {single / batch:.2f} times; {'the same' if same else 'OTHER'} bytes"
                print(line, flush=True)
        if a.peer:
            seconds, cpu = timed(lambda: run_peer(a, folder))
            print(f"neural-style: {seconds / a.peer_count:.2f} s a picture ({cpu / a.peer_count:.1f} of processors), of "
                  f"{a.peer_count}")
    for jobs, found in ratios.items():
        if found:
            print(f"jobs {jobs}: median {statistics.median(found):.2f} times, {min(found):.2f} to {max(found):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
