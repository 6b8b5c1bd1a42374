"""The kernel benchmark's own code, run on the CPU with the kernels' emulation in the place of the GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgefas.benchmarks import kernels
from edgefas.benchmarks.kernel_cases import BteCase, Dcnv2Case
from edgefas.benchmarks.kernels import EAGER, TORCHVISION
from tests.engines.plugins.emulation import Emulated
from tests.engines.plugins.reference import Geometry, Tensors


@pytest.fixture
def on_the_cpu(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels' emulation in the place of the GPU, and times made up."""

    def bte(x: torch.Tensor, alpha: float, epsilon: float) -> torch.Tensor:
        channels_last = not x.is_contiguous()
        return torch.from_numpy(np.ascontiguousarray(emulated.bte(x.numpy(), alpha, epsilon, channels_last)))

    def deform_conv2d(*arguments: Any) -> torch.Tensor:
        tensors, pairs, groups = arguments[:5], arguments[5:8], arguments[8:]
        geometry = Geometry(*map(tuple, pairs), *groups)
        return torch.from_numpy(emulated.dcnv2(Tensors(*(tensor.numpy() for tensor in tensors)), geometry))

    emulated.device(8)
    monkeypatch.setattr(kernels, "DEVICE", "cpu")
    monkeypatch.setattr(kernels, "_compiled", lambda torch, function, *arguments: lambda: function(*arguments))
    monkeypatch.setattr(kernels, "_torchvision", lambda: None)
    monkeypatch.setattr(kernels, "time_us", run_each_once)
    monkeypatch.setattr(kernels.kernels, "bte", bte)
    monkeypatch.setattr(kernels.kernels, "deform_conv2d", deform_conv2d)


def run_each_once(torch: Any, calls: dict[str, Any]) -> dict[str, float | None]:
    for call in calls.values():
        if call is not None:
            call()
    return {name: 10.0 if call is not None else None for name, call in calls.items()}


@pytest.mark.usefixtures("on_the_cpu")
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_bte_is_checked_and_timed(dtype: torch.dtype, channels_last: bool) -> None:
    found = kernels.measure_bte(torch, BteCase("x", 2, 16, 20, 24), dtype, channels_last, 1e9)
    assert 0 < found.error < 1
    assert found.layout == ("NHWC" if channels_last else "NCHW")
    size = 4 if dtype is torch.float32 else 2
    assert found.copy_share == pytest.approx(2 * 2 * 16 * 20 * 24 * size / 10e-6 / 1e9)


@pytest.mark.usefixtures("on_the_cpu")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("groups", [1, 16])
def test_dcnv2_is_checked_and_timed(dtype: torch.dtype, groups: int) -> None:
    found = kernels.measure_dcnv2(torch, Dcnv2Case("x", 2, 16, 9, 7, 16, 2, groups), dtype)
    assert 0 < found.error < 1
    assert found.times(EAGER) == 1
    assert found.times(TORCHVISION) is None
