"""What is in the folder of a run: never of two runs, and best is the best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edgefas.errors import UsageError
from edgefas.files import FileWriteError
from edgefas.models import load_checkpoint
from edgefas.models.weights import CheckpointError
from edgefas.training import loop
from edgefas.training import samples as training_samples
from edgefas.training.diagnose import NotFinite
from edgefas.training.loop import train
from edgefas.training.progress import silent
from edgefas.training.run_folder import CHECKPOINT, EVENTS, LAST, METRICS, RECIPE, RESUME, claimed
from tests.training.test_interruptions import relief, tiny


@pytest.fixture(autouse=True)
def _given_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_samples, "samples_for", lambda data, split, *rest: relief(split.first_subject))
    torch.set_num_threads(1)


def equal(a: Path, b: Path) -> bool:
    """Whether two checkpoints hold the same weights."""
    one, other = load_file(a), load_file(b)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stopped", [False, True])
def test_best_is_the_epoch_with_the_lowest_loss(stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([0.5, 0.3, 0.4, 0.3])
    monkeypatch.setattr(loop, "balanced_cross_entropy", lambda scores, species: next(told))
    same = []

    def watch(what: str, done: int, total: int, note: str = "") -> None:
        if what == "epoch":
            same.append(equal(tmp_path / CHECKPOINT, tmp_path / LAST))
            if stopped and done == 2:
                raise KeyboardInterrupt

    recipe = tiny(epochs=4, batch_size=24)
    if stopped:
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path, tmp_path, report=watch)
    best = train(recipe, tmp_path, tmp_path, resume=stopped, report=watch)
    assert same == [True, True, False, False]
    assert best is not None
    assert (best.epoch, best.validation_loss) == (1, 0.3)
    assert len(list(tmp_path.glob(EVENTS))) == 1


def test_checkpoints_of_another_run_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    train(tiny(epochs=1, batch_size=24), tmp_path, tmp_path, report=silent)
    (tmp_path / RESUME).unlink()
    before = {name: (tmp_path / name).read_bytes() for name in (CHECKPOINT, LAST, METRICS, RECIPE)}
    with pytest.raises(UsageError, match=r"cannot go on without resume\.safetensors; choose another --out"):
        train(tiny(epochs=1, seed=2), tmp_path, tmp_path, report=silent)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_two_trainings_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with claimed(tmp_path, resume=False), pytest.raises(UsageError, match="another training writes into"):
        train(tiny(), tmp_path, tmp_path, report=silent)
    train(tiny(epochs=1, batch_size=24), tmp_path, tmp_path, report=silent)


def test_resuming_says_what_differs(tmp_path: Path) -> None:
    train(tiny(epochs=1, batch_size=24), tmp_path, tmp_path, report=silent)
    with pytest.raises(UsageError, match=r"epochs was 1, is 3; seed was 1, is 2\. Give"):
        train(tiny(epochs=3, batch_size=24, seed=2), tmp_path, tmp_path, resume=True, report=silent)
    recipe = json.loads((tmp_path / RECIPE).read_text())
    del recipe["start"]  # written before there was such a key
    (tmp_path / RECIPE).write_text(json.dumps(recipe))
    with pytest.raises(UsageError, match="nothing is left to train"):
        train(tiny(epochs=1, batch_size=24), tmp_path, tmp_path, resume=True, report=silent)
    (tmp_path / RECIPE).unlink()
    with pytest.raises(UsageError, match=r"recipe\.json cannot be read"):
        train(tiny(epochs=1, batch_size=24), tmp_path, tmp_path, resume=True, report=silent)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileWriteError, match=r"cannot write .*file/run: Not a directory; choose another --out"):
        train(tiny(), tmp_path / "file" / "run", tmp_path, report=silent)


def test_scores_that_are_no_numbers_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss before the last step was one."""
    train_epoch = loop._train_epoch

    def spoilt(run, *rest):  # type: ignore[no-untyped-def]
        terms = train_epoch(run, *rest)
        with torch.no_grad():
            next(run.model.parameters()).fill_(float("nan"))
        return terms

    monkeypatch.setattr(loop, "_train_epoch", spoilt)
    with pytest.raises(NotFinite, match="scores 24 of 24 validation samples by no number"):
        train(tiny(batch_size=24), tmp_path, tmp_path, report=silent)


def test_a_run_begins_from_a_checkpoint(tmp_path: Path) -> None:
    train(tiny(epochs=1, batch_size=24), tmp_path / "first", tmp_path, report=silent)
    start = tmp_path / "first" / CHECKPOINT
    network, _ = loop.make_network(tiny(start=str(start)))
    trained = load_checkpoint(start).state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in network.state_dict().items())
    best = train(tiny(epochs=1, batch_size=24, start=str(start)), tmp_path / "second", tmp_path, report=silent)
    assert best is not None
    other = {"model": "ghostnet", "model_options": {"modality": "depth", "size_px": 32}}
    with pytest.raises(CheckpointError, match=r"best\.safetensors is of mobilenetv2, the network is ghostnet"):
        loop.make_network(tiny(start=str(start), **other))
