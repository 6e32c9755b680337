#!/usr/bin/env python3
"""Writes golden.json: what PyTorch computes, in double precision, for the objective that docs/losses.md defines.

    python3 tests/golden/network/make_golden.py          needs torch and numpy; half a minute on two cores

Nothing here is shared with the engine: the network is torch.nn.functional, gradients come from autograd, the
optimisers are torch.optim's. tests/test_golden.cpp rebuilds the same weights and pictures from the integers below
(so that the file carries results only) and compares the engine with every number.

Layout of every flat index: (y, x, channel), as the engine stores feature maps and pictures.
"""
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)
MEAN = (103.939, 116.779, 123.68)  # BGR
SEED = {"vgg16": 16, "vgg19": 19}
# key of the noise in it, width, height: odd ones, so that every pooling layer drops a row or a column somewhere
PICTURES = {"content": (1, 39, 34), "style": (2, 33, 26), "second style": (3, 28, 37), "start": (4, 39, 34)}
NUM_SAMPLES = {"activation": 32, "gradient": 64}
STEPS = 12


def splitmix64(x):
    """Steele, Lea, Flood 2014, on an array or scalar of uint64."""
    with np.errstate(over="ignore"):
        x = np.asarray(x, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def normals(key, count):
    """Box-Muller over splitmix64(key + i)."""
    with np.errstate(over="ignore"):
        bits = splitmix64(key + np.arange(count, dtype=np.uint64)) >> np.uint64(11)
    u = bits.astype(np.float64)
    radius = np.sqrt(-2 * np.log((u[0::2] + 0.5) * 2.0**-53))
    angle = 2 * math.pi * (u[1::2] * 2.0**-53)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


def layer_names(network):
    """conv1_1, relu1_1, ..., pool1, ... in order."""
    names = []
    for block, convs in enumerate(BLOCKS[network], 1):
        for k in range(1, convs + 1):
            names += [f"conv{block}_{k}", f"relu{block}_{k}"]
        names.append(f"pool{block}")
    return names[:-1]  # pool5 feeds only the classifier


def random_weights(network, seed):
    """name -> (filter OIHW, bias), float32 values held in double."""
    weights, cin, index = {}, 3, 0
    for name in layer_names(network):
        if not name.startswith("conv"):
            continue
        cout = CHANNELS[int(name[4]) - 1]
        with np.errstate(over="ignore"):
            key = splitmix64(np.uint64(seed) + np.uint64(index + 1) * np.uint64(0xD1B54A32D192ED03))
        hwio = (normals(key, 9 * cin * cout) * math.sqrt(2 / (9 * cin))).astype(np.float32).reshape(3, 3, cin, cout)
        bias = (0.1 * normals(splitmix64(key ^ np.uint64(0xB1A5)), cout)).astype(np.float32)
        weights[name] = (torch.from_numpy(hwio.astype(np.float64).transpose(3, 2, 0, 1).copy()),
                         torch.from_numpy(bias.astype(np.float64)))
        cin, index = cout, index + 1
    return weights


def picture(name):
    """(1, 3, h, w): integer pixels 0..255 minus the mean, BGR; slanted triangle waves and a quarter of noise."""
    key, w, h = PICTURES[name]
    y, x, c = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing="ij")
    t = ((5 + 2 * key) * y + (3 + 4 * c + key) * x + 80 * c + 40 * key) % 512
    wave = np.where(t < 256, t, 511 - t)
    noise = splitmix64(np.uint64(key << 32) + np.arange(h * w * 3, dtype=np.uint64)) >> np.uint64(56)
    pixels = (3 * wave + noise.reshape(h, w, 3).astype(np.int64)) // 4
    return torch.from_numpy((pixels - np.array(MEAN)).transpose(2, 0, 1)[None].copy())


def forward(weights, network, x, pooling, wanted):
    """name -> (1, C, h, w) for the layers wanted; stops after the last of them."""
    taps, left = {}, set(wanted)
    for name in layer_names(network):
        if not left:
            break
        if name.startswith("conv"):
            x = F.conv2d(x, *weights[name], padding=1)
        elif name.startswith("relu"):
            x = F.relu(x)
        elif pooling == "max":
            x = F.max_pool2d(x, 2)
        else:
            x = F.avg_pool2d(x, 2)
        if name in left:
            taps[name] = x
            left.remove(name)
    return taps


def gram(f):
    """F^T F / N, (C, C)."""
    flat = f[0].flatten(1)
    return flat @ flat.T / flat.shape[1]


