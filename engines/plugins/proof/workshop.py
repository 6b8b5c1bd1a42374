"""Compiles the plugins against several releases' headers, and the driver that asks them everything."""

from __future__ import annotations

import filecmp
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgefas.engines.plugins.build import (
    APT_TEXT,
    LIBRARY,
    NVCC_PLACES,
    PluginBuildError,
    compile_plugins,
    find_headers,
    headers_version,
)
from edgefas.engines.plugins.proof.lean import static_cuda_runtime
from edgefas.engines.plugins.proof.planted import Bug, plant
from edgefas.engines.plugins.proof.result import PLUGINS, source_hashes
from edgefas.errors import CheckFailed, UsageError

ARCHITECTURES = ("87",)
"""Of Orin; no kernel runs here, so one is enough."""
CROSS_APT_TEXT = "sudo apt install g++-aarch64-linux-gnu qemu-user-static"


@dataclass(frozen=True)
class Headers:
    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


@dataclass(frozen=True)
class Processor:
    """How to compile for it and run what was compiled, here."""

    name: str
    prefix: str
    """Of the compiler's and binutils' names."""
    emulator: tuple[str, ...]

    def missing(self) -> list[str]:
        tools = [self.prefix + tool for tool in ("g++", "nm", "readelf")] + list(self.emulator[:1])
        return [tool for tool in tools if shutil.which(tool) is None]


NATIVE = Processor("x86_64", "", ())
CROSS = Processor("aarch64", "aarch64-linux-gnu-", ("qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"))


def read_headers(folders: Sequence[Path]) -> list[Headers]:
    """Sorted by version.

    Raises:
        UsageError: none is given, or two are of one version.
        PluginBuildError: a folder holds none.
    """
    if not folders:
        raise UsageError(
            "no folder of TensorRT's headers was given; type: make plugin-proof TENSORRT_INCLUDE_DIR='DIR [DIR ...]' "
            "with the include folders of one or more releases (a board's libnvinfer-headers-dev, or the include/ "
            "folder of a release branch of NVIDIA's public TensorRT repository); a full proof has 10.3, one newer 10 "
            "and one 11"
        )
    headers = [Headers(find_headers(folder), headers_version(folder)) for folder in folders]
    if len({one.version for one in headers}) != len(headers):
        raise UsageError(f"two folders hold the same version: {', '.join(one.version for one in headers)}; give one")
    return sorted(headers, key=lambda one: [int(part) for part in one.version.split(".")])


def cuda_toolkit() -> tuple[Path, str]:
    """(include folder, version) of the toolkit of nvcc.

    Raises:
        PluginBuildError: there is none.
    """
    nvcc = next((path for path in map(shutil.which, NVCC_PLACES) if path), None)
    if nvcc is None:
        raise PluginBuildError(f"nvcc is not installed (looked for {', '.join(NVCC_PLACES)}); {APT_TEXT}")
    text = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"release (\d+\.\d+)", text)
    places = (Path(nvcc).resolve().parent.parent / "include", Path("/usr/local/cuda/include"))
    include = next((place for place in places if (place / "cuda_runtime_api.h").is_file()), None)
    if version is None or include is None:
        raise PluginBuildError(f"{nvcc} has no toolkit beside it (looked in {', '.join(map(str, places))}); {APT_TEXT}")
    return include, version[1]


class Workshop:
    """Folders and tools of one proof; `sources` is a copy, into which bugs can be planted."""

    def __init__(self, cache: Path, headers: Sequence[Headers]) -> None:
        self.cache, self.headers = cache, headers
        self.sources = cache / "sources"
        self.cuda_include, self.cuda = cuda_toolkit()
        for name in source_hashes():
            self._refresh(name)

    def compile(self, headers: Headers, processor: Processor) -> Path:
        """The library; kept apart for each version."""
        built = compile_plugins(
            self.sources,
            self.cache / f"build-{processor.name}",
            headers.folder,
            ARCHITECTURES,
            self._options(processor),
        )
        place = self.cache / f"{processor.name}-{headers.version}"
        place.mkdir(exist_ok=True)
        return Path(shutil.copy2(built, place / LIBRARY))

    def compile_driver(self, major: int, processor: Processor) -> Path | None:
        """None without headers of that major version: IPluginRegistry is not the same in another."""
        headers = next((one for one in reversed(self.headers) if one.major == major), None)
        if headers is None:
            return None
        driver = self.cache / f"lifecycle-{processor.name}-{major}"
        includes = ["-isystem", str(headers.folder), "-isystem", str(self.cuda_include)]
        sources = sorted(str(file) for file in (PLUGINS / "proof").glob("*.cpp"))
        flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
        command = [processor.prefix + "g++", *flags, *includes, *sources, "-ldl", "-o", str(driver)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise CheckFailed(f"the driver does not compile with TensorRT {headers.version}: {done.stderr[-2000:]}")
        return driver

    @contextmanager
    def planted(self, bug: Bug) -> Iterator[None]:
        """The bug is in the sources while the block runs."""
        plant(bug, self.sources)
        try:
            yield
        finally:
            self._refresh(bug.file)

    def _refresh(self, name: str) -> None:
        """Copy a source if it differs: an equal file keeps its time, so that it is not compiled again."""
        copy = self.sources / name
        if not copy.exists() or not filecmp.cmp(PLUGINS / name, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PLUGINS / name, copy)

    def _options(self, processor: Processor) -> list[str]:
        if not processor.prefix:
            return []
        compiler = processor.prefix + "g++"
        runtime = static_cuda_runtime(self.cache, self.cuda, processor.name)
        return [
            "-DCMAKE_SYSTEM_NAME=Linux",
            f"-DCMAKE_SYSTEM_PROCESSOR={processor.name}",
            f"-DCMAKE_CXX_COMPILER={compiler}",
            f"-DCMAKE_CXX_FLAGS=-isystem {self.cuda_include}",
            f"-DCMAKE_CUDA_HOST_COMPILER={compiler}",
            f"-DCMAKE_CUDA_FLAGS=-I{self.cuda_include} -L{runtime}",
        ]
