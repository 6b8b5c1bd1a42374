"""What the kernel benchmark runs: DAH-FAS's real shapes, taken from the networks, and large maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

BATCHES = (1, 8, 32)
NETWORKS = ("dah-fas", "dah-fas-lite")


@dataclass(frozen=True)
class BteCase:
    """One input; `large` maps exceed what a processor's caches hold."""

    name: str
    batch: int
    channels: int
    height: int
    width: int
    large: bool = False


@dataclass(frozen=True)
class Dcnv2Case:
    """One square-kernel convolution with one deformable group, padding 1 and dilation 1, as the networks have it."""

    name: str
    batch: int
    channels: int
    height: int
    width: int
    outputs: int
    stride: int
    groups: int
    kernel: int = 3
    large: bool = False

    @property
    def output_size(self) -> tuple[int, int]:
        height, width = ((size + 2 - self.kernel) // self.stride + 1 for size in (self.height, self.width))
        return height, width


def network_cases() -> tuple[list[BteCase], list[Dcnv2Case]]:
    """Every BTE and DCNv2 that the registered networks run on one picture, each shape once."""
    import torch

    from edgefas.benchmarks.subjects import random_inputs
    from edgefas.models import create_model
    from edgefas.models.dah_fas import DeformableConv, IRBranch

    btes: dict[BteCase, None] = {}
    convolutions: dict[Dcnv2Case, None] = {}
    for network in NETWORKS:
        model = create_model(network).eval()

        def after_bte(module: Any, inputs: Any, output: Any, network: str = network) -> None:
            btes[BteCase(network, *output.shape)] = None

        def after_convolution(module: Any, inputs: Any, output: Any, network: str = network) -> None:
            n, c, h, w = inputs[0].shape
            convolutions[Dcnv2Case(network, n, c, h, w, output.shape[1], module.stride, module.groups)] = None

        for module in model.modules():
            if isinstance(module, IRBranch):
                module.register_forward_hook(after_bte)
            elif isinstance(module, DeformableConv):
                module.register_forward_hook(after_convolution)
        with torch.inference_mode():
            model(**{name: torch.from_numpy(array) for name, array in random_inputs(model.input_spec).items()})
    return list(btes), list(convolutions)


LARGE_BTE = (
    BteCase("large", 8, 64, 224, 224, large=True),
    BteCase("large", 32, 64, 112, 112, large=True),
    BteCase("large", 16, 256, 112, 112, large=True),
)
LARGE_DCNV2 = (
    Dcnv2Case("large", 8, 64, 112, 112, 64, 1, 1, large=True),
    Dcnv2Case("large", 8, 256, 56, 56, 256, 1, 1, large=True),
    Dcnv2Case("large", 8, 256, 56, 56, 256, 1, 256, large=True),
)


def all_bte() -> Iterator[BteCase]:
    """Real shapes at every batch, then large ones."""
    for case in network_cases()[0]:
        yield from (replace(case, batch=batch) for batch in BATCHES)
    yield from LARGE_BTE


def all_dcnv2() -> Iterator[Dcnv2Case]:
    """As above."""
    for case in network_cases()[1]:
        yield from (replace(case, batch=batch) for batch in BATCHES)
    yield from LARGE_DCNV2
