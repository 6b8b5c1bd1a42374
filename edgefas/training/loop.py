"""The training loop, on Lightning Fabric: one process on a laptop, many under torchrun, the same few lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from edgefas.contracts import InputSpec
from edgefas.errors import EdgefasError, MissingExtra
from edgefas.evaluation.metrics import equal_error_threshold, error_rates
from edgefas.files import write_atomically
from edgefas.models.pretrained import load_pretrained
from edgefas.models.registry import create_model
from edgefas.models.weights import fill, save_checkpoint
from edgefas.signals import stop_signals
from edgefas.training.augment import Batch, augment
from edgefas.training.curves import draw_curves
from edgefas.training.diagnose import require_finite, require_finite_gradients, require_scale
from edgefas.training.metrics import balanced_cross_entropy
from edgefas.training.objective import Objective, objective
from edgefas.training.optimise import learning_rate, make_optimiser
from edgefas.training.progress import Report, TrainingStopped, silent, until
from edgefas.training.ranks import any_of, launched, of_all
from edgefas.training.recipe import Recipe
from edgefas.training.run_folder import (
    CHECKPOINT,
    CURVES,
    LAST,
    Place,
    add_metrics,
    begin,
    best_row,
    claimed,
    go_on,
    read_metrics,
    save_resume,
)
from edgefas.training.samples import TrainingSamples, batches_of, score_samples, sound, splits_of
from edgefas.training.tensorboard import log_epoch, tensorboard


@dataclass(frozen=True)
class EpochResult:
    """One line of the metrics."""

    epoch: int
    """From 0."""
    loss: float
    """The mean over the steps, in nats where a term is a cross entropy."""
    terms: dict[str, float]
    """What the loss is the sum of."""
    validation_loss: float
    """Balanced cross entropy: a proper score, which still tells models apart when none makes an error."""
    eer: float
    """A share, as the error rates below."""
    threshold: float
    """Log-odds of equal errors; the two following are at it."""
    bpcer: float
    apcer: dict[str, float]
    """By species."""


def train(
    recipe: Recipe, out: Path, cache: Path, *, workers: int = 0, resume: bool = False, report: Report
) -> EpochResult | None:
    """Train; leaves in `out` what `edgefas.training.run_folder` lists.

    Args:
        cache: where rendered samples are kept.
        workers: processes that read the pictures of a data set; 0: this one reads them.

    Returns:
        The epoch of the best checkpoint; None in every process but the first, where there are several.

    Raises:
        UsageError: `out` holds another run or is written by another, or there is nothing to resume.
        TrainingStopped: SIGTERM or SIGINT came; the step under way is saved.
        NotFinite: a loss, a gradient or a score is no number.
    """
    fabric = launched(recipe.precision)
    first = fabric.is_global_zero
    with stop_signals() as asked, claimed(out, resume) if first else nullcontext():
        run, place = _begin(fabric, recipe, out, resume)
        with fabric.rank_zero_first():  # one process renders, the others find it rendered
            splits = splits_of(recipe, run.spec, cache, until(asked, report if first else silent))
        _train(run, place, splits, workers, asked, report if first else silent)
    return EpochResult(**best_row(out)) if first else None


@dataclass(frozen=True, eq=False)
class _Run:
    """What stays the same from step to step."""

    fabric: Fabric
    recipe: Recipe
    spec: InputSpec
    out: Path
    model: nn.Module
    trained: Objective
    wrapped: nn.Module
    optimiser: torch.optim.Optimizer


def _begin(fabric: Fabric, recipe: Recipe, out: Path, resume: bool) -> tuple[_Run, Place]:
    torch.manual_seed(recipe.seed)
    model, spec = make_network(recipe, fresh=not resume)
    trained = objective(model, recipe.label_smoothing)
    optimiser = make_optimiser(recipe, trained.parameters())
    if resume:
        place = go_on(out, recipe, trained, optimiser, fabric.world_size)
    else:
        place = Place()
        if fabric.is_global_zero:
            begin(out, recipe)
    if place.scaler:
        fabric.strategy.precision.load_state_dict(place.scaler)
    wrapped, optimiser = fabric.setup(trained, optimiser)
    return _Run(fabric, recipe, spec, out, model, trained, wrapped, optimiser), place


def _train(
    run: _Run,
    place: Place,
    splits: Mapping[str, TrainingSamples],
    workers: int,
    asked: Callable[[], bool],
    report: Report,
) -> None:
    fabric, recipe = run.fabric, run.recipe
    # Not through fabric.setup_dataloaders: its loader sets the sampler's epoch by itself, counting from the process's
    # start, and a resumed run would see other batches.
    batches = batches_of(splits["train"], run.spec, recipe, workers, fabric.world_size, fabric.global_rank)
    board_of = tensorboard(run.out) if fabric.is_global_zero else nullcontext()
    with batches as (sampler, loader), board_of as board:
        while place.epoch < recipe.epochs:
            sampler.begin(place.epoch, place.step)
            terms = _train_epoch(run, loader, place, asked, report)
            scaler = fabric.strategy.precision.state_dict()
            require_scale(scaler.get("scale", 1.0))
            result = _validate(run, splits["validation"], place.epoch, terms)
            place = Place(place.epoch + 1, scaler=scaler)
            if board is not None:
                _save_epoch(run, place, result, board)
            report("epoch", place.epoch, recipe.epochs, f"loss {result.loss:.4f}, EER {result.eer:.2%}")


def _save_epoch(run: _Run, place: Place, result: EpochResult, board: TensorBoardLogger) -> None:
    """Checkpoints before the line that tells of them, and what resuming needs last: a kill in between repeats the
    epoch."""
    earlier = [row["validation_loss"] for row in read_metrics(run.out) if row["epoch"] < result.epoch]
    for name in [LAST] if earlier and result.validation_loss >= min(earlier) else [LAST, CHECKPOINT]:
        save_checkpoint(
            run.out / name, run.recipe.model, run.recipe.model_options, run.model.state_dict(), run.model.input_spec
        )
    add_metrics(run.out, asdict(result))
    save_resume(run.out, place, run.trained, run.optimiser)
    log_epoch(board, asdict(result))
    with suppress(MissingExtra):
        write_atomically(run.out / CURVES, draw_curves(read_metrics(run.out)).encode())


def make_network(recipe: Recipe, *, fresh: bool = True) -> tuple[nn.Module, InputSpec]:
    """The network of a recipe and the preprocessing it is trained with.

    Args:
        fresh: with the weights that the recipe begins with; else whatever weights, to be replaced.

    Raises:
        CheckpointError, UsageError: pretrained weights do not fit.
    """
    model = create_model(recipe.model, **recipe.model_options)
    if fresh and recipe.start is not None:
        fill(model, Path(recipe.start))
    for modality, path in recipe.pretrained.items() if fresh else ():
        load_pretrained(model, modality, Path(path))
    model.to(memory_format=torch.channels_last)  # a third less time per step on CPUs
    spec = model.input_spec
    if spec.ir is not None:
        spec = spec.model_copy(update={"ir": spec.ir.model_copy(update={"encoding": recipe.ir_encoding})})
    model.input_spec = spec
    return model, spec


def _train_epoch(
    run: _Run,
    loader: DataLoader[Batch | EdgefasError],
    place: Place,
    asked: Callable[[], bool],
    report: Report,
) -> dict[str, float]:
    """Means of the loss's terms. `place` moves on with each step that was taken."""
    recipe, steps = run.recipe, len(loader)
    generator = _seeded(recipe, place.epoch, run.fabric.global_rank)
    batches = iter(loader)  # draws a number of its own
    if place.generators is not None:
        _draw_on(generator, {name: states[run.fabric.global_rank] for name, states in place.generators.items()})
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
                _clip(run, recipe.max_gradient_norm)
            run.optimiser.step()
            run.optimiser.zero_grad(set_to_none=True)
            if any_of(run.fabric, asked()):
                states = of_all(run.fabric, _states(run.fabric, generator))
                _stop(run, Place(place.epoch, step + 1, totals, states, run.fabric.strategy.precision.state_dict()))
        report(f"epoch {place.epoch + 1}", step + 1, steps, f"loss {sum(totals.values()) / (step + 1):.4f}")
    return {name: total / steps for name, total in totals.items()}


