"""The training loop, on Lightning Fabric: one process on a laptop, many under torchrun, the same few lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from edgefas.contracts import InputSpec
from edgefas.errors import EdgefasError, MissingExtra, UsageError
from edgefas.evaluation.metrics import ErrorRates, equal_error_threshold, error_rates
from edgefas.files import write_atomically
from edgefas.models.pretrained import load_pretrained
from edgefas.models.registry import create_model
from edgefas.models.weights import save_checkpoint
from edgefas.training.augment import Batch, augment
from edgefas.training.curves import draw_curves
from edgefas.training.diagnose import require_finite
from edgefas.training.metrics import balanced_cross_entropy
from edgefas.training.objective import Objective, objective
from edgefas.training.optimise import learning_rate, make_optimiser
from edgefas.training.progress import Report, StopFlag, TrainingStopped, stop_on_sigterm
from edgefas.training.recipe import Recipe
from edgefas.training.run_folder import (
    CHECKPOINT,
    CURVES,
    LAST,
    Place,
    add_metrics,
    best_so_far,
    open_run,
    read_metrics,
    save_resume,
)
from edgefas.training.samples import TrainingSamples, batches_of, score_samples, sound, splits_of


@dataclass(frozen=True)
class EpochResult:
    """One line of the metrics."""

    epoch: int
    loss: float
    terms: dict[str, float]
    """What the loss is the sum of."""
    validation_loss: float
    """Balanced cross entropy: a proper score, which still tells models apart when none makes an error."""
    eer: float
    threshold: float
    rates: ErrorRates


def train(
    recipe: Recipe, out: Path, cache: Path, *, workers: int = 0, resume: bool = False, report: Report
) -> EpochResult:
    """Train; leaves in `out` what `edgefas.training.run_folder` lists.

    Args:
        cache: where rendered samples are kept.
        workers: processes that read the pictures of a data set; 0: this one reads them.

    Raises:
        UsageError: `out` holds another run, or there is nothing to resume.
        TrainingStopped: SIGTERM came; the step under way is saved.
        NotFinite: the loss is no number; the batch is saved.
    """
    fabric = Fabric(accelerator="auto", devices="auto", precision=recipe.precision)
    fabric.launch()
    torch.manual_seed(recipe.seed)
    model, spec = make_network(recipe)
    trained = objective(model, recipe.label_smoothing)
    optimiser = make_optimiser(recipe, trained.parameters())
    place = open_run(out, recipe, trained, optimiser, resume)
    if place.epoch >= recipe.epochs:
        raise UsageError(f"the run in {out} has all its {recipe.epochs} epochs; nothing is left to train")
    with fabric.rank_zero_first():  # one process renders, the others find it rendered
        splits = splits_of(recipe, spec, cache, report)
    # Not through fabric.setup_dataloaders: its loader sets the sampler's epoch by itself, counting from the process's
    # start, and a resumed run would see other batches.
    sampler, loader = batches_of(splits["train"], spec, recipe, workers, fabric.world_size, fabric.global_rank)
    wrapped, optimiser = fabric.setup(trained, optimiser)
    run = _Run(fabric, recipe, spec, out, trained, wrapped, optimiser)
    best = best_so_far(out)
    with stop_on_sigterm() as stop, _tensorboard(out) as board:
        while place.epoch < recipe.epochs:
            sampler.begin(place.epoch, place.step)
            terms = _train_epoch(run, loader, place, stop, report)
            result = _validate(model, splits["validation"], spec, place.epoch, terms, recipe.batch_size)
            place = Place(place.epoch + 1)
            if fabric.is_global_zero:
                checkpoints = [LAST] if best is not None and result.validation_loss >= best else [LAST, CHECKPOINT]
                best = result.validation_loss if best is None else min(best, result.validation_loss)
                for name in checkpoints:
                    save_checkpoint(out / name, recipe.model, recipe.model_options, model.state_dict(), spec)
                add_metrics(out, _as_row(result))
                save_resume(out, place, trained, optimiser)
                board.log_metrics(_curves_of(result), result.epoch)
                board.save()
                with suppress(MissingExtra):
                    write_atomically(out / CURVES, draw_curves(read_metrics(out)).encode())
            report("epoch", place.epoch, recipe.epochs, f"loss {result.loss:.4f}, EER {result.eer:.2%}")
    return result


def make_network(recipe: Recipe) -> tuple[nn.Module, InputSpec]:
    """The network of a recipe with fresh or pretrained weights, and the preprocessing it is trained with.

    Raises:
        CheckpointError, UsageError: pretrained weights do not fit.
    """
    model = create_model(recipe.model, **recipe.model_options)
    for modality, path in recipe.pretrained.items():
        load_pretrained(model, modality, Path(path))
    model.to(memory_format=torch.channels_last)  # a third less time per step on CPUs
    spec = model.input_spec
    if spec.ir is not None:
        spec = spec.model_copy(update={"ir": spec.ir.model_copy(update={"encoding": recipe.ir_encoding})})
    model.input_spec = spec
    return model, spec


@dataclass(frozen=True, eq=False)
class _Run:
    """What stays the same from step to step."""

    fabric: Fabric
    recipe: Recipe
    spec: InputSpec
    out: Path
    trained: Objective
    wrapped: nn.Module
    optimiser: torch.optim.Optimizer


def _train_epoch(
    run: _Run, loader: DataLoader[Batch | EdgefasError], place: Place, stop: StopFlag, report: Report
) -> dict[str, float]:
    """Means of the loss's terms. `place` moves on with each step that was taken."""
    recipe, steps = run.recipe, len(loader)
    generator = _seeded(recipe, place.epoch, run.fabric.global_rank)
    batches = iter(loader)  # draws a number of its own
    if place.generators is not None:
        generator.set_state(place.generators["augmentation"])
        torch.set_rng_state(place.generators["global"])
    run.wrapped.train()
    totals = place.totals = place.totals or {}
    run.optimiser.zero_grad(set_to_none=True)
    for step, batch in enumerate(sound(batches), place.step):
        for group in run.optimiser.param_groups:
            group["lr"] = learning_rate(recipe, place.epoch + (step - step % recipe.accumulate) / steps)
        whole = (step + 1) % recipe.accumulate == 0 or step + 1 == steps
        with run.fabric.no_backward_sync(run.wrapped, enabled=not whole):
            terms = _backward(run, batch, generator)
        for name, term in terms.items():
            totals[name] = totals.get(name, 0.0) + float(term.detach())
        if whole:
            if recipe.max_gradient_norm is not None:
                run.fabric.clip_gradients(run.wrapped, run.optimiser, max_norm=recipe.max_gradient_norm)
            run.optimiser.step()
            run.optimiser.zero_grad(set_to_none=True)
            if stop.set:
                _stop(run, Place(place.epoch, step + 1, totals, _states(generator)))
        report(f"epoch {place.epoch + 1}", step + 1, steps, f"loss {sum(totals.values()) / (step + 1):.4f}")
    return {name: total / steps for name, total in totals.items()}


