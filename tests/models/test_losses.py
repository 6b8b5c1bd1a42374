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
    ],
)
def test_what_a_class_counts(labels: list[int], bona_fide: float, attack: float) -> None:
    y = torch.tensor(labels, dtype=torch.float32)
    weights = class_weights(y)
    assert (weights * y).mean().item() == pytest.approx(bona_fide)
    assert (weights * (1 - y)).mean().item() == pytest.approx(attack)
