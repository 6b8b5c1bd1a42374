"""Jetson boards: what each can do, which software runs on it, and where that is written.

One YAML file per board. Nothing was measured here. What was checked, and against what, is in docs/boards.md; `sources`
names the maker's pages, most of which could not be opened in full.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from edgefas.contracts import Contract
from edgefas.errors import EdgefasError, UsageError

DEVICE_TREE_MODEL = Path("/proc/device-tree/model")


class BoardError(EdgefasError):
    """A board profile is not what it must be."""


class Source(Contract):
    """Where to check the figures."""

    title: str
    url: str = Field(pattern="^https://")


class Software(Contract):
    """One JetPack release on this board."""

    jetpack: str
    l4t: str = Field(pattern=r"^\d+\.\d+$", description="the first Jetson Linux release of it")
    cuda: str
    tensorrt: str = Field(pattern=r"^\d+\.\d+$")
    python: Literal["3.10", "3.12"]
    inferred: bool = Field(False, description="concluded from neighbouring releases, not read in a page of NVIDIA's")


class PowerMode(Contract):
    """A mode of nvpmodel. Its number differs between releases, so it is addressed by name."""

    name: str
    watts: float | None = Field(None, gt=0, description="None: no budget, the board may throttle")


class BoardProfile(Contract):
    """A board as its maker describes it."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern="^[a-z0-9-]+$")
    title: str
    model_pattern: str = Field(description="regular expression searched in /proc/device-tree/model")
    memory_gb: float = Field(gt=0)
    compute_capability: Literal["8.7", "11.0"]
    multiprocessors: int = Field(gt=0)
    cuda_cores: int = Field(gt=0)
    peak_tops: float = Field(gt=0)
    peak_is: str = Field(description="what the peak counts: number format, sparsity, accelerators")
    memory_bandwidth_gb_s: float = Field(gt=0)
    power_modes: tuple[PowerMode, ...] = Field(min_length=1)
    software: tuple[Software, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]


def board_names() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(e.name.removesuffix(".yaml") for e in files(__name__).iterdir() if e.name.endswith(".yaml"))


@cache
def load_board(name: str) -> BoardProfile:
    """A shipped profile.

    Raises:
        UsageError: no such board.
        ContractError, BoardError: the file is not a profile of that name.
    """
    if name not in board_names():
        raise UsageError(f"no board {name!r}; there are: {', '.join(board_names())}")
    profile = BoardProfile.from_dict(yaml.safe_load((files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")))
    if profile.name != name:
        raise BoardError(f"{name}.yaml calls itself {profile.name!r}")
    return profile


def find_board(model: str, memory_gb: float) -> BoardProfile | None:
    """The profile of a device-tree model; modules that differ in memory alone are told apart by it.

    Args:
        model: text of /proc/device-tree/model.
        memory_gb: what the system has, less than the module's by what the firmware keeps.
    """
    fitting = [board for board in map(load_board, board_names()) if re.search(board.model_pattern, model)]
    return min(fitting, key=lambda board: abs(board.memory_gb - memory_gb), default=None)


def board_name(path: Path = DEVICE_TREE_MODEL) -> str | None:
    """The model as the board's firmware names it; None on anything but a Jetson."""
    try:
        model = path.read_bytes().rstrip(b"\0").decode("utf-8", "replace").strip()
    except OSError:
        return None
    return model if "jetson" in model.lower() or "nvidia" in model.lower() else None
