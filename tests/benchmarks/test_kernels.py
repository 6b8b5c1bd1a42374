"""The kernel benchmark without a GPU: what it would run, how it judges, and that it says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edgefas.benchmarks.kernel_cases import BteCase, Dcnv2Case, all_dcnv2, network_cases
from edgefas.benchmarks.kernels import EAGER, OURS, TARGETS, TORCHVISION, Row, _checked, describe
from edgefas.errors import CheckFailed


def test_without_cuda_it_says_so(root: Path) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "edgefas.benchmarks.kernels"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no CUDA device" in done.stderr
    assert "nvidia-smi" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_cases_are_the_networks_own() -> None:
    btes, convolutions = network_cases()
    assert btes == [BteCase("dah-fas", 1, 960, 4, 4), BteCase("dah-fas-lite", 1, 480, 4, 4)]
    assert Dcnv2Case("dah-fas", 1, 96, 56, 56, 96, 2, 1) == convolutions[0]
    assert Dcnv2Case("dah-fas", 1, 384, 7, 7, 384, 1, 1) in convolutions
    assert Dcnv2Case("dah-fas-lite", 1, 192, 7, 7, 192, 2, 192) == convolutions[-1]
    assert len(convolutions) == len(set(convolutions)) == 8
    assert {case.batch for case in all_dcnv2() if not case.large} == {1, 8, 32}


def test_output_sizes_are_the_networks() -> None:
    assert Dcnv2Case("", 1, 96, 56, 56, 96, 2, 1).output_size == (28, 28)
    assert Dcnv2Case("", 1, 192, 7, 7, 192, 2, 192).output_size == (4, 4)


def row(operator: str, share: float, ours: float, other: str, theirs: float | None, **case: object) -> Row:
    shape = {"name": "x", "batch": 32, "channels": 1, "height": 2, "width": 3, "groups": 1, "large": False}
    return Row(operator, {**shape, **case}, "float16", "NCHW", 0.5, {OURS: ours, other: theirs}, share)


def test_targets_are_judged_by_their_worst_row() -> None:
    rows = [
        row("bte", 0.90, 10, EAGER, 50, large=True),
        row("bte", 0.80, 10, EAGER, 50, large=True),
        row("bte", 0.01, 10, EAGER, 50),
        row("dcnv2", 0.0, 10, TORCHVISION, None),
    ]
    assert [(v["worst"], v["met"]) for v in (target.verdict(rows) for target in TARGETS)] == [
        (0.80, False),
        (5.0, True),
        (None, False),
    ]


def test_a_wrong_result_ends_the_benchmark() -> None:
    wanted = torch.ones(4, dtype=torch.float64)
    good = row("bte", 0.9, 10, EAGER, 50)
    assert _checked(good, wanted.float(), wanted, wanted * 1e-5).error == 0
    for wrong in (wanted.float() * 1.001, torch.full((4,), torch.nan)):
        with pytest.raises(CheckFailed, match="wrong on this GPU"):
            _checked(good, wrong, wanted, wanted * 1e-5)


def test_a_line_names_the_case() -> None:
    line = describe(row("bte", 0.9, 10, EAGER, None))
    assert line == "bte x 32x1x2x3 float16 NCHW: microseconds edgefas 10.0, 90% of copy bandwidth"
