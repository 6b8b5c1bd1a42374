"""What a bundle asks of a board, against the facts of boards by hand."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from edgefas.contracts import ContractError
from edgefas.deploy.requires import Requirements, unmet
from edgefas.doctor.system import System

ORIN = System(
    machine="aarch64", python="3.10.12", in_venv=True, system_site_packages=True, memory_gb=7.4,
    packages={"nvidia-jetpack": "6.1+b123"}, tensorrt="10.3.0", compute_capability="8.7",
)  # fmt: skip
PC = System(machine="x86_64", python="3.11", in_venv=True, system_site_packages=False, memory_gb=24.0)


@pytest.mark.parametrize(
    ("wanted", "board", "words"),
    [
        ({}, PC, []),
        ({"jetpack": "6.1", "tensorrt": "10.3", "compute_capabilities": ["8.7", "11.0"], "memory_gb": 7}, ORIN, []),
        ({"jetpack": "6.2"}, ORIN, ["JetPack 6.2 or newer is needed, there is 6.1+b123"]),
        ({"jetpack": "6"}, ORIN, []),
        ({"jetpack": "6.1.1"}, ORIN, ["JetPack 6.1.1 or newer is needed, there is 6.1+b123"]),
        ({"tensorrt": "10.10"}, ORIN, ["TensorRT 10.10 or newer is needed, there is 10.3.0"]),
        ({"tensorrt": "9.9"}, ORIN, []),
        ({"tensorrt": "8.6"}, PC, ["TensorRT 8.6 or newer is needed, there is none"]),
        ({"compute_capabilities": ["11.0"]}, ORIN, ["a GPU of compute capability 11.0 is needed, there is 8.7"]),
        ({"compute_capabilities": ["8.7"]}, PC, ["a GPU of compute capability 8.7 is needed, there is none"]),
        ({"memory_gb": 8}, ORIN, ["8 GB of memory are needed, there are 7.4"]),
    ],
)  # fmt: skip
def test_what_is_lacking(wanted: dict[str, object], board: System, words: list[str]) -> None:
    assert unmet(Requirements.from_dict(wanted), asdict(board)) == words


def test_more_than_one_thing_is_said_at_once() -> None:
    wanted = Requirements(jetpack="7.0", memory_gb=16)
    assert len(unmet(wanted, asdict(replace(ORIN, packages={})))) == 2


@pytest.mark.parametrize(
    "wanted", [{"jetpack": "six"}, {"tensorrt": ""}, {"compute_capabilities": ["87"]}, {"memory_gb": 0}]
)
def test_what_is_no_requirement_is_refused(wanted: dict[str, object]) -> None:
    with pytest.raises(ContractError):
        Requirements.from_dict(wanted)
