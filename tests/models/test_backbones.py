"""The backbones against the published implementations: every name, every shape, the count, and the output."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from edgefas.models.efficientnet import EfficientNetB0
from edgefas.models.ghostnet import GhostNet
from edgefas.models.mobilenetv2 import MobileNetV2
from edgefas.models.resnet import ResNet18
from edgefas.models.resnext import ResNeXt
from edgefas.models.vit import VisionTransformer
from edgefas.models.xception import Xception
from tests.models.make_reference import describe

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())
BACKBONES: dict[str, Callable[[int, int], nn.Module]] = {
    "mobilenetv2": MobileNetV2,
    "resnet18": ResNet18,
    "ghostnet": GhostNet,
    "efficientnet-b0": EfficientNetB0,
    "resnext50": ResNeXt,
    "xception": Xception,
}
# timm 1.0.31 and torchvision 0.28
PUBLISHED = {
    "mobilenetv2": 3_504_872,
    "resnet18": 11_689_512,
    "ghostnet": 5_182_508,
    "efficientnet-b0": 5_288_548,
    "resnext50": 25_028_904,
    "xception": 22_855_952,
}


@pytest.mark.parametrize("name", BACKBONES)
def test_published_weights_would_load_and_give_the_published_output(name: str) -> None:
    got, want = describe(BACKBONES[name](3, 1000)), REFERENCE[name]
    assert got["params"] == want["params"] == PUBLISHED[name]
    assert got["names"] == want["names"]
    assert got["names_sha256"] == want["names_sha256"]
    torch.testing.assert_close(torch.tensor(got["logits"]), torch.tensor(want["logits"]), rtol=1e-3, atol=1e-4)


def test_the_vision_transformer_too_with_its_positions_as_a_buffer() -> None:
    network = VisionTransformer(3, 1000, size_px=(96, 80), patch_px=16, dim=192, depth=12, heads=3)
    got, want = describe(network), REFERENCE["vit-tiny"]
    assert got["params"] + network.pos_embed.numel() == want["params"] == 5_685_544  # timm 1.0.31, 96x80 pixels
    assert got["names"] == want["names"]
    assert got["names_sha256"] == want["names_sha256"]
    torch.testing.assert_close(torch.tensor(got["logits"]), torch.tensor(want["logits"]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet18", "ghostnet", "efficientnet-b0"])
def test_feature_maps_meet_at_one_thirty_second(name: str) -> None:
    network = BACKBONES[name](1, 0).eval()
    with torch.no_grad():
        features = network.forward_features(torch.zeros(1, 1, 112, 80))  # type: ignore[operator]
    assert features.shape == (1, network.num_features, 4, 3)


@pytest.mark.parametrize(("backbone", "params"), [(MobileNetV2, 1_968_680), (EfficientNetB0, 1_712_522)])
def test_half_width_has_the_published_count(backbone: Callable[..., nn.Module], params: int) -> None:
    """timm's mobilenetv2_050, and its efficientnet_b0 with channel_multiplier=0.5."""
    assert sum(p.numel() for p in backbone(3, 1000, width=0.5).parameters()) == params
