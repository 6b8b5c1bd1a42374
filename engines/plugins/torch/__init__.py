"""The CUDA kernels as functions of PyTorch tensors: for checks and timing on a CUDA machine, without gradients.

Built at the first call by PyTorch's extension builder, into its own cache; that needs nvcc and a CUDA build of PyTorch.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgefas.errors import EdgefasError, require

SOURCES = ("binding.cpp", "kernels.cu")
CUDA_FLAGS = ("-O3", "-std=c++17")


def require_cuda() -> Any:
    """The torch module.

    Raises:
        MissingExtra: PyTorch is not installed.
        EdgefasError: it sees no CUDA device, or one older than the kernels' tensor-core instruction (8.0).
    """
    torch = require("torch", "train")
    if not torch.cuda.is_available():
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
        raise EdgefasError(
            f"no CUDA device: PyTorch {torch.__version__} ({build}) sees none; run this on a machine with an NVIDIA "
            "GPU and a CUDA build of PyTorch (check with: nvidia-smi)"
        )
    capability = torch.cuda.get_device_capability()
    if capability < (8, 0):
        name = torch.cuda.get_device_name()
        raise EdgefasError(
            f"{name} has compute capability {capability[0]}.{capability[1]}; the kernels need 8.0 or newer (Orin is "
            "8.7): choose another device with CUDA_VISIBLE_DEVICES"
        )
    return torch


@functools.cache
def _module() -> Any:
    require_cuda()
    from torch.utils import cpp_extension

    folder = Path(__file__).parent
    try:
        return cpp_extension.load(
            "edgefas_kernels", [str(folder / name) for name in SOURCES], extra_cuda_cflags=list(CUDA_FLAGS)
        )
    except (OSError, RuntimeError) as error:
        raise EdgefasError(
            f"the kernels cannot be built: {error}; PyTorch's builder needs nvcc of its own CUDA version, g++ and "
            "ninja (pip install ninja)"
        ) from error


def bte(x: Any, alpha: float, epsilon: float) -> Any:
    """(N, C, H, W) float32 or float16 on a CUDA device, NCHW or channels-last, -> the same; `ops/bte.py` says what.

    Raises:
        EdgefasError: no CUDA device, or the kernels cannot be built.
        RuntimeError: the tensor is not as above.
    """
    return _module().bte(x, alpha, epsilon, _stream(x))


def deform_conv2d(
    x: Any,
    offset: Any,
    mask: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_groups: int,
) -> Any:
    """As `edgefas.ops.deform_conv2d`, with contiguous CUDA tensors of one dtype and a bias.

    Raises:
        EdgefasError: no CUDA device, or the kernels cannot be built.
        RuntimeError: the tensors are not as above, or the launcher refuses their shape.
    """
    pairs = [[int(value) for value in pair] for pair in (stride, padding, dilation)]
    return _module().dcnv2(x, offset, mask, weight, bias, *pairs, groups, offset_groups, _stream(x))


def _stream(x: Any) -> int:
    import torch

    return int(torch.cuda.current_stream(x.device).cuda_stream)
