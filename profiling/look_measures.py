"""Three numbers that say how a render looks, none of which a render minimises. Lower is better for each.

style    distance of the result's feature distribution from the painting's: the Wasserstein-2 distance between Gaussians
         of the same mean and covariance, over the square root of the painting's total variance, mean of relu1_2, relu2_2
         and relu3_2 (taps that no preset uses). Dowson, Landau 1982, for the distance.
content  1 - cosine similarity of result and photograph at relu4_3, mean over the positions.
grain    |ln| of the energy of the highest octave (luminance less its blur by 1 4 6 4 1) over the painting's.

VGG-16 is computed here in NumPy, from the own schema's HDF5 file: no code is shared with the engine.
"""
import functools

import h5py
import numpy
from PIL import Image

STYLE_TAPS, CONTENT_TAP = ("relu1_2", "relu2_2", "relu3_2"), "relu4_3"
LAYERS = ("conv1_1", "conv1_2", "pool", "conv2_1", "conv2_2", "pool", "conv3_1", "conv3_2", "conv3_3", "pool",
          "conv4_1", "conv4_2", "conv4_3")
BORDER = 4  # pixels that the grain leaves out at each edge


def convolve(x, weights, bias):
    """relu(3x3 cross-correlation of x (h,w,c) with weights (3,3,c,k) + bias), zeros outside."""
    h, w, c = x.shape
    padded = numpy.pad(x, ((1, 1), (1, 1), (0, 0)))
    y = numpy.tile(bias, (h * w, 1))
    for dy in range(3):
        for dx in range(3):
            y += padded[dy:dy + h, dx:dx + w].reshape(-1, c) @ weights[dy, dx]
    return numpy.maximum(y, 0).reshape(h, w, -1)


def wasserstein(a, b):
    """Between the Gaussians of two sets of rows, over the square root of b's total variance."""
    mean_a, mean_b = a.mean(0), b.mean(0)
    cov_a, cov_b = numpy.cov(a.T), numpy.cov(b.T)
    values, vectors = numpy.linalg.eigh(cov_a)
    root = (vectors * numpy.sqrt(numpy.maximum(values, 0))) @ vectors.T
    cross = numpy.sqrt(numpy.maximum(numpy.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    squared = ((mean_a - mean_b) ** 2).sum() + numpy.trace(cov_a) + numpy.trace(cov_b) - 2 * cross
    return (max(squared, 0) / numpy.trace(cov_b)) ** 0.5


def highest_octave(pixels):
    luminance = pixels @ numpy.array([0.299, 0.587, 0.114])
    kernel, blurred = numpy.array([1, 4, 6, 4, 1]) / 16, luminance
    for axis in (0, 1):
        padded = numpy.pad(blurred, [(2, 2) if i == axis else (0, 0) for i in range(2)], mode="reflect")
        n = blurred.shape[axis]
        blurred = sum(kernel[i] * numpy.take(padded, range(i, i + n), axis=axis) for i in range(5))
    return float(((luminance - blurred)[BORDER:-BORDER, BORDER:-BORDER] ** 2).mean())


def fit(path, long_side):
    """(width, height) of a picture at that long side."""
    width, height = Image.open(path).size
    return tuple(round(side * long_side / max(width, height)) for side in (width, height))


class Judge:
    def __init__(self, weights):
        """weights: a VGG-16 file of the own schema (docs/weights.md)."""
        with h5py.File(weights) as file:
            self.filters = {name: (file[name]["filter"][()], file[name]["bias"][()]) for name in LAYERS if name != "pool"}
            self.mean = numpy.asarray(file.attrs["mean"], numpy.float32)  # blue first, as the filters

    def features(self, pixels):
        """Feature maps (positions, channels) at the taps, of pixels (h,w,3) in 0..1, red first."""
        x, taps = (pixels[:, :, ::-1] * 255 - self.mean).astype(numpy.float32), {}
        for name in LAYERS:
            if name == "pool":
                h, w = x.shape[0] // 2, x.shape[1] // 2
                x = x[:2 * h, :2 * w].reshape(h, 2, w, 2, -1).max((1, 3))
                continue
            x = convolve(x, *self.filters[name])
            tap = name.replace("conv", "relu")
            if tap in STYLE_TAPS or tap == CONTENT_TAP:
                taps[tap] = x.reshape(-1, x.shape[2]).astype(numpy.float64)
        return taps

    @functools.lru_cache(maxsize=16)
    def measured(self, path, size):
        picture = Image.open(path).convert("RGB")
        if picture.size != size:
            picture = picture.resize(size, Image.LANCZOS)
        pixels = numpy.asarray(picture, numpy.float32) / 255
        return self.features(pixels), highest_octave(pixels)

    def judge(self, result, content, style):
        """{"style", "content", "grain"} of three picture files; photograph and painting at the result's long side."""
        size = Image.open(result).size
        features, octave = self.measured.__wrapped__(self, result, size)
        wanted, _ = self.measured(content, size)
        painted, painted_octave = self.measured(style, fit(style, max(size)))
        a, b = features[CONTENT_TAP], wanted[CONTENT_TAP]
        lengths = numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1)
        return {"style": float(numpy.mean([wasserstein(features[tap], painted[tap]) for tap in STYLE_TAPS])),
                "content": float(1 - ((a * b).sum(1) / numpy.maximum(lengths, 1e-9)).mean()),
                "grain": abs(float(numpy.log(octave / painted_octave)))}
