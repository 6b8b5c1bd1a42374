"""The training loop, on Lightning Fabric: one process on a laptop, many under torchrun, the same few lines."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from edgefas.contracts import InputSpec, Label
from edgefas.errors import EdgefasError, UsageError
from edgefas.evaluation.metrics import ErrorRates, equal_error_threshold, error_rates
from edgefas.models.registry import create_model
from edgefas.models.weights import save_checkpoint
from edgefas.training.augment import Batch, augment
from edgefas.training.encoded import dataset_splits
from edgefas.training.metrics import balanced_cross_entropy
from edgefas.training.objective import objective
from edgefas.training.recipe import Data, DatasetData, Recipe
from edgefas.training.simulated import samples_for

log = logging.getLogger(__name__)

CHECKPOINT, RESUME, HISTORY = "best.safetensors", "resume.safetensors", "history.jsonl"
Report = Callable[[str, int, int], None]
"""(what, done, total): called as work goes on."""


@dataclass(frozen=True)
class EpochResult:
    """One line of the history."""

    epoch: int
    loss: float
    terms: dict[str, float]
    """What the loss is the sum of."""
    validation_loss: float
    """Balanced cross entropy: a proper score, which still tells models apart when none makes an error."""
    eer: float
    threshold: float
    rates: ErrorRates


class TrainingSamples(Protocol):
    """What training needs of samples, wherever they come from."""

    @property
    def species(self) -> npt.NDArray[np.str_]:
        """(N,) `Label.BONA_FIDE.value`, or the attack's species."""

    def __len__(self) -> int:
        """N."""

    def read(self, rows: Sequence[int], spec: InputSpec) -> list[tuple[int, dict[str, npt.NDArray[np.float32]]]]:
        """Rows with their inputs, (C, H, W) float32 by modality; rows without a face are left out."""


class _Inputs(Dataset[dict[str, Tensor]]):
    """Reads whole batches."""

    def __init__(self, samples: TrainingSamples, spec: InputSpec) -> None:
        self._samples, self._spec = samples, spec
        self._bona_fide = (samples.species == Label.BONA_FIDE.value).astype(np.float32)

    def __len__(self) -> int:
        return len(self._bona_fide)

    def __getitems__(self, indices: list[int]) -> Batch:
        found = self._samples.read(indices, self._spec)
        if not found:
            raise EdgefasError(
                f"no face was found in any of {len(indices)} samples of a batch; see: edgefas data check"
            )
        names = found[0][1]
        batch = {name: torch.from_numpy(np.stack([inputs[name] for _, inputs in found])) for name in names}
        rows = [row for row, _ in found]
        return {**batch, "bona_fide": torch.from_numpy(self._bona_fide[rows]), "row": torch.tensor(rows)}


def train(
    recipe: Recipe, out: Path, cache: Path, *, workers: int = 0, resume: bool = False, report: Report
) -> EpochResult:
    """Train; leaves the checkpoint of the lowest validation loss, the history and the resume state in `out`.

    Args:
        cache: where rendered samples are kept.
        workers: processes that read the pictures of a data set; 0: this one reads them.

    Raises:
        UsageError: `out` holds another run, or there is nothing to resume.
    """
    fabric = Fabric(accelerator="auto", devices="auto")
    fabric.launch()
    torch.manual_seed(recipe.seed)
    model = create_model(recipe.model, **recipe.model_options)
    model.to(memory_format=torch.channels_last)  # a third less time per step on CPUs
    spec = _with_encoding(model.input_spec, recipe)
    model.input_spec = spec
    trained = objective(model, recipe.label_smoothing)
    optimiser = torch.optim.AdamW(
        trained.parameters(), lr=recipe.optimiser.learning_rate, weight_decay=recipe.optimiser.weight_decay
    )
    first = _open_run(out, recipe, trained, optimiser, resume)
    if first >= recipe.epochs:
        raise UsageError(f"the run in {out} has all its {recipe.epochs} epochs; nothing is left to train")
    with fabric.rank_zero_first():  # one process renders, the others find it rendered
        splits = _splits(recipe, spec, cache, report)
    # Not through fabric.setup_dataloaders: its loader sets the sampler's epoch by itself, counting from the process's
    # start, and a resumed run would see other batches.
    sampler = _sampler(_Inputs(splits["train"], spec), recipe, fabric)
    loader = DataLoader(
        sampler.dataset,
        recipe.batch_size,
        sampler=sampler,
        drop_last=True,
        collate_fn=_already_a_batch,
        **_readers(recipe.data, workers),
    )
    wrapped, optimiser = fabric.setup(trained, optimiser)
    best = _best_so_far(out)
    for epoch in range(first, recipe.epochs):
        sampler.set_epoch(epoch)
        terms = _train_epoch(fabric, wrapped, optimiser, loader, recipe, spec, epoch, report)
        result = _validate(model, splits["validation"], spec, epoch, terms, recipe.batch_size)
        if fabric.is_global_zero:
            if best is None or result.validation_loss < best:
                best = result.validation_loss
                save_checkpoint(out / CHECKPOINT, recipe.model, recipe.model_options, model.state_dict(), spec)
            _save_resume(out, epoch, trained, optimiser)
            with (out / HISTORY).open("a") as file:
                file.write(json.dumps(_as_row(result)) + "\n")
        report("epoch", epoch + 1, recipe.epochs)
    return result


