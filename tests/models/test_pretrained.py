"""Weights under the names of timm and torchvision find their places, and what does not fit is listed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgefas.contracts import Modality
from edgefas.errors import UsageError
from edgefas.models import create_model
from edgefas.models.efficientnet import EfficientNetB0
from edgefas.models.ghostnet import GhostNet
from edgefas.models.mobilenetv2 import MobileNetV2
from edgefas.models.pretrained import load_pretrained
from edgefas.models.resnet import ResNet18
from edgefas.models.resnext import ResNeXt
from edgefas.models.vit import VisionTransformer
from edgefas.models.weights import CheckpointError
from edgefas.models.xception import Xception
from edgefas.training.loop import make_network
from edgefas.training.recipe import load_recipe
from tests.models.make_reference import formula_weights

# test_backbones.py shows that these have the names and shapes of the published networks
PUBLISHED: dict[str, Callable[[], nn.Module]] = {
    "mobilenetv2": lambda: MobileNetV2(3, 1000),
    "ghostnet": lambda: GhostNet(3, 1000),
    "resnet18": lambda: ResNet18(3, 1000),
    "efficientnet-b0": lambda: EfficientNetB0(3, 1000),
    "resnext50": lambda: ResNeXt(3, 1000),
    "xception": lambda: Xception(3, 1000),
}


def published(name: str, folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in PUBLISHED[name]().state_dict().items()}
    state = formula_weights(shapes)
    save_file(state, folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors", state


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_backbone_computes_what_the_published_one_does(name: str, tmp_path: Path) -> None:
    path, state = published(name, tmp_path)
    origin = PUBLISHED[name]()
    origin.load_state_dict(state)
    model = create_model(name, modality="rgb", size_px=64)
    load_pretrained(model, Modality.RGB, path)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        got = model.eval().backbone.forward_features(x)
        want = origin.eval().forward_features(x)  # type: ignore[operator]
    assert torch.equal(got, want)


@pytest.mark.parametrize("name", PUBLISHED)
def test_one_channel_is_the_same_picture_three_times(name: str, tmp_path: Path) -> None:
    """The first convolution is the only one that differs."""
    path, state = published(name, tmp_path)
    model = create_model(name, modality="ir", size_px=64)
    load_pretrained(model, Modality.IR, path)
    found = model.backbone.state_dict()
    features = {key: value for key, value in found.items() if not key.startswith(("fc.", "classifier."))}
    (first,) = [key for key, value in features.items() if value.shape != state[key].shape]
    assert all(torch.equal(value, state[key]) for key, value in features.items() if key != first)
    grey = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    want = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), state[first])
    torch.testing.assert_close(torch.nn.functional.conv2d(grey, features[first]), want, rtol=1e-4, atol=1e-4)


def test_dah_fas_takes_one_file_per_branch_and_keeps_its_own_parts_fresh(tmp_path: Path) -> None:
    model = create_model("dah-fas", size_px=64)
    files = {Modality.RGB: "mobilenetv2", Modality.IR: "ghostnet", Modality.DEPTH: "resnet18"}
    fresh = {}
    for modality, name in files.items():
        path, state = published(name, tmp_path)
        fresh[modality] = load_pretrained(model, modality, path)
        if modality is Modality.RGB:
            place = model.branches["rgb"].backbone.features[4].conv[1][0]
            assert torch.equal(place.separable[0].weight, state["features.4.conv.1.0.weight"])
            assert torch.equal(model.branches["rgb"].backbone.features[18][0].weight, state["features.18.0.weight"])
    assert fresh[Modality.IR] == fresh[Modality.DEPTH] == []
    parts = {name.split(".conv.1.0.")[1].split(".")[0] for name in fresh[Modality.RGB]}
    assert parts == {"separable", "deformable", "detail", "weigh"}
    assert not any(name.endswith("separable.0.weight") for name in fresh[Modality.RGB])


@pytest.mark.parametrize(("backbones", "modalities"), [("shared", ["rgb"]), ("separate", ["rgb", "ir", "depth"])])
def test_uadapter_takes_as_many_as_it_has_backbones(backbones: str, modalities: list[str], tmp_path: Path) -> None:
    model = create_model("uadapter-fas", backbones=backbones)
    path, state = published("efficientnet-b0", tmp_path)
    for i, modality in enumerate(modalities):
        load_pretrained(model, Modality(modality), path)
        assert torch.equal(model.backbones[i].conv_head.weight, state["conv_head.weight"])
    if backbones == "shared":
        with pytest.raises(UsageError, match="no backbone of its own for ir; it has for rgb"):
            load_pretrained(model, Modality.IR, path)


def test_a_vision_transformer_takes_timms(tmp_path: Path) -> None:
    origin = VisionTransformer(3, 1000, size_px=(64, 64), patch_px=16, dim=192, depth=2, heads=3)
    save_file(origin.state_dict(), tmp_path / "vit.safetensors")
    model = create_model("mm-fas", dim=192, depth=2, heads=3, size_px=64)
    for modality in Modality:
        load_pretrained(model, modality, tmp_path / "vit.safetensors")
    want = origin.patch_embed.proj.weight.sum(1, keepdim=True)
    assert torch.equal(model.encoders["ir"].patch_embed.proj.weight, want)


def test_older_files_without_counters_of_batches_fit(tmp_path: Path) -> None:
    path, state = published("resnet18", tmp_path)
    save_file({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, path)
    model = create_model("resnet18")
    load_pretrained(model, Modality.DEPTH, path)
    assert torch.equal(model.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


def another(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "layer9.weight": torch.zeros(1)}


def narrower(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "layer1.0.conv1.weight": torch.zeros(64, 32, 3, 3)}


def without_a_layer(state: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state.items() if not k.startswith("layer3")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (another, "unexpected: layer9.weight"),
        (narrower, r"other shape: layer1.0.conv1.weight \(64, 32, 3, 3\), expected \(64, 64, 3, 3\)"),
        (without_a_layer, "missing: layer3.0.bn1.bias, .* and [0-9]+ more"),
    ],
)
def test_a_mismatch_lists_names_and_changes_nothing(change: Callable[..., Any], words: str, tmp_path: Path) -> None:
    path, state = published("resnet18", tmp_path)
    save_file(change(state), path)
    model = create_model("resnet18")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=f"does not fit the depth backbone of resnet18: {words}"):
        load_pretrained(model, Modality.DEPTH, path)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_another_network_is_refused(tmp_path: Path) -> None:
    path, _ = published("ghostnet", tmp_path)
    with pytest.raises(CheckpointError, match=r"missing: .*; unexpected: "):
        load_pretrained(create_model("mobilenetv2"), Modality.RGB, path)


@pytest.mark.parametrize(("name", "words"), [("a.pth", "never opened here"), ("a.safetensors", "cannot be read")])
def test_a_pickle_or_damage_is_never_opened(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04}.")
    with pytest.raises(CheckpointError, match=words):
        load_pretrained(create_model("resnet18"), Modality.DEPTH, tmp_path / name)


def test_a_recipe_names_them(tmp_path: Path) -> None:
    path, state = published("resnet18", tmp_path)
    recipe = load_recipe("dah-fas-sim", [f"pretrained.depth={path}"])
    model, _ = make_network(recipe)
    assert torch.equal(model.branches["depth"].backbone.conv1.weight, state["conv1.weight"].sum(1, keepdim=True))
