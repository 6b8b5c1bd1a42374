"""The PyTorch binding as far as a machine without a GPU goes: it compiles, and its fields are in the kernels' order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from edgefas.engines.plugins.torch import SOURCES, require_cuda
from edgefas.errors import EdgefasError
from tests.engines.plugins.emulation import COMPILER, KERNELS
from tests.engines.plugins.test_dcnv2_kernel import FIELDS

BINDING = KERNELS.parent / "torch"


def test_without_a_device_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(EdgefasError, match="no CUDA device"):
        require_cuda()


def test_an_old_device_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (7, 2))
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Xavier")
    with pytest.raises(EdgefasError, match=r"Xavier has compute capability 7\.2"):
        require_cuda()


def test_fields_are_in_the_order_of_the_kernels() -> None:
    declared = re.search(r"struct Dcnv2Shape \{\s*int32_t (.*?);", (KERNELS / "sampling.cuh").read_text(), re.S)
    assert declared is not None
    assert tuple(re.split(r",\s*", declared.group(1))) == FIELDS
    given = re.search(r"values\[17\] = \{(.*?)\}", (BINDING / "binding.cpp").read_text(), re.S)
    assert given is not None
    names = [
        *("x.size(0)", "x.size(1)", "x.size(2)", "x.size(3)", "weight.size(0)", "height", "width"),
        *("weight.size(2)", "weight.size(3)", "stride[0]", "stride[1]", "padding[0]", "padding[1]"),
        *("dilation[0]", "dilation[1]", "groups", "deformable_groups"),
    ]
    assert re.split(r",\s*", given.group(1)) == names


@pytest.mark.slow
def test_the_host_half_compiles_against_pytorchs_headers() -> None:
    if COMPILER is None:
        pytest.skip("needs g++: apt-get install g++")
    from torch.utils.cpp_extension import include_paths

    paths = [*include_paths(), sysconfig.get_path("include")]
    command = [COMPILER, "-std=c++20", "-fsyntax-only", "-Wall", "-Werror", "-DTORCH_EXTENSION_NAME=edgefas_kernels"]
    system = [word for path in paths for word in ("-isystem", path)]
    done = subprocess.run([*command, *system, str(BINDING / SOURCES[0])], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_device_half_compiles(tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("needs nvcc on the path: the CUDA toolkit, or pip install nvidia-cuda-nvcc")
    command = [nvcc, "-std=c++17", "-Werror", "all-warnings", "-arch=sm_90", "-c", str(BINDING / SOURCES[1])]
    done = subprocess.run([*command, "-o", str(tmp_path / "kernels.o")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
