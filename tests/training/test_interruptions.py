"""Runs that end before their time: by SIGTERM, by kill -9 in the middle of a save, by a loss that is no number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from safetensors.torch import load_file

from edgefas.errors import UsageError
from edgefas.models.mobilenetv2 import MobileNetV2
from edgefas.training import loop
from edgefas.training import samples as training_samples
from edgefas.training.diagnose import BATCH_FILE, NotFinite
from edgefas.training.loop import train
from edgefas.training.progress import TrainingStopped
from edgefas.training.recipe import Recipe, load_recipe
from edgefas.training.run_folder import CHECKPOINT, LAST, METRICS, RESUME
from edgefas.training.simulated import Samples

TRAIN = """
import sys
from pathlib import Path
from tests.training.test_interruptions import relief, tiny
from edgefas.training import samples
from edgefas.training.loop import train
samples.samples_for = lambda data, split, *rest: relief(split.first_subject)
say = lambda *said: print(*said[:3], flush=True)
train(tiny(), Path(sys.argv[1]), Path(sys.argv[1]), resume=sys.argv[2] == "resume", report=say)
"""


def tiny(**changes: object) -> Recipe:
    """Dropout and random augmentation draw numbers in every step."""
    options = {"modality": "depth", "size_px": 32}
    update = {"model": "mobilenetv2", "model_options": options, "epochs": 2, "batch_size": 8, **changes}
    return Recipe.from_dict({**json.loads(load_recipe("dah-fas-lite-sim").to_json()), **update})


def relief(first_subject: int) -> Samples:
    """48 of the training subjects, 24 of the others: a bump is alive."""
    rng = np.random.default_rng(first_subject)
    count = 48 if first_subject == 0 else 24
    rows, cols = np.mgrid[-1:1:32j, -1:1:32j]
    species = np.array(["bona_fide", "flat_print"] * (count // 2))
    alive = (species == "bona_fide")[:, None, None, None]
    depth = rng.normal(0, 0.05, (count, 1, 32, 32)) + alive * np.exp(-4 * (rows**2 + cols**2))
    return Samples({"depth": depth.astype(np.float16)}, species, np.arange(count), 1.0)


@pytest.fixture(autouse=True)
def _given_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_samples, "samples_for", lambda data, split, *rest: relief(split.first_subject))
    torch.set_num_threads(1)


def quiet(what: str, done: int, total: int, note: str = "") -> None:
    """Report to nobody."""


def kill_after(
    moment: tuple[str, int], what: str, done: int, total: int, note: str = "", *, number: int = signal.SIGTERM
) -> None:
    """A report that asks to stop."""
    if (what, done) == moment:
        os.kill(os.getpid(), number)


def metrics(out: Path) -> str:
    return (out / METRICS).read_text()


@pytest.mark.parametrize(
    ("at", "number", "changes"),
    [
        (2, signal.SIGTERM, {}),
        (5, signal.SIGINT, {}),
        (4, signal.SIGTERM, {"accumulate": 2, "sampler": "balanced"}),
    ],
)
def test_a_signal_saves_the_step_and_resuming_makes_the_same_run(
    at: int, number: signal.Signals, changes: dict[str, object], tmp_path: Path
) -> None:
    recipe = tiny(**changes)
    train(recipe, tmp_path / "whole", tmp_path, report=quiet)

    terminate = partial(kill_after, ("epoch 1", at - 1), number=number)
    with pytest.raises(TrainingStopped, match=f"after step {at} of epoch 1"):
        train(recipe, tmp_path / "broken", tmp_path, report=terminate)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    train(recipe, tmp_path / "broken", tmp_path, resume=True, report=quiet)
    assert metrics(tmp_path / "broken") == metrics(tmp_path / "whole")
    for name in (CHECKPOINT, LAST):
        whole, broken = (load_file(tmp_path / run / name) for run in ("whole", "broken"))
        assert all(torch.equal(broken[key], whole[key]) for key in whole)


def mixed_on_cpu(**scaling: float) -> Fabric:
    scaler = torch.amp.GradScaler("cpu", **scaling)
    return Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])


def test_the_scaling_of_losses_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16-mixed, here on the CPU: the scale doubles with every second step, until gradients overflow."""
    monkeypatch.setattr(loop, "launched", lambda precision: mixed_on_cpu(growth_interval=2))
    recipe = tiny(precision="16-mixed")
    train(recipe, tmp_path / "whole", tmp_path, report=quiet)
    terminate = partial(kill_after, ("epoch 1", 4))
    with pytest.raises(TrainingStopped, match="after step 5 of epoch 1"):
        train(recipe, tmp_path / "broken", tmp_path, report=terminate)
    assert "scaler.scale" in load_file(tmp_path / "broken" / RESUME)
    train(recipe, tmp_path / "broken", tmp_path, resume=True, report=quiet)
    whole, broken = (load_file(tmp_path / run / RESUME) for run in ("whole", "broken"))
    assert whole["scaler.scale"] == broken["scaler.scale"] != 2.0**16
    assert metrics(tmp_path / "broken") == metrics(tmp_path / "whole")


