"""What a bundle asks of a board, held against what `edgefas doctor` finds there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from edgefas.contracts import Contract

Version = Annotated[str, Field(pattern=r"^\d{1,4}(\.\d{1,4}){0,3}$")]


class Requirements(Contract):
    """None or empty: whatever it is will do."""

    jetpack: Version | None = Field(None, description="the lowest")
    tensorrt: Version | None = Field(None, description="the lowest; a board without TensorRT will not do")
    compute_capabilities: tuple[Annotated[str, Field(pattern=r"^\d{1,2}\.\d$")], ...] = Field(
        (), max_length=16, description="of the GPU, e.g. 8.7 for Orin; one of these"
    )
    memory_gb: float | None = Field(None, gt=0, le=4096, description="the least")


def unmet(wanted: Requirements, system: Mapping[str, Any]) -> list[str]:
    """What of it the board lacks, in words; empty if nothing.

    Args:
        system: the facts of `edgefas doctor --json`, see `edgefas.doctor.system.System`.
    """
    found = []
    versions = (
        ("JetPack", wanted.jetpack, system["packages"].get("nvidia-jetpack")),
        ("TensorRT", wanted.tensorrt, system["tensorrt"]),
    )
    for what, least, has in versions:
        if least is not None and (has is None or _numbers(has) < _numbers(least)):
            found.append(f"{what} {least} or newer is needed, there is {has or 'none'}")
    capability = system["compute_capability"]
    if wanted.compute_capabilities and capability not in wanted.compute_capabilities:
        allowed = " or ".join(wanted.compute_capabilities)
        found.append(f"a GPU of compute capability {allowed} is needed, there is {capability or 'none'}")
    if wanted.memory_gb is not None and system["memory_gb"] < wanted.memory_gb:
        found.append(f"{wanted.memory_gb:g} GB of memory are needed, there are {system['memory_gb']:g}")
    return found


def _numbers(version: str) -> tuple[int, ...]:
    """ "6.1+b123" and "6.1" are (6, 1)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
