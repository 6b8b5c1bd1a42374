"""The cross entropy that is trained on, against a transcription: classes weigh the same, labels are smoothed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgefas.models import create_model
from edgefas.training.objective import objective

SCORES = np.array([2.0, -1.5, 0.3, -4.0, 1.2, -0.1, -2.2])
CLASSES = np.array([1, 0, 0, 0, 1, 0, 0])


class Given(nn.Module):
    """A network whose scores are known."""

    def forward(self, rgb: Tensor) -> Tensor:
        return rgb


def by_hand(scores: np.ndarray, classes: np.ndarray, smoothing: float) -> float:
    """The mean of each class's mean, in nats; the truth is 1 - smoothing or smoothing."""
    alive = 1 / (1 + np.exp(-scores))
    truth = np.where(classes == 1, 1 - smoothing, smoothing)
    each = -truth * np.log(alive) - (1 - truth) * np.log(1 - alive)
    return float(each[classes == 1].mean() + each[classes == 0].mean()) / 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classes_weigh_the_same(smoothing: float) -> None:
    terms = objective(Given(), smoothing)(bona_fide=torch.from_numpy(CLASSES).double(), rgb=torch.from_numpy(SCORES))
    assert list(terms) == ["bce"]
    assert terms["bce"].item() == pytest.approx(by_hand(SCORES, CLASSES, smoothing), rel=1e-12)


def test_smoothing_leaves_the_weights_of_classes_as_they_are() -> None:
    """Also in a loss that a network brings itself."""
    torch.manual_seed(0)
    small = {"size_px": 32, "width": 0.25, "adapter": 4, "hidden": 8, "regrad": False}
    model = create_model("uadapter-fas", **small).double().eval()
    nn.init.normal_(model.classifier[-1].weight)  # scores as of a trained network
    inputs = {m.value: torch.randn(7, *model.input_spec.shape(m)).double() for m in model.input_spec.modalities}
    terms = objective(model, 0.1)(bona_fide=torch.from_numpy(CLASSES).double(), **inputs)
    with torch.no_grad():
        scores = model.classify(model.features(list(inputs.values()))).numpy()
    assert terms["cross_entropy"].item() == pytest.approx(by_hand(scores, CLASSES, 0.1), rel=1e-6)
