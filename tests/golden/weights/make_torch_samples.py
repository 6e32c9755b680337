"""Wrote torch_zip.pth and torch_legacy.pth with PyTorch 2.11: `python make_torch_samples.py`, in this folder.

Four convolutions of a VGG with 2, 2, 3 and 3 channels; element i of the n-th tensor is n + i / 1000, so that a reader
can be checked without PyTorch. The last weight lies in memory channels last, to have strides of its own.
"""
import collections

import torch

state, channels, number = collections.OrderedDict(), 3, 0
for index, out in ((0, 2), (2, 2), (5, 3), (7, 3)):
    for kind, shape in (("weight", (out, channels, 3, 3)), ("bias", (out,))):
        count = torch.Size(shape).numel()
        state[f"features.{index}.{kind}"] = (number + torch.arange(count) / 1000).reshape(shape)
        number += 1
    channels = out
state["features.7.weight"] = state["features.7.weight"].contiguous(memory_format=torch.channels_last)
state["classifier.0.weight"] = torch.zeros(1, 3)
state._metadata = collections.OrderedDict(version=1)  # as Module.state_dict() has it
torch.save(state, "torch_zip.pth")
torch.save(state, "torch_legacy.pth", _use_new_zipfile_serialization=False)
