"""Checkpoints: what they carry, and what is refused."""

import json
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch

from edgefas.contracts import InputSpec, Modality
from edgefas.models import create_model, load_checkpoint, save_checkpoint
from edgefas.models.registry import default_input_spec
from edgefas.models.weights import CheckpointError

CONFIG = {"modality": "depth", "size_px": 64}


def saved(folder: Path) -> Path:
    path = folder / "resnet.safetensors"
    save_checkpoint(path, "resnet18", CONFIG, create_model("resnet18", **CONFIG).state_dict())
    return path


def test_header_says_what_the_network_is(tmp_path: Path) -> None:
    raw = saved(tmp_path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])  # the safetensors format: length, JSON header, tensors
    metadata = json.loads(raw[8 : 8 + length])["__metadata__"]
    assert metadata["edgefas.model"] == "resnet18"
    assert json.loads(metadata["edgefas.config"]) == {**CONFIG, "patch_px": None}
    assert InputSpec.from_json(metadata["edgefas.input_spec"]) == default_input_spec(Modality.DEPTH, size_px=64)
    assert [p.name for p in tmp_path.iterdir()] == ["resnet.safetensors"]  # no temporary file stays


def test_what_does_not_fit_is_listed_and_nothing_written(tmp_path: Path) -> None:
    state = dict(create_model("resnet18", **CONFIG).state_dict())
    del state["backbone.bn1.weight"]
    state["backbone.extra"] = torch.zeros(1)
    state["backbone.fc.bias"] = torch.zeros(2)
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(tmp_path / "bad.safetensors", "resnet18", CONFIG, state)
    text = str(caught.value)
    assert "missing: backbone.bn1.weight" in text
    assert "unexpected: backbone.extra" in text
    assert "other shape: backbone.fc.bias (2,), expected (1,)" in text
    assert not list(tmp_path.iterdir())


def test_loading_checks_the_keys_too(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with safetensors.safe_open(path, framework="pt") as file:
        metadata, state = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    del state["backbone.conv1.weight"]
    safetensors.torch.save_file(state, path, metadata)
    with pytest.raises(CheckpointError, match=r"missing: backbone\.conv1\.weight"):
        load_checkpoint(path)


def test_foreign_and_broken_files(tmp_path: Path) -> None:
    foreign, broken = tmp_path / "foreign.safetensors", tmp_path / "broken.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(1)}, foreign)
    broken.write_bytes(saved(tmp_path).read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"no 'edgefas\.model' in its header"):
        load_checkpoint(foreign)
    for path in (broken, tmp_path / "absent.safetensors"):
        with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("edgefas.config", "{"),
        ("edgefas.config", "[1]"),
        ("edgefas.config", '{"width": "wide"}'),
        ("edgefas.model", "dah-fass"),
        ("edgefas.input_spec", "{}"),
    ],
)
def test_a_header_that_cannot_be_used_names_the_file(tmp_path: Path, key: str, value: str) -> None:
    path = saved(tmp_path)
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), key: value}
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata)
    with pytest.raises(CheckpointError, match=f"{path} has a header that this edgefas cannot use"):
        load_checkpoint(path)
