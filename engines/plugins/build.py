"""Compiles the plugin library for the TensorRT and the GPU at hand: sources travel, binaries do not.

A library made with CUDA 13 does not run on JetPack 6's driver, and headers of another major version of TensorRT have
other tables of functions, so the library is made where it is used.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgefas.errors import EdgefasError, UsageError
from edgefas.files import FileWriteError, write_atomically

SOURCES = Path(__file__).parent
"""Holds kernels/ and tensorrt/."""
LIBRARY = "libedgefas_plugins.so"
OLDEST_MAJOR = 10
INCLUDE_DIRS = tuple(
    Path(place)
    for place in (
        f"/usr/include/{platform.machine()}-linux-gnu",
        "/usr/include",
        "/usr/local/include",
        "/usr/local/tensorrt/include",
    )
)
"""Where NvInfer.h lies on boards and in NVIDIA's containers."""
NVCC_PLACES = ("nvcc", "/usr/local/cuda/bin/nvcc")
APT_TEXT = (
    "on a board install what compiles plugins with: sudo apt install cmake g++ libnvinfer-headers-dev "
    "cuda-nvcc-12-6 cuda-cudart-dev-12-6 (JetPack 6; in JetPack 7 the last two end in the version of its CUDA)"
)
STOCK_TEXT = "mend that, or build the engine with --plugins stock, which compiles nothing"
ERROR_LINES = 30
"""Of a failed compiler's output."""


class PluginBuildError(EdgefasError):
    """The plugin library cannot be compiled."""


def build_plugins(out: Path, include_dir: Path | None, architectures: tuple[str, ...]) -> Path:
    """Compile the packaged sources and put the library into `out`; takes about a minute on a board.

    Args:
        out: a folder, made if need be; an older library in it is replaced only by a whole new one.
        include_dir: the folder of NvInfer.h; None looks in `INCLUDE_DIRS`.
        architectures: compute capabilities without the dot, e.g. ("87",) for Orin.

    Returns:
        The library, for `IPluginRegistry.load_library`.

    Raises:
        PluginBuildError: a tool or the headers are missing, or a compiler refused; the text says which and the remedy.
        UsageError: no architecture, or not one.
        FileWriteError: `out` cannot be written.
    """
    include_dir = find_headers(include_dir)
    with tempfile.TemporaryDirectory(prefix="edgefas-plugins-") as work:
        library = compile_plugins(SOURCES, Path(work), include_dir, architectures)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileWriteError(f"cannot write {out}: {error.strerror}; choose another place") from error
        write_atomically(out / LIBRARY, library.read_bytes())
    return out / LIBRARY


def find_headers(include_dir: Path | None) -> Path:
    """The folder of NvInfer.h, of a TensorRT that has the interfaces the plugins use.

    Raises:
        PluginBuildError: there is none, or it is too old.
    """
    places = INCLUDE_DIRS if include_dir is None else (include_dir,)
    found = next((place for place in places if (place / "NvInfer.h").is_file()), None)
    if found is None:
        looked = ", ".join(str(place) for place in places)
        raise PluginBuildError(f"no NvInfer.h (TensorRT's headers) in {looked}; {APT_TEXT}")
    version = headers_version(found)
    if int(version.split(".")[0]) < OLDEST_MAJOR:
        raise PluginBuildError(f"{found} holds TensorRT {version}; the plugins need 10.3 (JetPack 6.1) or newer")
    return found


def headers_version(include_dir: Path) -> str:
    """E.g. "10.3.0.26", as NvInferVersion.h says.

    Raises:
        PluginBuildError: it does not say.
    """
    file = include_dir / "NvInferVersion.h"
    try:
        defines = dict(re.findall(r"^#define (\w+) (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    except (OSError, UnicodeDecodeError) as error:
        raise PluginBuildError(f"{file} cannot be read ({error}); {APT_TEXT}") from error
    parts = [defines.get(f"NV_TENSORRT_{part}", "") for part in ("MAJOR", "MINOR", "PATCH", "BUILD")]
    numbers = [defines.get(part, part) for part in parts]  # since 10.13 they name another define
    if not all(number.isdigit() for number in numbers):
        raise PluginBuildError(f"{file} does not tell TensorRT's version; {APT_TEXT}")
    return ".".join(numbers)


def compile_plugins(
    sources: Path, work: Path, include_dir: Path, architectures: Sequence[str], options: Sequence[str] = ()
) -> Path:
    """Compile `sources` in the folder `work` and give the library's place there.

    Called again with the same `work`, only what changed is compiled: other headers leave the kernels alone.

    Args:
        options: more of CMake's, e.g. for another processor.

    Raises:
        PluginBuildError, UsageError: see `build_plugins`.
    """
    if not architectures or not all(re.fullmatch(r"\d{2,3}[af]?", one) for one in architectures):
        raise UsageError(
            f"CUDA architectures {list(architectures)} are not what nvcc knows; "
            "give compute capabilities without the dot, e.g. 87 for Orin, 110 for Thor"
        )
    if not (sources / "kernels" / "launch.cuh").is_file():
        raise PluginBuildError(f"{sources} holds no kernels/launch.cuh; install edgefas again")
    cmake = _find_tool("cmake", ("cmake",))
    configure = [
        *(cmake, "-S", str(sources / "tensorrt"), "-B", str(work)),
        f"-DCMAKE_CUDA_COMPILER={_find_tool('nvcc', NVCC_PLACES)}",
        f"-DCMAKE_CUDA_ARCHITECTURES={';'.join(architectures)}",
        f"-DTENSORRT_INCLUDE_DIR={include_dir.resolve()}",
    ]
    if not any(option.startswith("-DCMAKE_CXX_COMPILER=") for option in options):
        configure.append(f"-DCMAKE_CXX_COMPILER={_find_tool('g++', ('g++', 'c++'))}")
    _run([*configure, *options])
    # nvcc takes up to 1 GB a file, and the smallest board has 8 GB
    _run([cmake, "--build", str(work), "--parallel", str(min(os.cpu_count() or 1, 4))])
    return work / LIBRARY


def _find_tool(name: str, places: Sequence[str]) -> str:
    found = next((path for path in map(shutil.which, places) if path), None)
    if found is None:
        raise PluginBuildError(f"{name} is not installed (looked for {', '.join(places)}); {APT_TEXT}")
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-ERROR_LINES:])
        raise PluginBuildError(f"the plugins cannot be compiled; {command[0]} ended with:\n{tail}\n{STOCK_TEXT}")
