"""The content digest: SHA-256 over a network's values, the same for every file that holds them. Needs numpy.

Each layer makes one line, "conv1_1 3 3 3 64 HEX": name, filter's shape (HWIO) and the SHA-256 of the filter's values
(flat, float32, little endian) and then the bias'. The digest is the SHA-256 of "impasto-content 1", the network's name
and these lines in network order, each line with its newline.
"""
import hashlib

import numpy

from weights_tools import known


def layer_digest(layer):
    sha256 = hashlib.sha256(numpy.ascontiguousarray(layer.filter, "<f4"))
    sha256.update(numpy.ascontiguousarray(layer.bias, "<f4"))
    return sha256.hexdigest()


def digest(layers, network):
    """(content digest, each layer's) in hex."""
    each = [layer_digest(layer) for layer in layers]
    lines = ["impasto-content 1", network]
    lines += [f"{layer.name} {' '.join(map(str, layer.filter.shape))} {hexes}" for layer, hexes in zip(layers, each)]
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest(), each


def recognise(layers, network):
    """(entry of known.FILES or None, what to say of a file that nearly is one or None, content digest)."""
    whole, each = digest(layers, network)
    entry = next((k for k in known.FILES if k.content == whole), None)
    if entry is not None:
        return entry, None, whole
    for name, expected in known.LAYER_DIGESTS.items():
        other = [layer.name for layer, found, known_start in zip(layers, each, expected)
                 if not found.startswith(known_start)]
        if len(each) == len(expected) and 2 * len(other) < len(each):
            return None, f"unknown, differs from {name} in {', '.join(other)}", whole
    return None, None, whole
