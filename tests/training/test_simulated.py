"""Rendered samples: rendered once for every infrared encoding, with the faces the pipeline would find."""

from __future__ import annotations

import multiprocessing
import resource
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgefas.contracts import InputSpec, IREncoding, Modality
from edgefas.errors import EdgefasError, UsageError
from edgefas.files import FileWriteError
from edgefas.models.registry import default_input_spec
from edgefas.sensors.simulator import SIMULATOR_VERSION
from edgefas.training import simulated
from edgefas.training.progress import TrainingStopped, silent, until
from edgefas.training.recipe import SimulatedData, SimulatedSplit
from edgefas.training.simulated import plan, samples_for

SPLIT = SimulatedSplit(
    first_subject=1, last_subject=2, sites=(0,), seed=4, frames_per_episode=2, samples={"bona_fide": 2, "flat_print": 1}
)
LATER = SPLIT.model_copy(update={"first_subject": 5, "last_subject": 6})
DATA = SimulatedData(simulator_version=SIMULATOR_VERSION, train=SPLIT, validation=LATER)


def spec(encoding: IREncoding) -> InputSpec:
    made = default_input_spec(*Modality, size_px=48)
    assert made.ir is not None
    return made.model_copy(update={"ir": made.ir.model_copy(update={"encoding": encoding})})


def quiet(done: int, total: int) -> None:
    """Report to nobody."""


def test_rendered_once_for_all_encodings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    first = samples_for(DATA, SPLIT, spec(IREncoding.LIT), tmp_path, lambda *share: told.append(share))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len(first) == 3
    assert sorted(first.species) == ["bona_fide", "bona_fide", "flat_print"]
    assert {name: a.shape for name, a in first.arrays.items()} == {
        "rgb": (3, 3, 48, 48),
        "depth": (3, 1, 48, 48),
        **{f"ir_{encoding.value}": (3, 1, 48, 48) for encoding in IREncoding},
    }
    assert not np.array_equal(first.arrays["ir_lit"], first.arrays["ir_unlit"])

    def never(*_: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(simulated, "_render_split", never)
    again = samples_for(DATA, SPLIT, spec(IREncoding.ACTIVE), tmp_path, quiet)
    np.testing.assert_array_equal(again.arrays["rgb"], first.arrays["rgb"])
    only_ir = spec(IREncoding.LIT).model_copy(update={"rgb": None, "depth": None})
    shared = samples_for(DATA, SPLIT, only_ir, tmp_path, quiet)
    np.testing.assert_array_equal(shared.arrays["ir_lit"], first.arrays["ir_lit"])
    with pytest.raises(AssertionError, match="rendered again"):
        samples_for(DATA, LATER, spec(IREncoding.LIT), tmp_path, quiet)
    (folder,) = tmp_path.iterdir()
    (folder / "rgb.npy").write_bytes((folder / "rgb.npy").read_bytes()[:1000])
    with pytest.raises(EdgefasError, match=f"{folder} is damaged .*; remove it, and it is rendered again"):
        samples_for(DATA, SPLIT, spec(IREncoding.LIT), tmp_path, quiet)


def test_a_plan_is_the_same_each_time_and_holds_what_is_asked() -> None:
    episodes = list(plan(SPLIT))
    assert episodes == list(plan(SPLIT))
    assert sum(len(frames) for _, frames in episodes) == 3
    assert {episode.subject for episode, _ in episodes} <= {1, 2}
    assert all(len(set(frames)) == len(frames) and max(frames) < 30 for _, frames in episodes)


def test_another_simulator_version_is_refused(tmp_path: Path) -> None:
    old = DATA.model_copy(update={"simulator_version": SIMULATOR_VERSION - 1})
    with pytest.raises(UsageError, match="train again"):
        samples_for(old, SPLIT, spec(IREncoding.LIT), tmp_path, quiet)


def test_a_full_disk_is_told_and_nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a sparse file that find no room would end the process without a word."""
    sample = {"rgb": np.zeros((3, 48, 48), np.float16)}
    monkeypatch.setattr(simulated, "_rendered", lambda jobs: ([(sample, True)] * len(job[1]) for job in jobs))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(FileWriteError, match=r"cannot write .*simulated-.*: File too large"):
            samples_for(DATA, SPLIT, spec(IREncoding.LIT), tmp_path, quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_rendering_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    """Nothing is left: neither a folder nor a process."""
    before = set(multiprocessing.active_children())  # readers that another test's loader still holds
    with pytest.raises(TrainingStopped, match="stopped while rendering, 1 of 3"):
        samples_for(DATA, SPLIT, spec(IREncoding.LIT), tmp_path, partial(until(lambda: True, silent), "rendering"))
    assert not list(tmp_path.iterdir())
    assert not set(multiprocessing.active_children()) - before
