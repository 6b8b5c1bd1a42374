"""The loop learns what can be learnt, and a resumed run equals one that was never broken off."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgefas.contracts import IREncoding
from edgefas.errors import UsageError
from edgefas.models import create_model, load_checkpoint
from edgefas.models.eca_fas import EcaFas
from edgefas.training import samples as training_samples
from edgefas.training.dry_run import dry_run
from edgefas.training.loop import train
from edgefas.training.objective import objective
from edgefas.training.optimise import learning_rate, make_optimiser
from edgefas.training.recipe import Recipe, Schedule, load_recipe
from edgefas.training.run_folder import CHECKPOINT, METRICS, RESUME
from edgefas.training.samples import score_samples
from edgefas.training.simulated import Samples


@pytest.fixture
def recipe() -> Recipe:
    """A small network on depth alone: relief is alive, flat is not."""
    shipped = load_recipe("dah-fas-lite-sim")
    return shipped.model_copy(
        update={
            "model": "mobilenetv2",
            "model_options": {"modality": "depth", "size_px": 48},
            "epochs": 2,
            "batch_size": 8,
        }
    )


def relief_samples(count: int, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[-1:1:48j, -1:1:48j]
    bump = np.exp(-4 * (rows**2 + cols**2))
    species = np.array(["bona_fide", "flat_print"] * (count // 2))
    alive = (species == "bona_fide")[:, None, None, None]
    depth = rng.normal(0, 0.05, (count, 1, 48, 48)) + alive * bump
    return Samples({"depth": depth.astype(np.float16)}, species, np.arange(count), 1.0)


@pytest.fixture(autouse=True)
def _given_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {0: relief_samples(48, 1), 200: relief_samples(24, 2)}
    monkeypatch.setattr(
        training_samples, "samples_for", lambda data, split, spec, cache, progress: splits[split.first_subject]
    )
    torch.set_num_threads(1)


def quiet(what: str, done: int, total: int, note: str = "") -> None:
    """Report to nobody."""


def break_off_after_one_epoch(what: str, done: int, total: int, note: str = "") -> None:
    if what == "epoch" and done == 1:
        raise KeyboardInterrupt


def test_learns_relief_and_keeps_the_best(recipe: Recipe, tmp_path: Path) -> None:
    recipe = recipe.model_copy(update={"epochs": 10})
    train(recipe, tmp_path / "run", tmp_path, report=quiet)
    rows = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert len(rows) == 10
    model = load_checkpoint(tmp_path / "run" / CHECKPOINT)
    samples = relief_samples(40, 3)
    scores = score_samples(model, samples, model.input_spec)
    alive = samples.species == "bona_fide"
    in_order = scores[alive][:, None] > scores[~alive][None, :]
    assert in_order.mean() > 0.97  # area under the ROC curve: 60 short steps need not part every pair


TINY_MM_FAS = {"dim": 12, "heads": 3, "depth": 1, "fusion_blocks": 1, "size_px": 48}


def all_modalities(seed: int) -> Samples:
    """The relief in depth and infrared, nothing in colour."""
    made = relief_samples(24, seed)
    depth = made.arrays["depth"]
    arrays = {"depth": depth, "ir_lit": -depth, "rgb": np.zeros((24, 3, 48, 48), np.float16)}
    return Samples(arrays, made.species, made.subjects, 1.0)


def test_a_network_adds_terms_to_the_loss_and_leaves_them_out_of_the_checkpoint(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        training_samples, "samples_for", lambda data, split, spec, cache, progress: all_modalities(split.first_subject)
    )
    recipe = recipe.model_copy(update={"model": "mm-fas", "model_options": TINY_MM_FAS})
    train(recipe, tmp_path / "whole", tmp_path, report=quiet)
    rows = [json.loads(line) for line in (tmp_path / "whole" / METRICS).read_text().splitlines()]
    for row in rows:
        assert list(row["terms"]) == ["bce", "icl", "cm"]
        assert row["loss"] == pytest.approx(sum(row["terms"].values()))
    assert rows[1]["loss"] < rows[0]["loss"]
    names = load_checkpoint(tmp_path / "whole" / CHECKPOINT).state_dict()
    assert not any("alignment" in name for name in names)
    trained = load_file(tmp_path / "whole" / RESUME)
    fresh = objective(create_model("mm-fas", **TINY_MM_FAS), 0.0).state_dict()
    for name in ("network.alignments.depth.log_temperature", "network.alignments.ir.log_temperature"):
        assert trained[f"model.{name}"] != fresh[name], "what the further terms alone train"

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "broken", tmp_path, report=break_off_after_one_epoch)
    train(recipe, tmp_path / "broken", tmp_path, resume=True, report=quiet)
    assert (tmp_path / "broken" / METRICS).read_text() == (tmp_path / "whole" / METRICS).read_text()


def test_tensorboard_has_the_curves(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, tmp_path / "run", tmp_path, report=quiet)
    (events,) = (tmp_path / "run").glob("events.*")
    data = events.read_bytes()  # records of protocol buffers, tags as they are
    for tag in ("loss", "validation_loss", "eer", "terms/bce"):
        assert data.count(b"\n%c%s\x15" % (len(tag), tag.encode())) == recipe.epochs, tag


def test_a_plain_network_has_the_cross_entropy_alone(recipe: Recipe, tmp_path: Path) -> None:
    result = train(recipe.model_copy(update={"epochs": 1}), tmp_path / "run", tmp_path, report=quiet)
    assert result.terms == {"bce": result.loss}


def test_the_checkpoint_carries_the_recipes_ir_encoding(recipe: Recipe, tmp_path: Path) -> None:
    options = {"modality": "ir", "size_px": 48}
    recipe = recipe.model_copy(update={"model_options": options, "ir_encoding": IREncoding.ACTIVE, "epochs": 1})
    depth = {seed: relief_samples(n, seed) for seed, n in ((0, 48), (200, 24))}
    with pytest.MonkeyPatch.context() as patch:
        renamed = {k: Samples({"ir_active": s.arrays["depth"]}, s.species, s.subjects, 1.0) for k, s in depth.items()}
        patch.setattr(
            training_samples, "samples_for", lambda data, split, spec, cache, progress: renamed[split.first_subject]
        )
        train(recipe, tmp_path / "run", tmp_path, report=quiet)
    assert load_checkpoint(tmp_path / "run" / CHECKPOINT).input_spec.ir.encoding is IREncoding.ACTIVE


def test_a_resumed_run_equals_an_unbroken_one(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, tmp_path / "whole", tmp_path, report=quiet)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "broken", tmp_path, report=break_off_after_one_epoch)
    train(recipe, tmp_path / "broken", tmp_path, resume=True, report=quiet)
    assert (tmp_path / "broken" / METRICS).read_text() == (tmp_path / "whole" / METRICS).read_text()


def test_a_network_with_losses_of_its_own_is_trained_by_them(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also resumed: its random patches are drawn anew from the epoch's seed."""
    options = {"modality": "depth", "size_px": 48, "patch_px": 32, "base": 16, "groups": 8}
    recipe = recipe.model_copy(update={"model": "eca-fas", "model_options": options})
    totals = []
    training_losses = EcaFas.training_losses

    def watched(model: EcaFas, inputs: dict[str, torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        losses = training_losses(model, inputs, labels)
        totals.append(sum(float(term.detach()) for term in losses.values()))
        return losses

    monkeypatch.setattr(EcaFas, "training_losses", watched)
    train(recipe.model_copy(update={"epochs": 1}), tmp_path / "one", tmp_path, report=quiet)
    row = json.loads((tmp_path / "one" / METRICS).read_text())
    assert len(totals) == 48 // 8
    assert row["loss"] == pytest.approx(np.mean(totals), rel=1e-5)
    test_a_resumed_run_equals_an_unbroken_one(recipe, tmp_path)


def test_runs_are_neither_overwritten_nor_mixed(recipe: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="nothing to resume"):
        train(recipe, run, tmp_path, resume=True, report=quiet)
    train(recipe.model_copy(update={"epochs": 1}), run, tmp_path, report=quiet)
    with pytest.raises(UsageError, match="holds a run already"):
        train(recipe, run, tmp_path, report=quiet)
    with pytest.raises(UsageError, match="another recipe"):
        train(recipe, run, tmp_path, resume=True, report=quiet)
    with pytest.raises(UsageError, match="nothing is left"):
        train(recipe.model_copy(update={"epochs": 1}), run, tmp_path, resume=True, report=quiet)


def test_schedule_warms_up_then_falls_to_zero(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"epochs": 10})
    rates = [learning_rate(recipe, e) for e in np.linspace(0, 10, 101)]
    peak = recipe.optimiser.learning_rate
    assert rates[0] < 0.01 * peak
    assert max(rates) == pytest.approx(peak)
    assert np.argmax(rates) == 10
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_schedules_start_anew_or_decay(recipe: Recipe) -> None:
    peak = recipe.optimiser.learning_rate
    cyclic = {"kind": "cyclic_cosine", "cycle_epochs": 10, "warmup_epochs": 0}
    recipe = recipe.model_copy(update={"epochs": 30, "schedule": Schedule.from_dict(cyclic)})
    assert [learning_rate(recipe, e) for e in (0, 5, 10, 15, 20)] == pytest.approx([peak, peak / 2] * 2 + [peak])
    assert learning_rate(recipe, 9.99) < 0.001 * peak
    assert learning_rate(recipe, 30) == pytest.approx(0, abs=1e-12)
    decay = {"kind": "decay", "decay": 0.95, "decay_epochs": 50, "warmup_epochs": 0}
    recipe = recipe.model_copy(update={"epochs": 500, "schedule": Schedule.from_dict(decay)})
    assert [learning_rate(recipe, e) / peak for e in (0, 49.9, 50, 499)] == pytest.approx([1, 1, 0.95, 0.95**9])


@pytest.mark.parametrize(
    ("kind", "wanted"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_optimisers(recipe: Recipe, kind: str, wanted: type, tmp_path: Path) -> None:
    recipe = recipe.model_copy(update={"epochs": 1, "optimiser": recipe.optimiser.model_copy(update={"kind": kind})})
    weights = [torch.nn.Parameter(torch.ones(2))]
    assert type(make_optimiser(recipe, weights)) is wanted
    train(recipe, tmp_path / "run", tmp_path, report=quiet)
    assert {"best.safetensors", "last.safetensors", "metrics.jsonl", "recipe.json", "run.json"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }


def test_accumulated_batches_make_the_step_of_one_large_batch(recipe: Recipe, tmp_path: Path) -> None:
    """Of a network without batch norm and in balanced batches; mm-fas has layer norms and, alone, cross entropy."""
    options = {**TINY_MM_FAS, "alpha": 0, "beta": 0}
    none = dict.fromkeys(
        ("rotate_deg", "shift_share", "scale_share", "rgb_gain", "ir_gain", "contrast", "noise", "depth_noise"), 0
    )
    still = recipe.augmentation.model_copy(update={**none, "flip": False})
    update = {"model": "mm-fas", "model_options": options, "epochs": 1, "sampler": "balanced", "augmentation": still}
    update["optimiser"] = recipe.optimiser.model_copy(update={"kind": "sgd"})
    losses = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_samples, "samples_for", lambda data, split, *rest: all_modalities(split.first_subject))
        for accumulate, batch in ((1, 12), (3, 4)):
            run = recipe.model_copy(update={**update, "accumulate": accumulate, "batch_size": batch})
            train(run, tmp_path / str(batch), tmp_path, report=quiet)
            losses[batch] = load_file(tmp_path / str(batch) / "last.safetensors")
    for name, tensor in losses[12].items():
        torch.testing.assert_close(losses[4][name], tensor, rtol=1e-4, atol=1e-6)


def test_a_dry_run_counts_and_times(recipe: Recipe) -> None:
    found = dry_run(recipe.model_copy(update={"model": "mm-fas", "model_options": TINY_MM_FAS, "batch_size": 4}))
    assert found.parameters["training only"] == 2 * (2 * 12 * 2 + 2 + 1)
    assert set(found.parameters) == {"encoders", "fusion", "classifier", "training only"}
    assert found.images_per_s == pytest.approx(4 / found.step_s)
    assert found.state_mb > 4 * 4 * (sum(found.parameters.values())) / 1e6 * 0.99