def _splits(recipe: Recipe, spec: InputSpec, cache: Path, report: Report) -> Mapping[str, TrainingSamples]:
    data = recipe.data
    if isinstance(data, DatasetData):
        return dataset_splits(data, spec)
    return {
        name: samples_for(data, split, spec, cache, lambda done, total: report("rendering", done, total))
        for name, split in (("train", data.train), ("validation", data.validation))
    }


def _readers(data: Data, workers: int) -> dict[str, Any]:
    """Pictures are decoded in processes of their own; arrays that were rendered before are just there."""
    if not workers or not isinstance(data, DatasetData):
        return {}
    return {"num_workers": workers, "multiprocessing_context": "spawn", "persistent_workers": True}


def score_samples(
    model: nn.Module, samples: TrainingSamples, spec: InputSpec, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """(N,) log-odds of every sample, in evaluation mode; NaN where no face was found."""
    inputs, scores = _Inputs(samples, spec), np.full(len(samples), np.nan, np.float32)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(inputs), batch_size):
            batch = inputs.__getitems__(list(range(start, min(start + batch_size, len(inputs)))))
            batch.pop("bona_fide")
            rows = batch.pop("row").numpy()
            device = next(model.parameters()).device
            scores[rows] = model(**{name: value.to(device) for name, value in batch.items()}).cpu().numpy()
    model.train(was_training)
    return scores


def _train_epoch(
    fabric: Fabric,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    loader: DataLoader[Batch],
    recipe: Recipe,
    spec: InputSpec,
    epoch: int,
    report: Report,
) -> dict[str, float]:
    """Means of the loss's terms."""
    seed = recipe.seed * 1_000_003 + epoch * 1009 + fabric.global_rank
    torch.manual_seed(seed)  # dropout draws from the global generator: a resumed run must draw the same
    generator = torch.Generator().manual_seed(seed)
    model.train()
    totals: dict[str, float] = {}
    for step, batch in enumerate(loader):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, epoch + step / len(loader))
        target = batch.pop("bona_fide")
        batch.pop("row")
        inputs = fabric.to_device(augment(batch, spec, recipe.augmentation, generator))
        terms = model(bona_fide=fabric.to_device(target), **inputs)
        optimiser.zero_grad(set_to_none=True)
        fabric.backward(torch.stack(list(terms.values())).sum())
        fabric.clip_gradients(model, optimiser, max_norm=5.0)
        optimiser.step()
        for name, term in terms.items():
            totals[name] = totals.get(name, 0.0) + float(term.detach())
        report(f"epoch {epoch + 1}", step + 1, len(loader))
    return {name: total / len(loader) for name, total in totals.items()}


def learning_rate(recipe: Recipe, epochs_done: float) -> float:
    """Linear warm-up, then one half cosine to zero at the last epoch."""
    peak, warmup = recipe.optimiser.learning_rate, min(recipe.optimiser.warmup_epochs, recipe.epochs / 2)
    if epochs_done < warmup:
        return peak * (epochs_done + 1e-3) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (epochs_done - warmup) / (recipe.epochs - warmup)))


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


def _sampler(inputs: _Inputs, recipe: Recipe, fabric: Fabric) -> DistributedSampler[Batch]:
    """Shuffled by (seed, epoch) alone, so a resumed run sees the batches it would have seen."""
    return DistributedSampler(
        inputs,
        num_replicas=fabric.world_size,
        rank=fabric.global_rank,
        shuffle=True,
        seed=recipe.seed,
        drop_last=True,
    )


def _already_a_batch(batch: Any) -> Any:
    return batch


def _with_encoding(spec: InputSpec, recipe: Recipe) -> InputSpec:
    if spec.ir is None:
        return spec
    return spec.model_copy(update={"ir": spec.ir.model_copy(update={"encoding": recipe.ir_encoding})})


def _open_run(out: Path, recipe: Recipe, model: nn.Module, optimiser: torch.optim.Optimizer, resume: bool) -> int:
    """Prepare the folder; gives the epoch to start with."""
    text = recipe.to_json(indent=1)
    if not resume:
        if (out / "recipe.json").exists():
            raise UsageError(f"{out} holds a run already; add --resume to go on, or choose another --out")
        out.mkdir(parents=True, exist_ok=True)
        (out / "recipe.json").write_text(text)
        return 0
    if not (out / RESUME).is_file():
        raise UsageError(f"there is nothing to resume in {out}; start without --resume")
    if (out / "recipe.json").read_text() != text:
        raise UsageError(f"{out} was trained by another recipe; --resume needs the same one")
    return _load_resume(out, model, optimiser)


def _save_resume(out: Path, epoch: int, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Model and optimiser as plain tensors: no pickle."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value).contiguous() for name, value in state.items()}
    tensors["epoch"] = torch.tensor(epoch)
    save_file(tensors, out / f".{RESUME}.part")
    (out / f".{RESUME}.part").replace(out / RESUME)


def _load_resume(out: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    tensors = load_file(out / RESUME)
    epoch = int(tensors.pop("epoch"))
    found = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    if set(found) != set(model.state_dict()):
        raise UsageError(f"{out / RESUME} is of another version of edgefas or of its network; start a new run")
    model.load_state_dict(found)
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return epoch + 1


def _best_so_far(out: Path) -> float | None:
    if not (out / HISTORY).is_file():
        return None
    rows = [json.loads(line) for line in (out / HISTORY).read_text().splitlines()]
    return min((float(row["validation_loss"]) for row in rows), default=None)


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
