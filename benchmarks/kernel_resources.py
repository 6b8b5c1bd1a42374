"""What the CUDA kernels take of a multiprocessor: registers, spills, shared memory; read from the compiler, no GPU.

    python -m edgefas.benchmarks.kernel_resources

Needs nvcc on the path. Writes benchmarks/results/kernel-resources.json.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import edgefas.engines.plugins
from edgefas.cli.guard import run_script
from edgefas.errors import EdgefasError
from edgefas.files import write_atomically

KERNELS = Path(edgefas.engines.plugins.__file__).parent / "kernels"
ARCHITECTURES = {"sm_87": "Jetson Orin", "sm_90": "H100, H200", "sm_110": "Jetson Thor"}
FLAGS = ("-std=c++17", "-O3", "-Xptxas", "-v", "-Werror", "all-warnings", "-Xcompiler", "-Wall,-Wextra,-Werror")

LAUNCHERS = """\
#include "launch.cuh"
cudaError_t bte(edgefas::BteShape shape, edgefas::Type type, edgefas::Layout layout, void const* x, void* y) {
  return edgefas::launch_bte(shape, 1.0f, 1.0f, type, layout, x, y, nullptr);
}
cudaError_t dcnv2(edgefas::Dcnv2Shape shape, edgefas::Type type, void const* const* in, void* y) {
  return edgefas::launch_dcnv2(shape, type, in[0], in[1], in[2], in[3], in[4], y, nullptr);
}
"""
"""A source that makes every kernel the launchers can choose."""


@dataclass(frozen=True)
class Resources:
    """Of one kernel on one architecture."""

    kernel: str
    threads: int
    """Of a block."""
    registers: int
    """Of a thread."""
    spilled_bytes: int
    static_shared_bytes: int
    max_dynamic_shared_bytes: int
    """For a 3x3 kernel (DCNv2), or the largest tile (BTE)."""


def compile_kernels(architecture: str, folder: Path) -> list[Resources]:
    """Compile for e.g. "sm_87" in `folder`, where `kernels.ptx` is left too.

    Raises:
        EdgefasError: no nvcc, or it refuses; its messages are in the text.
    """
    nvcc, demangle = (shutil.which(name) for name in ("nvcc", "c++filt"))
    if nvcc is None or demangle is None:
        raise EdgefasError(
            "the kernels cannot be compiled: nvcc and c++filt must be on the path; install g++ and the CUDA toolkit "
            "(or: pip install nvidia-cuda-nvcc)"
        )
    source = folder / "kernels.cu"
    source.write_text(LAUNCHERS, encoding="utf-8")
    number = architecture.removeprefix("sm_")
    target = f"-gencode=arch=compute_{number},code={architecture}"
    command = [nvcc, *FLAGS, target, f"-I{KERNELS}", "-cubin", "-keep", "-keep-dir", str(folder), str(source)]
    done = subprocess.run([*command, "-o", str(folder / "kernels.cubin")], capture_output=True, text=True)
    if done.returncode != 0:
        first = "\n".join((done.stderr or done.stdout).splitlines()[:12])
        raise EdgefasError(f"nvcc does not compile the kernels for {architecture}; please report it:\n{first}")
    named = subprocess.run([demangle], input=done.stdout + done.stderr, capture_output=True, text=True, check=True)
    return read_report(named.stdout)


def read_report(text: str) -> list[Resources]:
    """What `ptxas -v` says, demangled, one entry per kernel, by name."""
    found = []
    for block in text.split("Compiling entry function ")[1:]:
        name = _match(r"'(?:void )?(.*)\(edgefas::", block).replace("edgefas::", "")
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", block)
        assert spills is not None, block
        shared = re.search(r"(\d+) bytes smem", block)
        static_shared = int(shared.group(1)) if shared else 0
        registers = int(_match(r"Used (\d+) registers", block))
        threads, dynamic_shared = _block_of(name)
        found.append(Resources(name, threads, registers, sum(map(int, spills.groups())), static_shared, dynamic_shared))
    return sorted(found, key=lambda row: row.kernel)


def _block_of(kernel: str) -> tuple[int, int]:
    """(threads, largest dynamic shared memory) by the constants in the kernel's name."""
    numbers = [int(n) for n in re.findall(r"(?<!\w)\d+", kernel)]
    taps, sample_bytes, word = 9, 20, 4
    if kernel.startswith("bte_kernel"):
        [width] = numbers
        channels_last, tiled = (flag == "true" for flag in re.findall("true|false", kernel))
        threads, pixels = 256 if tiled else 1024, 1 if channels_last else width
        # A whole map of 256 pixels in a row has the longest rim; a tile is 8 rows of cells.
        rows, columns = (8, 8 if channels_last else 32 if width == 1 else 8 * width) if tiled else (1, 256)
        return threads, word * (threads * pixels * (1 + tiled) + (columns + 2) * (rows + 2) + columns * rows)
    if kernel.startswith("dcnv2_gemm"):
        rows, columns, *warps, chunk_bytes = numbers
        threads = 32 * warps[0] * warps[1] * warps[2]
        return threads, 2 * (rows + columns) * (chunk_bytes + 16) + taps * columns * sample_bytes
    assert kernel.startswith("dcnv2_direct"), kernel
    return 256, taps * 32 * sample_bytes


def _match(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, f"{pattern} not in {text[:300]}"
    return found.group(1)


def source_hashes() -> dict[str, str]:
    """SHA-256 of each header, by name: what the committed figures belong to."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(KERNELS.glob("*.cuh"))}


def nvcc_version() -> str:
    done = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True)  # noqa: S607
    return _match(r"(release .*)", done.stdout)


def main(
    out: Annotated[Path, typer.Option("-o", "--out")] = Path("benchmarks/results/kernel-resources.json"),
) -> None:
    """Compile the kernels for every board and note what they take."""
    with tempfile.TemporaryDirectory() as folder:
        rows = {name: compile_kernels(name, Path(folder)) for name in ARCHITECTURES}
    document: dict[str, Any] = {
        "what": "resources of the CUDA kernels as ptxas reports them; compiled, not run",
        "command": "python -m edgefas.benchmarks.kernel_resources",
        "nvcc": nvcc_version(),
        "flags": list(FLAGS),
        "sources": source_hashes(),
        "architectures": {
            name: {"boards": boards, "kernels": [asdict(row) for row in rows[name]]}
            for name, boards in ARCHITECTURES.items()
        },
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    for name, found in rows.items():
        most = max(found, key=lambda row: row.registers)
        spilled = sum(row.spilled_bytes for row in found)
        highest = f"at most {most.registers} registers ({most.kernel})"
        sys.stdout.write(f"{name}: {len(found)} kernels, {highest}, {spilled} bytes spilled\n")


if __name__ == "__main__":
    run_script(main)
