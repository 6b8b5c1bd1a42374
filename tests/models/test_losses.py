"""Class weights: what each class counts in a batch's mean."""

import pytest
import torch

from edgefas.models.losses import class_weights


@pytest.mark.parametrize(
    ("labels", "bona_fide", "attack"),
    [
        ([1, 0], 0.5, 0.5),
        ([1, 0, 0, 0], 0.5, 0.5),
        ([1] + [0] * 19, 0.25, 0.95 / 1.8),  # below a tenth: weighed as a tenth
        ([1, 1, 1], 5 / 9, 0),
        ([0, 0], 0, 5 / 9),
        ([0.9, 0.1, 0.1, 0.1], 0.5, 0.5),  # smoothed
    ],
)
def test_what_a_class_counts(labels: list[float], bona_fide: float, attack: float) -> None:
    y = torch.tensor(labels, dtype=torch.float32)
    weights, alive = class_weights(y), y > 0.5
    assert (weights * alive).mean().item() == pytest.approx(bona_fide)
    assert (weights * ~alive).mean().item() == pytest.approx(attack)