def _backward(run: _Run, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    target = run.fabric.to_device(batch.pop("bona_fide"))
    inputs = run.fabric.to_device(augment(batch, run.spec, run.recipe.augmentation, generator))
    try:
        terms: dict[str, Tensor] = run.wrapped(bona_fide=target, **inputs)
        require_finite(terms, run.trained, inputs, target, run.out)
        run.fabric.backward(torch.stack(list(terms.values())).sum() / run.recipe.accumulate)
    except torch.OutOfMemoryError:
        half, twice = run.recipe.batch_size // 2, run.recipe.accumulate * 2
        raise EdgefasError(
            f"the GPU's memory does not hold {len(target)} faces; give batch_size={half} accumulate={twice}"
        ) from None
    return terms


def _clip(run: _Run, limit: float) -> None:
    norm = run.fabric.clip_gradients(run.wrapped, run.optimiser, max_norm=limit, error_if_nonfinite=False)
    if run.recipe.precision != "16-mixed":  # which leaves out a step whose scaled gradients overflow
        require_finite_gradients(norm)


def _stop(run: _Run, place: Place) -> None:
    if run.fabric.is_global_zero:
        save_resume(run.out, place, run.trained, run.optimiser)
    run.fabric.barrier()  # torchrun ends the others as soon as one has ended
    raise TrainingStopped(
        f"stopped after step {place.step} of epoch {place.epoch + 1}, and saved in {run.out}; go on: the same command "
        "with --resume (an ablation goes on without it)"
    )


def _seeded(recipe: Recipe, epoch: int, rank: int) -> torch.Generator:
    """Random numbers of an epoch: a resumed run must draw what it would have drawn."""
    seed = recipe.seed * 1_000_003 + epoch * 1009 + rank
    torch.manual_seed(seed)  # dropout draws from the global generator
    return torch.Generator().manual_seed(seed)


def _states(fabric: Fabric, generator: torch.Generator) -> dict[str, Tensor]:
    states = {"augmentation": generator.get_state(), "global": torch.get_rng_state()}
    if fabric.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(fabric.device)
    return states


def _draw_on(generator: torch.Generator, states: Mapping[str, Tensor]) -> None:
    # Clones: torch reads a state from the beginning of its storage, which for a row is another process's.
    generator.set_state(states["augmentation"].clone())
    torch.set_rng_state(states["global"].clone())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].clone())


def _validate(run: _Run, samples: TrainingSamples, epoch: int, terms: dict[str, float]) -> EpochResult:
    every = score_samples(run.model, samples, run.spec, run.recipe.batch_size)
    seen = ~np.isnan(every)
    scores, species = every[seen], samples.species[seen]
    threshold, eer = equal_error_threshold(scores, species)
    rates = error_rates(scores, species, threshold)
    loss, validation_loss = sum(terms.values()), balanced_cross_entropy(scores, species)
    return EpochResult(epoch, loss, terms, validation_loss, eer, threshold, rates.bpcer, rates.apcer)
