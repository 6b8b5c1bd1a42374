"""Which infrared picture should a network see: lit, unlit, or their difference? By light, on simulated faces.

    python -m edgefas.benchmarks.ir_encodings [-o benchmarks/results/ir_encodings.json]

One small network on infrared alone per encoding, trained as the shipped demonstration is, under LED; judged under LED,
and under light it never saw: tungsten, daylight, the dark. Beside it two statistics of the crop that nobody trained.
The simulator takes both pictures at once, so `active` is spared the movement between the two that a camera has.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from rich.progress import track
from torch import nn

from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.contracts import InputSpec, IREncoding, Label, Modality
from edgefas.environment import environment
from edgefas.evaluation.intervals import Share, wilson
from edgefas.evaluation.metrics import equal_error_threshold
from edgefas.files import write_atomically
from edgefas.models.registry import create_model, default_input_spec
from edgefas.sensors.simulator import SIMULATOR_VERSION
from edgefas.sensors.simulator.episode import Episode
from edgefas.training.augment import augment
from edgefas.training.recipe import Augmentation, SimulatedData, SimulatedSplit, load_recipe
from edgefas.training.simulated import Samples, encode, plan, samples_for

F32 = npt.NDArray[np.float32]

LIGHTS = ("led", "tungsten", "daylight", "dark")
ATTACKS = ("flat_print", "phone_replay", "rigid_mask")
RECIPE = "dah-fas-lite-sim"
TRAIN_EVERY = 3
"""Of the recipe's training samples: one frame of each episode."""
CHOOSE_UNTIL = 217
"""Validation subjects up to this one choose the threshold, the others are judged."""
DARK = SimulatedSplit(
    first_subject=2200, last_subject=2211, sites=(1,), seed=4, frames_per_episode=3,
    samples={"bona_fide": 36, "flat_print": 24, "phone_replay": 24, "rigid_mask": 24},
)  # fmt: skip
DARK_LX = 0.5
EPOCHS, BATCH, LEARNING_RATE, SEEDS = 6, 48, 0.003, (1, 2)
"""The score is the mean of one network per seed."""
CURRENT = IREncoding.LIT
"""What the shipped recipes use."""


@dataclass(frozen=True, eq=False)
class Part:
    """Infrared crops of some presentations."""

    pictures: dict[str, F32]
    """Encoding -> (N, 1, H, W) as `preprocess` gives it."""
    lights: npt.NDArray[np.str_]
    species: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Row:
    """One encoding under one light ("all": together)."""

    encoding: str
    light: str
    bpcer: Share
    apcer: Share
    """Of the worst species."""
    worst: str
    auc_network: float
    auc_mean: float
    """Of the crop's mean brightness alone; below .5 where it points the other way than in training."""
    auc_contrast: float
    """Of the crop's standard deviation over its mean alone."""


def load_parts(cache: Path) -> dict[str, Part]:
    """What to train on, choose the threshold with and judge; rendered where it was not rendered before."""
    recipe = load_recipe(RECIPE)
    spec = create_model(recipe.model, **recipe.model_options).input_spec
    data = recipe.simulated
    assert data.test is not None
    learn, validation, test = (
        _rendered(data, split, spec, cache) for split in (data.train, data.validation, data.test)
    )
    lights = np.array([episode.light for episode, frames in _ordered(data.test) for _ in frames])
    chooses = validation.subjects <= CHOOSE_UNTIL
    return {
        "train": _part(learn, np.arange(0, len(learn), TRAIN_EVERY), "led"),
        "threshold": _part(validation, np.flatnonzero(chooses), "led"),
        "led": _part(validation, np.flatnonzero(~chooses), "led"),
        **{light: _part(test, np.flatnonzero(lights == light), light) for light in ("tungsten", "daylight")},
        "dark": _dark(spec, cache),
    }


def _rendered(data: SimulatedData, split: SimulatedSplit, spec: InputSpec, cache: Path) -> Samples:
    return samples_for(data, split, spec, cache, lambda done, total: None)


def _ordered(split: SimulatedSplit) -> list[tuple[Episode, list[int]]]:
    """As `samples_for` renders them."""
    return sorted(plan(split), key=lambda job: job[0].subject)


