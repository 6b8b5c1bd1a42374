"""Write reference.json: names, shapes and outputs of the published implementations, filled with weights by formula.

Needs torchvision and timm, which the tests do not: python tests/models/make_reference.py tests/models/reference.json
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def formula_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The same weights for the same names and shapes, at a scale that keeps activations alive."""
    state = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.int64)
            continue
        if len(shape) > 1:
            values = rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
        elif name.endswith(("running_var", "weight")):
            values = rng.uniform(0.5, 1.5, shape)
        else:
            values = rng.normal(size=shape) * 0.1
        state[name] = torch.from_numpy(values).float()
    return state


def picture() -> Tensor:
    """(1, 3, 96, 80), odd enough to show a wrong stride or padding."""
    return torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 96, 80))).float()


def describe(network: nn.Module) -> dict[str, object]:
    """Names with shapes as a digest, their count, the parameters, and five of the 1000 logits."""
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    network.load_state_dict(formula_weights(shapes))
    with torch.no_grad():
        logits = network.eval()(picture())[0, :5].tolist()
    return {
        "names_sha256": hashlib.sha256("\n".join(f"{n} {s}" for n, s in sorted(shapes.items())).encode()).hexdigest(),
        "names": len(shapes),
        "params": sum(p.numel() for p in network.parameters()),
        "logits": logits,
    }


if __name__ == "__main__":
    import timm
    import torchvision

    networks = {
        "mobilenetv2": torchvision.models.mobilenet_v2(),
        "resnet18": torchvision.models.resnet18(),
        "ghostnet": timm.create_model("ghostnet_100"),
        "efficientnet-b0": timm.create_model("efficientnet_b0"),
        "vit-tiny": timm.create_model("vit_tiny_patch16_224", img_size=picture().shape[2:]),
        "resnext50": torchvision.models.resnext50_32x4d(),
        "xception": timm.create_model("legacy_xception"),
    }
    Path(sys.argv[1]).write_text(json.dumps({k: describe(v) for k, v in networks.items()}, indent=1) + "\n")
