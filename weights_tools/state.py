"""Which of a file's named tensors are VGG's layers: PyTorch's, MatConvNet's, NumPy archives' and ONNX's names."""
import re

from weights_tools import layers
from weights_tools.known import Failure, printable

WEIGHT = {"weight", "W", "w", "kernel", "filter", "filters", "weights"}
BIAS = {"bias", "b", "B", "biases"}
INDEXED = re.compile(r"(?:(.*)\.)?(\d+)\.(weight|bias)")


def without_prefix(tensors):
    """Names as a bare VGG has them: features.0.weight ..., conv1_1.weight ..., classifier.0.weight ...

    What is before them goes: "module.features.0.weight" (DataParallel), "block1_conv1/kernel:0", "conv1_1_W". A
    Sequential that is the convolutions alone has "0.weight", or "vgg.0.weight" where it is part of something.
    """
    plain = {}
    for name in tensors:
        bending = re.search(r"(running|moving)_mean(?::0)?$|p_?re_?lu", name.lower())
        if bending and not re.search(r"(?:^|\.)(?:classifier|head|fc)", name):
            raise Failure(f"{printable(name)}: expected convolutions, ReLU and pooling alone, found "
                          + ("batch normalisation" if bending[1] else "PReLU"))
    sequential = _sequential(tensors)
    for name, tensor in tensors.items():
        key = _plain_name(name, sequential)
        if key is None:
            continue
        if key in plain:
            raise Failure(f"{printable(key)}: expected one such tensor, found two")
        plain[key] = tensor
    return plain


def _prefix(match):
    return (match[1] or "").split(".")[-1]


def _sequential(tensors):
    """What is before the numbers of a Sequential's convolutions, or of several that share one numbering: "", "vgg",
    "slice1" and "slice2". Nothing where a part is called features, as it is in a whole VGG."""
    matches = {name: match for name in tensors if (match := INDEXED.fullmatch(name))}
    if any(_prefix(match) == "features" for match in matches.values()):
        return set()
    return {match[1] for name, match in matches.items() if match[3] == "weight" and len(tensors[name].shape) == 4}


def _plain_name(name, sequential):
    if match := INDEXED.fullmatch(name):
        if _prefix(match) in ("features", "classifier"):
            return f"{_prefix(match)}.{match[2]}.{match[3]}"
        return f"features.{match[2]}.{match[3]}" if match[1] in sequential else None
    parts = re.split(r"[./]", re.sub(r":\d+$", "", name))
    conv = next(((c, part) for part in parts if (c := layers.conv_name(part))), None)
    if conv is None:
        return None
    role = re.sub(r"_\d+$", "", parts[-1])  # Keras 1 appends a counter: block1_conv1_W_1
    role = role if role in WEIGHT | BIAS else role.rsplit("_", 1)[-1]
    return None if role not in WEIGHT | BIAS else f"{conv[0]}.{'weight' if role in WEIGHT else 'bias'}"


def _refuse_bending(tensors, indices):
    """Layers in `features` with numbers of their own that are no convolutions."""
    for i in indices:
        weight = tensors[f"features.{i}.weight"]
        if len(weight.shape) != 1:
            continue
        raise Failure(f"features.{i}: expected a convolution, found batch normalisation or PReLU, which are not "
                      "supported")


def pairs(tensors, network):
    """(network, [(conv name, weight, bias)]) in network order, of names as without_prefix leaves them."""
    indices = sorted(int(m[1]) for name in tensors if (m := re.fullmatch(r"features\.(\d+)\.weight", name)))
    if indices:
        _refuse_bending(tensors, indices)
        indices = [i for i in indices if len(tensors[f"features.{i}.weight"].shape) == 4]
        fitting = [n for n in layers.BLOCKS if indices == layers.feature_indices(n)[:len(indices)]]
        if not indices or network not in (None, *fitting) or not fitting:
            raise Failure(f"layers: expected {network or 'vgg16 or vgg19'}, found convolutions at "
                          + (", ".join(map(str, indices)) or "no place"))
        network = network or fitting[0]  # a short file fits both: the same layers
        keys = [f"features.{i}" for i in indices]
    else:
        keys = [n for n in layers.names("vgg19") if f"{n}.weight" in tensors]
        if not keys:
            raise Failure("layers: expected features.0.weight ..., 0.weight ... or conv1_1.weight ..., found none")
        network = network or ("vgg19" if any(k.endswith("_4") for k in keys) else "vgg16")
    found = layers.names(network) if indices else keys
    missing = next((f"{k}.bias" for k in keys if f"{k}.bias" not in tensors), None)
    if missing:
        raise Failure(f"{missing}: expected beside its weight, found none")
    return network, [(name, tensors[f"{key}.weight"], tensors[f"{key}.bias"]) for name, key in zip(found, keys)]


def from_graph(convolutions, pools, network):
    """(network, [(conv name, weight, bias)]) of a graph's convolutions in order; its poolings show the blocks."""
    count = len(convolutions)
    network = network or {13: "vgg16", 16: "vgg19"}.get(count)
    if network is None or count > len(layers.names(network)):
        raise Failure(f"layers: expected 13 (VGG-16) or 16 (VGG-19) 3x3 convolutions, found {count}"
                      + ("" if count > 16 else " (--network says which a shorter one is)"))
    ends = [sum(layers.BLOCKS[network][:block]) for block in range(1, 5)]
    if pools != [end for end in ends if end < count]:
        raise Failure(f"layers: expected {network}'s pooling after convolutions {', '.join(map(str, ends))}, found it "
                      f"after {', '.join(map(str, pools)) or 'none'}")
    return network, [(name, weight, bias) for name, (_, weight, bias) in zip(layers.names(network), convolutions)]


def to_layers(found):
    """Layers with their filters as (3, 3, in, out), whichever way round the file has them."""
    shapes = [tuple(weight.shape) for _, weight, _ in found]
    outer = all(len(shape) == 4 and shape[2:] == (3, 3) for shape in shapes)  # PyTorch, Caffe, ONNX: out, in, 3, 3
    inner = all(len(shape) == 4 and shape[:2] == (3, 3) for shape in shapes)  # Keras, MatConvNet: 3, 3, in, out
    if not outer and not inner:
        odd = next((i for i, s in enumerate(shapes) if len(s) != 4 or (s[2:] != (3, 3) and s[:2] != (3, 3))), 0)
        raise Failure(f"{found[odd][0]}: expected (out,in,3,3) or (3,3,in,out), found {shapes[odd]}")
    converted = []
    for name, weight, bias in found:
        values = weight.array()
        converted.append(layers.Layer(name, layers.as_float32(values.transpose(2, 3, 1, 0) if outer else values),
                                      bias.array().reshape(-1)))
    return converted
