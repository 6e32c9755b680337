#!/usr/bin/env python3
"""Writes the golden files of tests/test_image*.cpp with Pillow, an implementation that shares no code with ours.

    pip install pillow && python3 make_goldens.py      (made with Pillow 13.0.0; writes beside itself)
"""
import math
import pathlib
import struct

from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent


def scene(width, height, channels=3):
    """Smooth waves with some grain, in mid tones, where nothing overshoots 0..255."""
    state, values = 12345, []
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                state = (1103515245 * state + 12345) % 2**31
                wave = math.sin(0.35 * x + c) * math.cos(0.28 * y - 0.7 * c) + 0.5 * math.sin(0.05 * x * y)
                values.append(max(0, min(255, round(128 + 45 * wave + (state >> 16) % 17 - 8))))
    return bytes(values)


def save(image, name, **options):
    image.save(HERE / name, **options)


def resize_goldens():
    source = Image.frombytes("RGB", (61, 43), scene(61, 43))
    save(source, "resize_source.png")
    for width, height in [(20, 14), (13, 43), (61, 7), (97, 71), (30, 80), (1, 1), (1, 43), (61, 1), (2, 3)]:
        save(source.resize((width, height), Image.Resampling.LANCZOS), f"resize_{width}x{height}.png")
    for width, height in [(1, 19), (19, 1), (1, 1)]:
        thin = source.crop((5, 3, 5 + width, 3 + height))
        save(thin, f"resize_thin_{width}x{height}_source.png")
        save(thin.resize((7, 5), Image.Resampling.LANCZOS), f"resize_thin_{width}x{height}.png")
    # Black and white edges in both directions: Pillow clips the overshoot after each pass, x first.
    values = scene(41, 31)
    edges = [255 if (x // 5 + y // 4) % 3 == 0 else 0 if (x * y) % 7 < 3 else None for y in range(31) for x in range(41)]
    hard_edges = Image.new("RGB", (41, 31))
    hard_edges.putdata([(v, v, 255 - v) if v is not None else tuple(values[3 * i:3 * i + 3])
                        for i, v in enumerate(edges)])
    save(hard_edges, "resize_hard_source.png")
    for width, height in [(20, 15), (75, 57)]:
        save(hard_edges.resize((width, height), Image.Resampling.LANCZOS), f"resize_hard_{width}x{height}.png")
    # The filter without any 8-bit rounding: grey, little-endian floats, from the first 13 x 9 of a hard pattern.
    hard = [255.0 if (x * 7 + y * 5) % 11 < 4 else float(x * y % 40) for y in range(9) for x in range(13)]
    exact = Image.new("F", (13, 9))
    exact.putdata(hard)
    for width, height in [(5, 4), (17, 23), (13, 3)]:
        values = list(exact.resize((width, height), Image.Resampling.LANCZOS).get_flattened_data())
        (HERE / f"resize_exact_{width}x{height}.f32").write_bytes(struct.pack(f"<{len(values)}f", *values))
    # Alpha: a soft disc; what is hidden is bright red, which must not show.
    rgba = Image.new("RGBA", (40, 30))
    colours = scene(40, 30)
    pixels = []
    for y in range(30):
        for x in range(40):
            alpha = round(255 * max(0.0, min(1.0, (14 - math.hypot(x - 19.5, y - 14.5)) / 4)))
            colour = tuple(colours[3 * (40 * y + x):][:3]) if alpha else (255, 0, 0)
            pixels.append(colour + (alpha,))
    rgba.putdata(pixels)
    save(rgba, "resize_alpha_source.png")
    save(rgba.resize((17, 12), Image.Resampling.LANCZOS), "resize_alpha_17x12.png")


def orientation_goldens():
    picture = Image.frombytes("RGB", (24, 16), scene(24, 16))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        name = f"orientation_{orientation}"
        save(picture, name + ".jpg", exif=exif, quality=90, subsampling=0)
        with Image.open(HERE / (name + ".jpg")) as stored:
            save(ImageOps.exif_transpose(stored).convert("RGB"), name + ".png")
        save(picture, name + "_exif.png", exif=exif)
        save(picture, name + ".webp", exif=exif, lossless=True)
        save(picture, name + ".tiff", tiffinfo={0x0112: orientation}, compression="tiff_lzw")
        rgb = Image.frombytes("RGB", (24, 16), scene(24, 16))
        rgb.getexif()[0x0112] = orientation
        save(ImageOps.exif_transpose(rgb), name + "_exact.png")


def format_goldens():
    picture = Image.frombytes("RGB", (32, 24), scene(32, 24))
    save(picture, "plain.png")
    save(picture, "plain_420.jpg", quality=90, subsampling=2)
    save(picture, "plain_progressive.jpg", quality=90, progressive=True)
    save(picture.convert("L"), "grey.jpg", quality=90)
    cmyk = Image.new("CMYK", (32, 24))
    cmyk.putdata([(8 * x, 10 * y, 255 - 8 * x, 3 * y) for y in range(24) for x in range(32)])
    save(cmyk, "cmyk.jpg", quality=95)  # as Adobe does: inverted, with its marker
    save(cmyk, "cmyk.tiff")
    for name in ("plain_420", "plain_progressive", "grey", "cmyk"):
        with Image.open(HERE / (name + ".jpg")) as stored:
            save(stored.convert("RGB"), name + ".jpg.png")
    save(cmyk.convert("RGB"), "cmyk.tiff.png")
    palette = picture.quantize(13)
    save(palette, "palette.png", bits=4, transparency=2)
    with Image.open(HERE / "palette.png") as stored:
        save(stored.convert("RGBA"), "palette_expected.png")
    save(palette, "palette.tiff")
    save(palette.convert("RGB"), "palette_tiff_expected.png")
    bilevel = picture.convert("1")
    save(bilevel, "bilevel.tiff", compression="group4")
    save(bilevel.convert("RGB"), "bilevel_expected.png")
    save(picture, "jpeg_inside.tiff", compression="jpeg", quality=90)
    with Image.open(HERE / "jpeg_inside.tiff") as stored:
        save(stored.convert("RGB"), "jpeg_inside_expected.png")


resize_goldens()
orientation_goldens()
format_goldens()