def content_term(scaling, f, p):
    total = (f - p).square().sum()
    return {"relative": total / p.square().sum(), "paper": total / 2, "mean": total / p.numel()}[scaling]


def style_term(scaling, g, a):
    total, c = (g - a).square().sum(), a.shape[0]
    return {"relative": total / a.square().sum(), "paper": total / (4 * c**2), "mean": total / c**4}[scaling]


def tv_term(kind, x):
    """x in 0..255 units."""
    dx, dy = x[:, :, :, 1:] - x[:, :, :, :-1], x[:, :, 1:, :] - x[:, :, :-1, :]
    if kind == "l1":
        return dx.abs().sum() + dy.abs().sum()
    dx, dy = dx / 255, dy / 255
    if kind == "l2":
        return dx.square().mean() + dy.square().mean()
    return (dx.square().sum() + dy.square().sum()) / 2


class Objective:
    """J of one case (a dict of plain values, written to the file as it is)."""

    def __init__(self, case, weights):
        self.case, self.weights = case, weights[case["network"]]
        self.wanted = {**case["content_layers"], **case["style_layers"]}
        self.content = self.taps(picture("content"))
        total = sum(case["style_blend"])
        self.grams = {name: 0 for name in case["style_layers"]}
        for style, share in zip(case["styles"], case["style_blend"]):
            taps = self.taps(picture(style))
            for name in self.grams:
                self.grams[name] = self.grams[name] + share / total * gram(taps[name])

    def taps(self, x):
        return forward(self.weights, self.case["network"], x, self.case["pooling"], self.wanted)

    def __call__(self, x):
        """J, unweighted terms."""
        case, taps = self.case, self.taps(x)
        content = {n: content_term(case["scaling"], taps[n], self.content[n]) for n in case["content_layers"]}
        style = {n: style_term(case["scaling"], gram(taps[n]), self.grams[n]) for n in case["style_layers"]}
        tv = tv_term(case["tv"], x)
        loss = case["tv_weight"] * tv
        for factor, layers, terms in ((case["content_weight"], case["content_layers"], content),
                                      (case["style_weight"], case["style_layers"], style)):
            if case["normalize"]:
                factor = factor / sum(layers.values())
            loss = loss + factor * sum(layers[n] * terms[n] for n in terms)
        return loss, {"content": {n: t.item() for n, t in content.items()},
                      "style": {n: t.item() for n, t in style.items()}, "tv": tv.item()}


def flat(x):
    """(1, C, h, w) -> (y, x, channel), flat."""
    return x.detach()[0].permute(1, 2, 0).reshape(-1).numpy()


def summary(x, kind):
    """Sample k is element splitmix64(k) mod size; three more numbers see every element."""
    values = flat(x)
    at = splitmix64(np.arange(NUM_SAMPLES[kind], dtype=np.uint64)) % np.uint64(values.size)
    return {"mean": float(values.mean()), "norm": float(np.linalg.norm(values)), "max": float(np.abs(values).max()),
            "samples": values[at.astype(np.int64)].tolist()}


def make_case(**changes):
    case = {"network": "vgg16", "pooling": "max", "scaling": "relative", "normalize": True, "content_weight": 0.05,
            "style_weight": 1.0, "tv_weight": 0.1, "tv": "l2", "content_layers": {"relu4_2": 1.0},
            "style_layers": {f"relu{b}_1": 1.0 for b in range(1, 6)}, "styles": ["style"], "style_blend": [1.0],
            "start": "start"}
    return {**case, **changes}


# alpha, beta, and tau of each total variation, so that every term weighs in the sum
SCALINGS = {
    "relative": {"scaling": "relative", "content_weight": 0.05, "style_weight": 1.0},
    "paper": {"scaling": "paper", "content_weight": 1.0, "style_weight": 1e3},
    "mean": {"scaling": "mean", "content_weight": 5.0, "style_weight": 100.0, "normalize": False},
}
TV_SHARE = {"l2": 10.0, "l1": 1e-5, "half-sum": 1e-2}


