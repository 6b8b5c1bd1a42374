"""Processes that train together: one on a laptop, one per GPU, or what torchrun started on one machine or several."""

from __future__ import annotations

import atexit
import gc
import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import TorchElasticEnvironment

from edgefas.errors import UsageError


def launched(precision: str) -> Fabric:
    """This process among the others.

    Raises:
        UsageError: this machine cannot train in that precision.
    """
    if precision == "16-mixed" and not torch.cuda.is_available():
        raise UsageError("precision: 16-mixed needs a GPU; without one: bf16-mixed, or 32-true")
    devices: int | str = "auto"
    nodes = 1
    if TorchElasticEnvironment.detect():  # Fabric itself would take one CPU, and the GPUs of one machine
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    fabric = Fabric(accelerator="auto", devices=devices, num_nodes=nodes, precision=precision)
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """End gloo's threads, which abort a process that ends in their midst; Fabric sees to NCCL's alone.

    They live as long as a wrapped network does: one that is still referred to when the interpreter ends keeps them.
    """
    gc.collect()  # a stopped run's network hangs in the cycles of its traceback
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def any_of(fabric: Fabric, here: bool) -> bool:
    """Whether it is so in any of the processes; all of them must ask."""
    if fabric.world_size == 1:
        return here
    return bool(fabric.all_reduce(torch.tensor(float(here), device=fabric.device), reduce_op="sum") > 0)


def of_all(fabric: Fabric, states: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each process's own tensor, (ranks, n) of each name."""
    if fabric.world_size == 1:
        return {name: state[None] for name, state in states.items()}
    return {name: fabric.all_gather(state.to(fabric.device)).cpu() for name, state in states.items()}
