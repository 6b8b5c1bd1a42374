"""The kernels on the CPU: the unmodified headers compiled over `shim/`, called through ctypes on fenced memory."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from tests.engines.plugins.reference import Geometry, Tensors

SHIM = Path(__file__).with_name("shim")
KERNELS = Path(__file__).parents[3] / "engines" / "plugins" / "kernels"
COMPILER = shutil.which("g++")
FLAGS = (
    "-std=c++17",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-fno-strict-aliasing",
    "-shared",
    "-fPIC",
)
FENCE = 64
"""Elements before and after each array that must neither be read (NaN) nor written."""

INVALID_VALUE = 1


class LaunchError(Exception):
    """A launcher gave an error; the text is its number."""


def compile_kernels(out: Path, kernels: Path = KERNELS, options: Sequence[str] = ("-O2",)) -> Emulated:
    """Build the shared library `out` from the headers in `kernels`."""
    assert COMPILER is not None
    includes = [f"-I{SHIM}", f"-I{kernels}"]
    command = [COMPILER, *FLAGS, *options, *includes, str(SHIM / "kernels.cpp"), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Emulated(ctypes.CDLL(str(out)))


def fenced(array: np.ndarray, shift: int = 0) -> np.ndarray:
    """A copy between NaNs that starts at a multiple of 16 bytes, or `shift` elements past one."""
    buffer = np.full(array.size + 2 * FENCE + 16, np.nan, array.dtype)
    start = FENCE + (-buffer[FENCE:].ctypes.data % 16) // array.itemsize + shift
    copy = buffer[start : start + array.size]
    copy[:] = array.ravel()
    return copy


@dataclass(frozen=True)
class Emulated:
    """The launchers on a pretended device; results have the dtype of `x`."""

    library: ctypes.CDLL

    def device(self, processors: int, last_first: bool = False) -> None:
        """Choose the number of multiprocessors and the order of the threads; the count of launches starts again."""
        self.library.shim_device(processors, int(last_first))

    @property
    def launches(self) -> int:
        return int(self.library.shim_launches())

    @property
    def last_grid(self) -> tuple[int, int]:
        """Blocks of the last launch, and the threads of each."""
        return int(self.library.shim_last_blocks()), int(self.library.shim_last_threads())

    @property
    def last_shared_bytes(self) -> int:
        """Dynamic shared memory of the last launch."""
        return int(self.library.shim_last_shared_bytes())

    def bte(
        self, x: np.ndarray, alpha: float, epsilon: float, channels_last: bool = False, shift: int = 0
    ) -> np.ndarray:
        """x (N, C, H, W); with `channels_last` it is passed as NHWC and so is the result."""
        memory = fenced(np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if channels_last else x, shift)
        y = fenced(np.zeros(x.size, x.dtype), shift)
        shape = (ctypes.c_int * 4)(*x.shape)
        floats = ctypes.c_float(alpha), ctypes.c_float(epsilon)
        _check(self.library.bte(shape, *floats, _half(x), int(channels_last), pointer_to(memory), pointer_to(y)))
        _check_fence(y)
        if channels_last:
            return y.reshape(*np.take(x.shape, (0, 2, 3, 1))).transpose(0, 3, 1, 2)
        return y.reshape(x.shape)

    def error_of_bte(self, shape: tuple[int, ...], with_memory: bool = True) -> int:
        """What the launcher says to `shape`; the memory is 64 elements, or none."""
        memory = np.zeros(64, np.float32)
        pointer = pointer_to(memory) if with_memory else None
        floats = ctypes.c_float(1), ctypes.c_float(1)
        return int(self.library.bte((ctypes.c_int * 4)(*shape), *floats, 0, 0, pointer, pointer))

    def dcnv2(self, tensors: Tensors, geometry: Geometry) -> np.ndarray:
        kernel = tensors.weight.shape[2:]
        out = geometry.output_size(tensors.x.shape[2:], kernel)
        m = tensors.weight.shape[0]
        axes = (*geometry.stride, *geometry.padding, *geometry.dilation)
        numbers = [*tensors.x.shape, m, *out, *kernel, *axes, geometry.groups, geometry.deformable_groups]
        return self.dcnv2_of(numbers, tensors, (tensors.x.shape[0], m, *out))

    def dcnv2_of(self, numbers: list[int], tensors: Tensors, shape: tuple[int, ...]) -> np.ndarray:
        """With the fields of Dcnv2Shape as given, right or wrong."""
        inputs = [fenced(array) for array in astuple(tensors)]
        y = fenced(np.zeros(int(np.prod(shape)), tensors.x.dtype))
        pointers = [pointer_to(array) for array in (*inputs, y)]
        _check(self.library.dcnv2((ctypes.c_int * 17)(*numbers), _half(tensors.x), *pointers))
        _check_fence(y)
        return y.reshape(shape)


def _half(array: np.ndarray) -> int:
    assert array.dtype in (np.float16, np.float32)
    return int(array.dtype == np.float16)


def pointer_to(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _check(error: int) -> None:
    if error:
        raise LaunchError(error)


def _check_fence(array: np.ndarray) -> None:
    buffer = array.base
    assert isinstance(buffer, np.ndarray)
    assert np.isnan(buffer).sum() >= buffer.size - array.size, "written beside the output"