def _part(samples: Samples, rows: npt.NDArray[np.int64], light: str) -> Part:
    pictures = {e.value: np.asarray(samples.arrays[f"ir_{e.value}"][rows], np.float32) for e in IREncoding}
    return Part(pictures, np.full(len(rows), light), samples.species[rows])


def _dark(spec: InputSpec, cache: Path) -> Part:
    """Episodes in the dark, which no recipe has."""
    jobs = [(replace(episode, illuminance_lx=DARK_LX), frames) for episode, frames in _ordered(DARK)]
    key = hashlib.sha256(f"{SIMULATOR_VERSION}{DARK.to_json()}{DARK_LX}{spec.to_json()}".encode()).hexdigest()[:16]
    path = cache / f"ir-dark-{key}.npz"
    if not path.is_file():
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            found = pool.map(_encode, [(*job, spec) for job in jobs])
            rows = [row for episode in track(found, "the dark", len(jobs), console=errors) for row in episode]
        unfinished = path.with_suffix(".part.npz")
        np.savez_compressed(
            unfinished, allow_pickle=False, **{e.value: np.stack([r[e.value] for r in rows]) for e in IREncoding}
        )
        unfinished.rename(path)
    species = np.array([episode.presentation.value for episode, frames in jobs for _ in frames])
    with np.load(path, allow_pickle=False) as file:
        return Part({e.value: file[e.value] for e in IREncoding}, np.full(len(species), "dark"), species)


def _encode(job: tuple[Episode, list[int], InputSpec]) -> list[dict[str, F32]]:
    episode, frames, spec = job
    only_ir = spec.model_copy(update={"rgb": None, "depth": None})
    found = [encode(episode, index, only_ir)[0] for index in frames]
    return [{e.value: arrays[f"ir_{e.value}"].astype(np.float32) for e in IREncoding} for arrays in found]


