"""Reads the convolutions of a MatConvNet network (.mat, such as imagenet-vgg-verydeep-19.mat). Needs SciPy.

`layers` is a row of structures with `name` and `weights` {filter, bias} (or, before 2015, `filters` and `biases`);
filters are (h, w, in, out), red first.
"""
import numpy

from weights_tools import layers
from weights_tools.known import Failure, printable

BENDING = {"bnorm", "prelu", "lrn", "normalize", "normalizelp", "spnorm"}


class Values:
    def __init__(self, values):
        self.values, self.shape = values, tuple(values.shape)

    def array(self):
        """As float32, contiguous."""
        return layers.as_float32(self.values)


def read(path):
    """Tensors by name: conv1_1.weight, conv1_1.bias."""
    try:
        import scipy.io
    except ImportError as error:
        raise Failure("scipy: expected for a MATLAB file, found none (Debian: apt install python3-scipy)") from error
    try:
        content = scipy.io.loadmat(path, variable_names=["layers", "net"], struct_as_record=False)
        network = content.get("layers", getattr(_inner(content.get("net")), "layers", None))
        found = {} if network is None else _convolutions(network)
    except Failure:
        raise
    except Exception as error:  # what it raises for damaged files is not documented
        raise Failure(f"expected a sound MATLAB file, found damage ({printable(error, 100)})") from error
    if not found:
        raise Failure("expected a MatConvNet network ('layers' with 'weights'), found none")
    return found


def _inner(value):
    """MATLAB has no scalars: everything is an array of at least 1 x 1."""
    while isinstance(value, numpy.ndarray) and value.size == 1:
        value = value.flat[0]
    return value


def _convolutions(network):
    found = {}
    for layer in map(_inner, network.flat):
        kind = str(_inner(getattr(layer, "type", "")))
        if kind in BENDING:
            raise Failure(f"layers: expected convolutions, ReLU and pooling alone, found {printable(kind)} among them")
        weights = getattr(layer, "weights", None)
        if getattr(weights, "size", 0) == 2 and weights.dtype == object:
            weight, bias = weights.flat
        else:
            weight, bias = getattr(layer, "filters", None), getattr(layer, "biases", None)
        if getattr(weight, "ndim", 0) != 4 or bias is None:
            continue  # ReLU and pooling
        name = str(_inner(layer.name))
        found[f"{name}.weight"], found[f"{name}.bias"] = Values(weight), Values(bias.reshape(-1))
    return found
