"""The accuracy table: its intervals against their definition, its rates against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.benchmarks.accuracy import BRANCHES, EPOCHS, _errors, branch_recipe
from edgefas.evaluation.intervals import Z95, wilson
from edgefas.models import create_model
from edgefas.training.simulated import Samples


@given(st.integers(1, 5000), st.data())
def test_interval_ends_are_where_the_count_is_1_96_deviations_away(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    found = wilson(count, total)
    assert 0 <= found.low <= found.share <= found.high <= 1
    for end in (found.low, found.high):
        deviation = (end * (1 - end) / total) ** 0.5
        if 0 < end < 1 and deviation > 1e-9:
            assert abs(found.share - end) == pytest.approx(Z95 * deviation, rel=1e-6, abs=1e-9)


def test_no_error_of_many_is_no_certainty() -> None:
    assert wilson(0, 50).high == pytest.approx(0.0713, abs=1e-4)
    assert wilson(50, 50).low == pytest.approx(1 - 0.0713, abs=1e-4)


def test_errors_are_those_of_bona_fide_and_of_the_worst_species() -> None:
    species = np.array(["bona_fide"] * 4 + ["print"] * 2 + ["mask"] * 5)
    scores = np.array([1, 1, -1, 1, 1, -1, -1, -1, 1, -1, -1], np.float32)
    bpcer, apcer = _errors(scores, Samples({}, species, np.zeros(11, np.int64), 1.0), 0.0)
    assert (bpcer.count, bpcer.total) == (1, 4)
    assert (apcer.count, apcer.total) == (1, 2), "print: 1 of 2, mask: 1 of 5"


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_train_on_the_lite_networks_samples(name: str) -> None:
    recipe = branch_recipe(name)
    spec = create_model(recipe.model, **recipe.model_options).input_spec
    lite = create_model("dah-fas-lite").input_spec
    (modality,) = spec.modalities
    assert recipe.epochs == EPOCHS
    assert spec.shape(modality) == lite.shape(modality)
    assert spec.crop == lite.crop
