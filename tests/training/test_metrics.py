"""The loss that training watches, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgefas.training.metrics import balanced_cross_entropy


def test_cross_entropy_weighs_the_classes_equally() -> None:
    scores = np.array([1.0, -1.0, -1.0, -1.0])
    species = np.array(["bona_fide", "mask", "mask", "mask"])
    assert balanced_cross_entropy(scores, species) == pytest.approx(np.log1p(np.exp(-1)))
