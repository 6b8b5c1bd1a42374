"""The comparisons catch a bug: each is planted into a copy of the kernels, which then must not agree."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.engines.plugins import test_bte_kernel, test_dcnv2_kernel
from tests.engines.plugins.emulation import COMPILER, KERNELS, Emulated, LaunchError, compile_kernels
from tests.engines.plugins.reference import Geometry, random_tensors


@dataclass(frozen=True)
class Bug:
    """One text in a header, found once, and what takes its place."""

    header: str
    right: str
    wrong: str


BTE = {
    "sign in Sobel": Bug("bte.cuh", "(up[1] - up[-1]) + 2.0f", "(up[1] + up[-1]) + 2.0f"),
    "weight in Sobel": Bug("bte.cuh", "2.0f * (down[0] - up[0])", "(down[0] - up[0])"),
    "one axis for both": Bug("bte.cuh", "(down[-1] - up[-1]) + 2.0f * (down[0] - up[0]) + (down[1] - up[1])", "gx"),
    "sum for mean": Bug("bte.cuh", "total / static_cast<float>(shape.channels)", "total"),
    "sign of alpha": Bug("bte.cuh", "expf(-alpha", "expf(alpha"),
    "no epsilon": Bug("bte.cuh", "gy * gy) + epsilon", "gy * gy)"),
    "no rim": Bug("bte.cuh", "column >= -1 && column <= tile.width", "false"),
    "some sums forgotten": Bug(
        "bte.cuh", "lane = i / pixels + kBteMostGroups; lane < lanes", "lane = lanes; lane < lanes"
    ),
    "last channels of a block": Bug("bte.cuh", "(part + 1) * rounds / tile.split", "part * rounds / tile.split + 1"),
    "no barrier before the gates": Bug(
        "bte.cuh", "halo.total(i));\n    }\n  }\n  __syncthreads();", "halo.total(i));\n    }\n  }"
    ),
}
DCNV2 = {
    "stride swapped": Bug("sampling.cuh", "out_width * shape.stride_h", "out_width * shape.stride_w"),
    "padding swapped": Bug("sampling.cuh", "stride_w - shape.padding_w", "stride_w - shape.padding_h"),
    "dilation swapped": Bug("sampling.cuh", "kernel_w * shape.dilation_h", "kernel_w * shape.dilation_w"),
    "dy and dx swapped": Bug(
        "sampling.cuh", "offset[2 * channel * plane + within]", "offset[(2 * channel + 1) * plane + within]"
    ),
    "no mask": Bug("sampling.cuh", "to_float(mask[channel * plane + within])", "(mask ? 1.0f : 0.0f)"),
    "positions in half": Bug("sampling.cuh", "sample_at(static_cast<float>(y + tap_y) + dy",
                             "sample_at(to_float(from_float<__half>(static_cast<float>(y + tap_y) + dy))"),
    "border": Bug("sampling.cuh", "greatest(size - 2, 0)", "greatest(size - 1, 0)"),
    "corners transposed": Bug("sampling.cuh", "rows[i / 2] * columns[i % 2]", "rows[i % 2] * columns[i / 2]"),
    "first deformable group only": Bug("sampling.cuh", "shape.deformable_groups + group)", "shape.deformable_groups)"),
    "no bias": Bug("dcnv2.cuh", "+ to_float(bias[first_output + output])", ""),
    "a warp's sum forgotten": Bug("dcnv2.cuh", "part < kParts", "part < kParts - 1"),
    "registers of A swapped": Bug("mma.cuh", "load_pair(row + 8 * kPitch), load_pair(row + 8),",
                                  "load_pair(row + 8), load_pair(row + 8 * kPitch),"),
    "no barrier between chunks": Bug(
        "dcnv2.cuh", "kSamples, k + Tile::kDepth);\n      __syncthreads();", "kSamples, k + Tile::kDepth);"
    ),
    "weights not waited for": Bug("dcnv2.cuh", "__pipeline_wait_prior(0);", ""),
    "table of the group before": Bug("dcnv2.cuh", "__syncthreads();  // the last table has been read", ";"),
}  # fmt: skip
IN_DEFAULT_SUITE = {
    "sign in Sobel",
    "no rim",
    "stride swapped",
    "no mask",
    "registers of A swapped",
    "positions in half",
}

BTE_SHAPES = [(1, 960, 4, 4), (1, 24, 29, 37), (2, 20, 24, 40)]
DCNV2_CASES = [
    "dense, stride 2, batch 3",
    "all axes differ",
    "groups across deformable groups",
    "two outputs per group",
]


def assert_bte_agrees(kernels: Emulated) -> None:
    """Raises AssertionError or LaunchError where the kernel does not do what it should."""
    for shape in BTE_SHAPES:
        for last_first in (False, True):
            x = test_bte_kernel.noise(shape, np.float32)
            kernels.device(8, last_first)
            got = kernels.bte(x, test_bte_kernel.ALPHA, test_bte_kernel.EPSILON)
            test_bte_kernel.assert_close(got, x)


def assert_dcnv2_agrees(kernels: Emulated) -> None:
    """As above."""
    wide = random_tensors((1, 8, 3, 230), 40, (3, 3), Geometry()).cast(np.float16), Geometry()
    for tensors, geometry in [*(test_dcnv2_kernel.make(case, np.float16) for case in DCNV2_CASES), wide]:
        for processors in (1, 500):
            for last_first in (False, True):
                kernels.device(processors, last_first)
                test_dcnv2_kernel.assert_close(kernels.dcnv2(tensors, geometry), tensors, geometry)


def test_nothing_planted(emulated: Emulated) -> None:
    assert_bte_agrees(emulated)
    assert_dcnv2_agrees(emulated)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in IN_DEFAULT_SUITE else pytest.mark.slow) for name in {**BTE, **DCNV2}],
)
def test_a_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    if COMPILER is None:
        pytest.skip("needs g++: apt-get install g++")
    bug = {**BTE, **DCNV2}[name]
    shutil.copytree(KERNELS, tmp_path / "kernels")
    header = tmp_path / "kernels" / bug.header
    assert header.read_text().count(bug.right) == 1
    header.write_text(header.read_text().replace(bug.right, bug.wrong))
    only = "-DONLY_BTE" if name in BTE else "-DONLY_DCNV2"
    # What is planted leaves variables unused.
    kernels = compile_kernels(tmp_path / "kernels.so", tmp_path / "kernels", ["-O0", only, "-w"])
    with pytest.raises((AssertionError, LaunchError)):
        (assert_bte_agrees if name in BTE else assert_dcnv2_agrees)(kernels)