def _backward(run: _Run, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    target = run.fabric.to_device(batch.pop("bona_fide"))
    inputs = run.fabric.to_device(augment(batch, run.spec, run.recipe.augmentation, generator))
    terms: dict[str, Tensor] = run.wrapped(bona_fide=target, **inputs)
    require_finite(terms, run.trained, inputs, target, run.out)
    run.fabric.backward(torch.stack(list(terms.values())).sum() / run.recipe.accumulate)
    return terms


def _stop(run: _Run, place: Place) -> None:
    if run.fabric.is_global_zero:
        save_resume(run.out, place, run.trained, run.optimiser)
    raise TrainingStopped(
        f"stopped after step {place.step} of epoch {place.epoch + 1}, and saved; go on: the same command with --resume"
    )


def _seeded(recipe: Recipe, epoch: int, rank: int) -> torch.Generator:
    """Random numbers of an epoch: a resumed run must draw what it would have drawn."""
    seed = recipe.seed * 1_000_003 + epoch * 1009 + rank
    torch.manual_seed(seed)  # dropout draws from the global generator
    return torch.Generator().manual_seed(seed)


def _states(generator: torch.Generator) -> dict[str, Tensor]:
    return {"augmentation": generator.get_state(), "global": torch.get_rng_state()}


def _validate(
    model: nn.Module, samples: TrainingSamples, spec: InputSpec, epoch: int, terms: dict[str, float], batch: int
) -> EpochResult:
    every = score_samples(model, samples, spec, batch)
    seen = ~np.isnan(every)
    scores, species = every[seen], samples.species[seen]
    threshold, eer = equal_error_threshold(scores, species)
    rates = error_rates(scores, species, threshold)
    loss = sum(terms.values())
    return EpochResult(epoch, loss, terms, balanced_cross_entropy(scores, species), eer, threshold, rates)


@contextmanager
def _tensorboard(out: Path) -> Iterator[TensorBoardLogger]:
    """Whole when the block ends, whatever ends it."""
    board = TensorBoardLogger(root_dir=out, name="", version="")
    try:
        yield board
    finally:
        board.finalize("")


def _curves_of(result: EpochResult) -> dict[str, float]:
    """What TensorBoard draws."""
    terms = {f"terms/{name}": term for name, term in result.terms.items()}
    return {"loss": result.loss, "validation_loss": result.validation_loss, "eer": result.eer, **terms}


def _as_row(result: EpochResult) -> dict[str, Any]:
    return {
        "epoch": result.epoch,
        "loss": result.loss,
        "terms": result.terms,
        "validation_loss": result.validation_loss,
        "eer": result.eer,
        "threshold": result.threshold,
        "bpcer": result.rates.bpcer,
        "apcer": result.rates.apcer,
    }