def test_gradients_that_overflow_at_every_step_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One overflow here takes the scale as far down as 128 usually do."""
    monkeypatch.setattr(loop, "launched", lambda precision: mixed_on_cpu(init_scale=3e38, backoff_factor=1e-39))
    with pytest.raises(NotFinite, match=r"16-mixed until its losses were scaled by 0\.3.*bf16-mixed"):
        train(tiny(precision="16-mixed"), tmp_path / "run", tmp_path, report=quiet)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_a_kill_at_any_moment_leaves_a_state_to_go_on_from(tmp_path: Path) -> None:
    """kill -9 at moments spread over a run, saves among them; each time the next process goes on."""
    train(tiny(), tmp_path / "whole", tmp_path, report=quiet)
    out = tmp_path / "killed"
    for kill_at in (3, 7, 9, 13, None):
        mode = "resume" if (out / RESUME).is_file() else "anew"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            [sys.executable, "-c", TRAIN, out, mode], stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            for said, _ in enumerate(process.stdout, 1):
                if said == kill_at:
                    process.kill()
        if (out / RESUME).is_file():
            load_file(out / RESUME)
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert metrics(out) == metrics(tmp_path / "whole")


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tmp_path / "run", tmp_path, report=_break_off)
    (tmp_path / "run" / RESUME).write_bytes(b"\0" * 100)
    with pytest.raises(UsageError, match=r"resume\.safetensors is damaged"):
        train(tiny(), tmp_path / "run", tmp_path, resume=True, report=quiet)


def _break_off(what: str, done: int, total: int, note: str = "") -> None:
    if what == "epoch":
        raise KeyboardInterrupt


def test_a_loss_that_is_no_number_names_the_layer_and_keeps_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = MobileNetV2.forward_features

    def broken(self: MobileNetV2, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.features[3].conv[0][1].running_var.fill_(float("nan"))
        return forward(self, x)

    monkeypatch.setattr(MobileNetV2, "forward_features", broken)
    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", _nan_if_broken(torch.nn.BatchNorm2d.forward))
    with pytest.raises(NotFinite, match=r"first layer whose output is not finite is .*features\.3\.conv\.0\.1"):
        train(tiny(), tmp_path / "run", tmp_path, report=quiet)
    batch = load_file(tmp_path / "run" / BATCH_FILE)
    assert batch["depth"].shape == (8, 1, 32, 32)
    assert batch["bona_fide"].shape == (8,)


def _nan_if_broken(forward):  # type: ignore[no-untyped-def]
    def look(self: torch.nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
        made = forward(self, x)
        return made * float("nan") if bool(torch.isnan(self.running_var).any()) else made

    return look


def test_input_that_is_no_number_is_told_from_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(data: object, split: object, *rest: object) -> Samples:
        made = relief(split.first_subject)  # type: ignore[attr-defined]
        made.arrays["depth"][:] = np.nan
        return made

    monkeypatch.setattr(training_samples, "samples_for", spoilt)
    with pytest.raises(NotFinite, match="the input depth is not finite already"):
        train(tiny(), tmp_path / "run", tmp_path, report=quiet)


def test_a_gradient_that_is_no_number_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
            return gradient * float("inf")

    forward = MobileNetV2.forward_features
    monkeypatch.setattr(MobileNetV2, "forward_features", lambda self, x: Steep.apply(forward(self, x)))
    with pytest.raises(NotFinite, match="the loss is a number, but the norm of its gradients is nan"):
        train(tiny(), tmp_path / "run", tmp_path, report=quiet)
