"""Fetches TensorRT's lean runtime, and CUDA's static one for aarch64, from the package index; installs nothing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from edgefas.errors import EdgefasError
from edgefas.files import folder_written_atomically

LEAN_VERSIONS = {10: "10.16.1.11", 11: "11.4.0.106"}
"""Major version of TensorRT -> the lean runtime it is proved in. Older ones (10.3) are not on the index."""
PLATFORMS = {
    "x86_64": ("manylinux_2_28_x86_64",),
    "aarch64": ("manylinux_2_35_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
}


class DownloadError(EdgefasError):
    """A package cannot be had."""


def lean_runtime(cache: Path, major: int, processor: str) -> Path:
    """The library libnvinfer_lean.so of `LEAN_VERSIONS`, downloaded into `cache` once.

    Raises:
        DownloadError: pip says why.
    """
    return _from_wheel(cache, f"tensorrt-lean-cu13-libs=={LEAN_VERSIONS[major]}", processor, "libnvinfer_lean.so.*")[0]


def static_cuda_runtime(cache: Path, cuda: str, processor: str) -> Path:
    """The folder of CUDA's static libraries for a processor that this machine's toolkit is not for.

    Args:
        cuda: the toolkit's version, e.g. "13.0".

    Raises:
        DownloadError: pip says why.
    """
    name = "nvidia-cuda-runtime" if int(cuda.split(".")[0]) >= 13 else "nvidia-cuda-runtime-cu12"
    return _from_wheel(cache, f"{name}=={cuda}.*", processor, "libcuda*.a")[0].parent


def _from_wheel(cache: Path, requirement: str, processor: str, pattern: str) -> list[Path]:
    """The wheel's files of that name, unpacked flat into a folder of their own."""
    folder = cache / f"{requirement.replace('==', '-').rstrip('.*')}-{processor}"
    if found := sorted(folder.glob(pattern)):
        return found
    print_line(f"downloading {requirement} for {processor}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += [f"--platform={platform}" for platform in PLATFORMS[processor]]
    with tempfile.TemporaryDirectory(dir=cache) as partial:
        done = subprocess.run([*command, "-d", partial, requirement], capture_output=True, text=True)
        wheel = next(Path(partial).glob("*.whl"), None)
        if done.returncode or wheel is None:
            raise DownloadError(
                f"pip cannot download {requirement} for {processor}: {done.stderr.strip()[-500:]}\n"
                "the proof needs a package index; connect, then run it again"
            )
        with folder_written_atomically(folder) as filling, zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if Path(name).match(pattern):
                    (filling / Path(name).name).write_bytes(archive.read(name))
    if found := sorted(folder.glob(pattern)):
        return found
    raise DownloadError(f"{requirement} for {processor} holds no {pattern}; bring LEAN_VERSIONS up to date")


def print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
