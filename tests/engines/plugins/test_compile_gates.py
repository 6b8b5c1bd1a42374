"""The kernels compile for every board and keep to their budgets; nothing is run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgefas.benchmarks.kernel_resources import ARCHITECTURES, Resources, compile_kernels, read_report, source_hashes
from tests.engines.plugins.emulation import Emulated
from tests.engines.plugins.test_bte_kernel import noise
from tests.engines.plugins.test_dcnv2_kernel import make

REGISTER_FILE = 65536
"""Registers of a multiprocessor, from compute capability 7.0 on."""
BLOCKS = {1024: 1, 256: 2, 128: 3}
"""Blocks a multiprocessor must hold, by their threads: two, so that one loads while the other multiplies."""
MOST_SHARED = 64 * 1024


def over_budget(rows: list[Resources]) -> list[str]:
    """What breaks a budget, in words."""
    found = []
    for row in rows:
        allowed = REGISTER_FILE // (row.threads * BLOCKS[row.threads]) // 8 * 8
        if row.registers > allowed:
            found.append(f"{row.kernel}: {row.registers} registers, {allowed} allowed")
        if row.spilled_bytes:
            found.append(f"{row.kernel}: {row.spilled_bytes} bytes spilled")
        if row.static_shared_bytes or row.max_dynamic_shared_bytes > MOST_SHARED:
            found.append(f"{row.kernel}: {row.static_shared_bytes} + {row.max_dynamic_shared_bytes} bytes shared")
    return found


@pytest.mark.parametrize(
    "architecture", [pytest.param(a, marks=[] if a == "sm_87" else pytest.mark.slow) for a in ARCHITECTURES]
)
def test_budgets(architecture: str, tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("needs nvcc on the path: the CUDA toolkit, or pip install nvidia-cuda-nvcc")
    rows = compile_kernels(architecture, tmp_path)
    assert len(rows) == 26
    assert over_budget(rows) == []
    ptx = (tmp_path / "kernels.ptx").read_text()
    entries = {part.split("(", 1)[0].strip(): part for part in ptx.split(".visible .entry")[1:]}
    packs = [body for name, body in entries.items() if "bte_kernel" in name and ("Li4ELb" in name or "Li8ELb" in name)]
    assert len(packs) == 8
    for body in packs:
        stores = re.findall(r"st\.global[.\w]*", body)
        assert stores
        assert set(stores) == {"st.global.wb.v4.u32"}
        assert all(".v4." in load for load in re.findall(r"ld\.global[.\w]*", body))
    halves = [body for name, body in entries.items() if "dcnv2_gemmI6__half" in name]
    assert len(halves) == 3
    for body in halves:
        assert "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" in body
        assert "cp.async.cg.shared.global" in body


REPORT = """\
ptxas info    : Compiling entry function 'void edgefas::bte_kernel<float, 4, false, false>(edgefas::BteShape)' for 'x'
    8 bytes stack frame, 12 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 72 registers, used 1 barriers, 64 bytes smem, 424 bytes cmem[0]
ptxas info    : Compiling entry function 'void edgefas::dcnv2_direct<__half, 4>(edgefas::Dcnv2Shape)' for 'x'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 47 registers, used 1 barriers, 472 bytes cmem[0]
"""


def test_a_broken_budget_is_named() -> None:
    rows = read_report(REPORT)
    assert [row.kernel for row in rows] == ["bte_kernel<float, 4, false, false>", "dcnv2_direct<__half, 4>"]
    assert over_budget(rows) == [
        "bte_kernel<float, 4, false, false>: 72 registers, 64 allowed",
        "bte_kernel<float, 4, false, false>: 16 bytes spilled",
        "bte_kernel<float, 4, false, false>: 64 + 20504 bytes shared",
    ]


def test_shared_memory_is_what_the_launchers_ask_for(emulated: Emulated) -> None:
    tensors, geometry = make("many pixels", np.float16)
    asked = []
    for processors in (1, 500):
        emulated.device(processors)
        emulated.dcnv2(tensors, geometry)
        asked.append(emulated.last_shared_bytes)
    emulated.dcnv2(*make("depthwise", np.float16))
    asked.append(emulated.last_shared_bytes)
    for shape in ((1, 8, 1, 256), (1, 8, 24, 40)):
        emulated.bte(noise(shape, np.float16), 1.0, 1.0)
        asked.append(emulated.last_shared_bytes)
    names = [
        "dcnv2_gemm<__half, Dcnv2Tile<__half, 192, 64, 4, 2, 1, 64> >",
        "dcnv2_gemm<__half, Dcnv2Tile<__half, 32, 16, 1, 1, 4, 256> >",
        "dcnv2_direct<__half, 4>",
        "bte_kernel<__half, 8, false, false>",
        "bte_kernel<__half, 8, false, true>",
    ]
    entry = (
        "Compiling entry function 'void {}(edgefas::S)'\n0 bytes spill stores, 0 bytes spill loads\nUsed 8 registers\n"
    )
    wanted = {row.kernel: row.max_dynamic_shared_bytes for row in read_report("".join(map(entry.format, names)))}
    assert asked == [wanted[name] for name in names]


def test_committed_figures_belong_to_these_sources(root: Path) -> None:
    document = json.loads((root / "benchmarks" / "results" / "kernel-resources.json").read_text())
    assert document["sources"] == source_hashes(), "run: python -m edgefas.benchmarks.kernel_resources"
    assert document["architectures"].keys() == ARCHITECTURES.keys()
    for figures in document["architectures"].values():
        assert over_budget([Resources(**row) for row in figures["kernels"]]) == []