def network() -> nn.Module:
    """Four strided convolutions and a mean: small enough that the data, not the network, decide."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 1))


def train(pictures: F32, species: npt.NDArray[np.str_], seed: int) -> nn.Module:
    """One network; people and attacks weigh the same."""
    torch.manual_seed(seed)
    generator, spec = torch.Generator().manual_seed(seed), _infrared_spec(pictures)
    model, alive = network(), torch.from_numpy((species == Label.BONA_FIDE.value).astype(np.float32))
    inputs = torch.from_numpy(pictures)
    weight = torch.where(alive > 0, 0.5 / alive.mean(), 0.5 / (1 - alive.mean()))
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.02)
    steps = EPOCHS * (len(alive) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(alive), generator=generator)
        for rows in order[: len(order) // BATCH * BATCH].split(BATCH):
            batch = augment({"ir": inputs[rows]}, spec, Augmentation(), generator)["ir"]
            loss = nn.functional.binary_cross_entropy_with_logits(model(batch)[:, 0], alive[rows], weight[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def score(models: list[nn.Module], pictures: F32) -> F32:
    """(N,) mean log-odds of bona fide."""
    with torch.inference_mode():
        scores = torch.stack([model(torch.from_numpy(pictures))[:, 0] for model in models]).mean(0)
    return np.asarray(scores.numpy(), np.float32)


def _infrared_spec(pictures: F32) -> InputSpec:
    return default_input_spec(Modality.IR, size_px=pictures.shape[-1])


def statistics(pictures: F32) -> dict[str, F32]:
    """Mean and relative contrast of the central half, where the face is."""
    n, _, h, w = pictures.shape
    ir = _infrared_spec(pictures).ir
    assert ir is not None
    middle = pictures[:, 0, h // 4 : h - h // 4, w // 4 : w - w // 4].reshape(n, -1) * ir.std + ir.mean
    mean = middle.mean(1)
    return {"mean": mean, "contrast": middle.std(1) / np.maximum(mean, 1 / 255)}


def auc(values: F32, species: npt.NDArray[np.str_]) -> float:
    """Probability that a person's value is above an attack's; ties count half."""
    alive, spoof = values[species == Label.BONA_FIDE.value, None], values[species != Label.BONA_FIDE.value]
    return float((alive > spoof).mean() + 0.5 * (alive == spoof).mean())


def rows_of(encoding: IREncoding, parts: dict[str, Part]) -> Iterator[Row]:
    """Train, choose one threshold, and score each light."""
    name = encoding.value
    learn, chooser = parts["train"], parts["threshold"]
    models = [train(learn.pictures[name], learn.species, seed) for seed in SEEDS]
    threshold, _ = equal_error_threshold(score(models, chooser.pictures[name]), chooser.species)
    signs = {
        key: 1.0 if auc(values, learn.species) >= 0.5 else -1.0
        for key, values in statistics(learn.pictures[name]).items()
    }
    everything = Part(
        {name: np.concatenate([parts[light].pictures[name] for light in LIGHTS])},
        np.concatenate([parts[light].lights for light in LIGHTS]),
        np.concatenate([parts[light].species for light in LIGHTS]),
    )
    scores, plain = score(models, everything.pictures[name]), statistics(everything.pictures[name])
    for light in (*LIGHTS, "all"):
        here = np.full(len(scores), True) if light == "all" else everything.lights == light
        species = everything.species[here]
        aucs = [auc(scores[here], species), *(auc(plain[key][here] * signs[key], species) for key in plain)]
        yield Row(name, light, *_errors(scores[here], species, threshold), *aucs)


def _errors(scores: F32, species: npt.NDArray[np.str_], threshold: float) -> tuple[Share, Share, str]:
    accepted, alive = scores >= threshold, species == Label.BONA_FIDE.value
    per_species = {kind: wilson(int(accepted[species == kind].sum()), int((species == kind).sum())) for kind in ATTACKS}
    worst = max(per_species, key=lambda kind: per_species[kind].share)
    return wilson(int((~accepted[alive]).sum()), int(alive.sum())), per_species[worst], worst


def choose(rows: list[Row]) -> str:
    """The encoding the table supports: another than the current one only if, over all lights, neither of its errors is
    higher and one of them is lower with intervals that do not touch."""
    together = {row.encoding: row for row in rows if row.light == "all"}
    kept = together[CURRENT.value]
    for row in together.values():
        pairs = ((row.bpcer, kept.bpcer), (row.apcer, kept.apcer))
        if all(new.share <= old.share for new, old in pairs) and any(new.high < old.low for new, old in pairs):
            kept = row
    return kept.encoding


def to_markdown(document: dict[str, Any], rows: list[Row]) -> str:
    """The table."""
    lines = [f"{document['what']}.", "", f"`{document['command']}` on {document['cpu']}, {document['cores']} cores, "]
    lines[-1] += f"commit {document['commit']}; supported: **{document['supported']}**."
    lines += ["", "| encoding | light | BPCER | APCER, worst species | AUC network | AUC mean | AUC contrast |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for r in rows:
        line = f"| {r.encoding} | {r.light} | {_percent(r.bpcer)} | {_percent(r.apcer)} {r.worst} "
        lines.append(f"{line}| {r.auc_network:.3f} | {r.auc_mean:.3f} | {r.auc_contrast:.3f} |")
    return "\n".join(lines) + "\n"


def _percent(share: Share) -> str:
    return f"{share.share:.1%} ({share.low:.1%}-{share.high:.1%})"


def main(
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md is written beside it.")] = Path(
        "benchmarks/results/ir_encodings.json"
    ),
    cache: Annotated[Path, typer.Option(help="Rendered samples.")] = Path(".cache/data"),
) -> None:
    """Render, train, compare."""
    parts = load_parts(cache)
    torch.set_num_threads(1)  # so small a network only waits for a second one
    begin = time.monotonic()
    rows = [row for encoding in IREncoding for row in rows_of(encoding, parts)]
    document = {
        "command": " ".join(["python -m edgefas.benchmarks.ir_encodings", *sys.argv[1:]]),
        **environment(),
        "minutes_without_rendering": round((time.monotonic() - begin) / 60, 1),
        "simulator_version": SIMULATOR_VERSION,
        "seeds": SEEDS,
        "samples": {name: dict(sorted(Counter(part.species.tolist()).items())) for name, part in parts.items()},
        "what": "infrared alone, a small network trained under LED (site 0), simulated subjects it never saw; "
        "tungsten, daylight and the dark at another site with another camera unit. 95 % Wilson intervals of frames; "
        "three frames of one episode are not independent, so the truth is wider",
        "supported": choose(rows),
        "rows": [asdict(row) for row in rows],
    }
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    write_atomically(out.with_suffix(".md"), to_markdown(document, rows).encode())
    sys.stdout.write(to_markdown(document, rows))


if __name__ == "__main__":
    run_script(main)