def objective_cases(weights):
    cases = []
    for changes in SCALINGS.values():
        for tv, share in TV_SHARE.items():
            size = {"relative": 1.0, "paper": 1e9, "mean": 1e5}[changes["scaling"]]
            cases.append(make_case(**changes, tv=tv, tv_weight=share * size))
    conv_taps = {"content_layers": {"conv2_2": 1.0, "relu4_1": 3.0},
                 "style_layers": {"conv1_1": 1.0, "conv3_2": 0.5, "relu3_2": 2.0, "relu4_1": 1.0, "conv5_1": 0.25}}
    for changes in SCALINGS.values():
        cases.append(make_case(**changes, **conv_taps, tv_weight=0.0))
        cases.append(make_case(**changes, styles=["style", "second style"], style_blend=[0.7, 2.1], pooling="average"))
    for pooling in ("max", "average"):
        cases.append(make_case(network="vgg19", pooling=pooling))
    for case in cases:
        x = picture(case["start"]).requires_grad_()
        loss, terms = Objective(case, weights)(x)
        loss.backward()
        case["expect"] = {"loss": loss.item(), **terms, "gradient": summary(x.grad, "gradient")}
    return cases


class Momentum(torch.optim.Optimizer):
    """v = momentum v + g; x -= learning_rate v."""

    def __init__(self, parameters, lr, momentum):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for x in group["params"]:
                state = self.state[x]
                state["v"] = group["momentum"] * state.get("v", 0) + x.grad
                with torch.no_grad():
                    x -= group["lr"] * state["v"]
        return loss


def optimizers(scaling):
    gd = {"relative": 2e4, "paper": 1e-5, "mean": 1.0}[scaling]
    return [
        ({"optimizer": "lbfgs", "learning_rate": 1.0, "history": 100}, torch.optim.LBFGS),
        ({"optimizer": "lbfgs", "learning_rate": 0.8, "history": 3}, torch.optim.LBFGS),
        ({"optimizer": "adam", "learning_rate": 2.0}, torch.optim.Adam),
        ({"optimizer": "gd", "learning_rate": gd, "momentum": 0.0}, Momentum),
        ({"optimizer": "gd", "learning_rate": gd / 4, "momentum": 0.8}, Momentum),
    ]


def trace_cases(weights):
    """STEPS evaluations from the content picture, as a render does them, and the picture after the last move."""
    traces = []
    for scaling, changes in SCALINGS.items():
        case = make_case(**changes, start="content", tv_weight=0.0)
        objective = Objective(case, weights)
        for options, kind in optimizers(scaling):
            x = picture("content").requires_grad_()
            if options["optimizer"] == "lbfgs":
                arguments = {"lr": options["learning_rate"], "history_size": options["history"], "max_iter": 1,
                             "tolerance_grad": -1, "tolerance_change": -1}
            else:
                arguments = {"lr": options["learning_rate"]}
                if "momentum" in options:
                    arguments["momentum"] = options["momentum"]
            optimizer, losses = kind([x], **arguments), []

            def closure():
                optimizer.zero_grad()
                loss, _ = objective(x)
                loss.backward()
                losses.append(loss.item())
                return loss

            for _ in range(STEPS):
                optimizer.step(closure)
            traces.append({**case, **options, "losses": losses, "picture": summary(x, "gradient")})
            print(scaling, options, " ".join(f"{v:.6g}" for v in losses))
    return traces


def main():
    torch.set_num_threads(2)
    weights = {network: random_weights(network, SEED[network]) for network in BLOCKS}
    golden = {
        "made_by": f"make_golden.py with torch {torch.__version__.split('+')[0]}, numpy {np.__version__}, float64",
        "seeds": SEED,
        "pictures": {n: {"key": k, "width": w, "height": h, **summary(picture(n), "activation")}
                     for n, (k, w, h) in PICTURES.items()},
        "weights": [{"network": network, "layer": name, "filter_norm": f.norm().item(), "filter_sum": f.sum().item(),
                     "bias_norm": b.norm().item(), "bias_sum": b.sum().item()}
                    for network in BLOCKS for name, (f, b) in weights[network].items()],
    }
    golden["activations"] = [
        {"network": network, "pooling": pooling, "layer": name, "shape": [*tap.shape[2:], tap.shape[1]],
         **summary(tap, "activation")}
        for network in BLOCKS for pooling in ("max", "average")
        for name, tap in forward(weights[network], network, picture("content"), pooling, layer_names(network)).items()]
    golden["objectives"] = objective_cases(weights)
    golden["traces"] = trace_cases(weights)
    out = pathlib.Path(__file__).with_name("golden.json")
    with out.open("w") as file:  # one case a line, so that a difference can be read
        file.write("{\n")
        for i, (key, value) in enumerate(golden.items()):
            file.write(",\n" if i else "")
            if isinstance(value, list):
                file.write(f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(v) for v in value) + "\n]")
            else:
                file.write(f"{json.dumps(key)}: {json.dumps(value)}")
        file.write("\n}\n")
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
