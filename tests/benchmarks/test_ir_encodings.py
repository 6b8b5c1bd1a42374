"""The arithmetic of the table of infrared encodings; its training runs by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from edgefas.benchmarks.accuracy import wilson
from edgefas.benchmarks.ir_encodings import DARK, LIGHTS, Row, auc, choose, statistics
from edgefas.benchmarks.ir_encodings import train as train_network
from edgefas.training.recipe import load_recipe


def _row(encoding: str, bpcer: int, apcer: int, light: str = "all") -> Row:
    return Row(encoding, light, wilson(bpcer, 200), wilson(apcer, 200), "rigid_mask", 0.9, 0.5, 0.5)


def test_auc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 6, 60).astype(np.float32)  # with ties
    species = np.array(["bona_fide", "flat_print", "rigid_mask"] * 20)
    alive, spoof = values[species == "bona_fide"], values[species != "bona_fide"]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(alive, spoof)]
    assert auc(values, species) == pytest.approx(np.mean(pairs))


def test_statistics_are_of_the_middle_in_shares_of_full_scale():
    picture = np.full((1, 1, 112, 112), 99.0, np.float32)
    picture[:, :, 28:84, 28:84] = 1.0  # (pixel / 255 - 0.5) / 0.25
    picture[:, :, 28:84, 28:56] = -1.0
    found = statistics(picture)
    assert found["mean"] == pytest.approx(0.5)
    assert found["contrast"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("active", "expected"),
    [((2, 3), "active"), ((20, 3), "active"), ((14, 24), "lit"), ((21, 0), "lit"), ((20, 30), "lit")],
    ids=["both lower", "one lower", "intervals touch", "one higher", "the same"],
)
def test_the_default_changes_only_where_the_table_leaves_no_doubt(active, expected):
    rows = [_row("lit", 20, 30), _row("unlit", 60, 60), _row("active", *active), _row("active", 0, 0, "led")]
    assert choose(rows) == expected


def test_the_dark_shows_subjects_that_no_network_was_trained_on():
    data = load_recipe("dah-fas-lite-sim").data
    assert data.test is not None
    assert DARK.first_subject > max(data.train.last_subject, data.validation.last_subject, data.test.last_subject)
    assert set(LIGHTS) == {"led", "tungsten", "daylight", "dark"}


def test_the_network_learns_what_is_there_to_learn(monkeypatch):
    from edgefas.benchmarks import ir_encodings

    monkeypatch.setattr(ir_encodings, "EPOCHS", 4)
    rng = np.random.default_rng(2)
    species = np.array(["bona_fide", "flat_print"] * 48)
    pictures = rng.normal(0, 0.3, (96, 1, 32, 32)).astype(np.float32)
    pictures[::2] += 1.0
    scores = ir_encodings.score([train_network(pictures, species, 1)], pictures)
    assert auc(scores, species) > 0.95
