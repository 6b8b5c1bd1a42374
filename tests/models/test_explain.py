"""Looking into networks: into each that there is, and at the place that decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgefas.models import create_model, explain, list_models
from edgefas.models.explain import Explainer
from edgefas.models.patches import mean_over_grid, merge_grid


def looking_into(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Explainer:
    monkeypatch.setattr(explain, "load_checkpoint", lambda path: model)
    return Explainer(Path("given.safetensors"))


@pytest.mark.parametrize("name", [entry.name for entry in list_models()])
def test_every_network_shows_its_features_and_where_it_looks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = create_model(name)
    explainer, spec = looking_into(model, monkeypatch), model.input_spec
    rng = np.random.default_rng(0)
    inputs = {m.value: rng.normal(size=(1, *spec.shape(m))).astype(np.float32) for m in spec.modalities}
    features = explainer.features(inputs)
    assert features.shape[0] == 1
    assert np.isfinite(features).all()
    for modality, heat in explainer.heat(inputs).items():
        assert heat.shape == inputs[modality].shape[2:]
        assert 0 <= heat.min() <= heat.max() <= 1


class Bright(nn.Module):
    """Bona fide is what is bright, in the mean over nine patches."""

    patch_px = 16

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.same.weight)
        self.fc = nn.Linear(1, 1)
        nn.init.ones_(self.fc.weight)

    def forward(self, depth: Tensor) -> Tensor:
        return mean_over_grid(self._score, depth, self.patch_px)

    def _score(self, x: Tensor) -> Tensor:
        given: Tensor = self.fc(self.same(x).mean((2, 3)))
        return given.squeeze(1)


@pytest.mark.parametrize("size", [32, 64])
def test_heat_lies_where_the_patch_lay(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 32 pixels patches overlap, at 64 they leave gaps."""
    picture = np.zeros((1, 1, size, size), np.float32)
    picture[..., -6:, :6] = 1
    explainer = looking_into(Bright(), monkeypatch)
    heat = explainer.heat({"depth": picture})["depth"]
    assert (heat[-6:, :6] > 0.99).all()
    assert heat[: size // 2].max() == heat[:, size // 2 :].max() == 0
    assert explainer.features({"depth": picture})[0, 0] == pytest.approx(36 / 256 / 9)


def test_merged_patches_are_the_picture() -> None:
    picture = torch.randn(2, 3, 20, 24)
    patches: list[Tensor] = []
    mean_over_grid(lambda x: patches.append(x) or x[:, 0, 0, 0], picture, 12)  # type: ignore[func-returns-value]
    of_each = patches[0].unflatten(0, (9, 2))
    for number in range(2):
        torch.testing.assert_close(merge_grid(of_each[:, number], 20, 24), picture[number])
