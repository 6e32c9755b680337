#!/usr/bin/env python3
"""Reads every picture below some folders with Impasto and with Pillow, and counts how they agree.

    cmake --build build --target read_pictures
    profiling/against_pillow.py build/bin/read_pictures FOLDER...        (pip install pillow numpy)

Pillow's picture is turned upright, its first frame taken, and its profile, or what a PNG says of its colours,
converted to sRGB, in so far as Pillow or the few lines here can. "exact": no sample differs; "agrees": at most
by --tolerance in 8 bits (other versions of the codecs); alpha counts, and colour where there is some alpha.
"""
import argparse
import collections
import io
import pathlib
import signal
import subprocess
import warnings

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps

SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".dng", ".nef"}
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
SRGB = ImageCms.createProfile("sRGB")
LIMIT_SECONDS = 60


class Reader:
    """Impasto's reader in a process of its own; one that crashes or hangs is started anew."""

    def __init__(self, program):
        self.program, self.process = program, None

    def read(self, path):
        if self.process is None:
            self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        signal.alarm(LIMIT_SECONDS)
        try:
            self.process.stdin.write(bytes(path) + b"\n")
            self.process.stdin.flush()
            words = self.process.stdout.readline().decode(errors="replace").split(" ", 1)
            if words[0] == "refused":
                return None, words[1].strip()
            width, height, channels = map(int, words[1].split())
            samples = self.process.stdout.read(width * height * channels)
            return np.frombuffer(samples, np.uint8).reshape(height, width, channels), ""
        except (TimeoutError, IndexError, ValueError, BrokenPipeError) as error:
            self.process.kill()
            status, self.process = self.process.wait(), None
            return None, f"CRASHED OR HUNG: {error!r}, status {status}"
        finally:
            signal.alarm(0)


def linear_to_srgb(v):
    return np.where(v <= 0.0031308, 12.92 * v, 1.055 * np.maximum(v, 1e-9) ** (1 / 2.4) - 0.055)


def srgb_to_linear(v):
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def matrix(points):
    """Linear RGB to XYZ of the chromaticities white, red, green, blue, adapted to D65 by Bradford's method."""
    def xyz(x, y):
        return np.array([x / y, 1, (1 - x - y) / y])
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    primaries = np.stack([xyz(*points[2 * i:2 * i + 2]) for i in (1, 2, 3)], axis=1)
    scaled = primaries * np.linalg.solve(primaries, xyz(*points[:2]))
    gain = (bradford @ xyz(0.3127, 0.3290)) / (bradford @ xyz(*points[:2]))
    return np.linalg.inv(bradford) @ np.diag(gain) @ bradford @ scaled


D65_BT709 = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def by_gamma(rgb, info):
    """PNG's gAMA and cHRM; 1/2.2 with sRGB's chromaticities, or none, is sRGB."""
    gamma, points = info.get("gamma"), info.get("chromaticity")
    if points is not None and min(points[1::2]) <= 0:
        points = None
    usual = points is None or np.allclose(points, D65_BT709, atol=0.005)
    power = 1 / gamma if gamma and not (usual and abs(gamma * 2.2 - 1) < 0.01) else None
    if "srgb" in info or (usual and power is None):
        return rgb
    light = rgb ** power if power else srgb_to_linear(rgb)
    if points is not None:
        light = light @ (np.linalg.inv(matrix(D65_BT709)) @ matrix(points)).T
    return linear_to_srgb(np.clip(light, 0, 1))


def to_srgb(image, icc):
    """An 8-bit image in its own mode to RGB."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc)) if icc else None
        if image.mode == "LAB":
            profile = ImageCms.createProfile("LAB")
        if profile is None:
            return image.convert("RGB")
        mode = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK", "Lab ": "LAB"}.get(getattr(profile, "profile", profile).xcolor_space)
        if mode == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if image.mode != mode:
            return image.convert("RGB")
        return ImageCms.profileToProfile(image, profile, SRGB, renderingIntent=1, outputMode="RGB",
                                         flags=ImageCms.Flags.BLACKPOINTCOMPENSATION)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB")


def read_with_pillow(path):
    with Image.open(path, formats=FORMATS) as file:
        file.seek(0)
        file.load()
        image = ImageOps.exif_transpose(file)
        info = dict(file.info)
    if image.mode.startswith("I;16"):
        bits = file.tag_v2.get(258, (16,))[0] if file.format == "TIFF" else 16
        grey = np.asarray(image).astype(float) / (2 ** bits - 1)
        image = Image.fromarray(np.round(grey * 255).astype(np.uint8))
    elif image.mode in ("F", "I"):
        grey = np.nan_to_num(np.asarray(image).astype(float)) / (1 if image.mode == "F" else 2 ** 31 - 1)
        image = Image.fromarray(np.round(np.clip(grey, 0, 1) * 255).astype(np.uint8))
    alpha = None
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in info:
        image = image.convert("RGBA")
        alpha = np.asarray(image)[..., 3:]
        image = image.convert("RGB")
    if image.mode in ("P", "1"):
        image = image.convert("RGB" if image.mode == "P" else "L")
    rgb = np.asarray(to_srgb(image, info.get("icc_profile")))
    if file.format == "PNG" and "icc_profile" not in info:
        rgb = np.round(by_gamma(rgb / 255, info) * 255)
    return np.concatenate([rgb, alpha], axis=2) if alpha is not None else rgb


def difference(ours, theirs):
    """Of visible colour and of alpha, in 8-bit steps; 256 where the pictures have other sizes."""
    if ours.shape[:2] != theirs.shape[:2]:
        return 256
    opaque = np.full(ours.shape[:2] + (1,), 255)
    alphas = [p[..., 3:].astype(int) if p.shape[2] == 4 else opaque for p in (ours, theirs)]
    colour = np.abs(ours[..., :3].astype(int) - theirs[..., :3].astype(int))
    colour = colour * (np.minimum(*alphas) > 0)
    return int(max(colour.max(), np.abs(alphas[0] - alphas[1]).max()))


def on_alarm(*_):
    raise TimeoutError("no answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    parser.add_argument("--tolerance", type=int, default=4)
    parser.add_argument("--show", default="differs,only Impasto refuses,only Pillow refuses", help="what to list")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)
    warnings.simplefilter("ignore")
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    reader, counts = Reader(arguments.program), collections.Counter()
    files = sorted(f for folder in arguments.folders for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)
    for file in files:
        ours, why = reader.read(file)
        try:
            theirs, whynot = read_with_pillow(file), ""
        except Exception as error:  # Pillow's plug-ins raise anything over a damaged file
            theirs, whynot = None, f"{type(error).__name__}: {error}"
        if "CRASHED" in why:
            outcome, note = "crashes", why
        elif ours is None or theirs is None:
            outcome = "both refuse" if ours is None and theirs is None else \
                "only Impasto refuses" if ours is None else "only Pillow refuses"
            note = why or whynot
        else:
            worst = difference(ours, theirs)
            outcome = "exact" if worst == 0 else "agrees" if worst <= arguments.tolerance else "differs"
            note = f"by {worst}"
        counts[outcome] += 1
        if outcome in arguments.show or outcome == "crashes":
            print(f"{outcome}: {file}: {note}", flush=True)
    print(f"{len(files)} files: " + ", ".join(f"{counts[k]} {k}" for k in sorted(counts)))


main()
