"""Compiling the plugins, with programs that stand in for CMake and the compilers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgefas.engines.plugins import build
from edgefas.engines.plugins.build import LIBRARY, PluginBuildError, build_plugins, find_headers, headers_version
from edgefas.errors import UsageError

TODAY = """#define TRT_MAJOR_ENTERPRISE 11
#define TRT_MINOR_ENTERPRISE 1
#define TRT_PATCH_ENTERPRISE 0
#define TRT_BUILD_ENTERPRISE 106
#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE //!< major
#define NV_TENSORRT_MINOR TRT_MINOR_ENTERPRISE //!< minor
#define NV_TENSORRT_PATCH TRT_PATCH_ENTERPRISE //!< patch
#define NV_TENSORRT_BUILD TRT_BUILD_ENTERPRISE //!< build
"""
BEFORE = """#define NV_TENSORRT_MAJOR {major} //!< major
#define NV_TENSORRT_MINOR 3 //!< minor
#define NV_TENSORRT_PATCH 0 //!< patch
#define NV_TENSORRT_BUILD 26 //!< build
"""
CMAKE = """#!/bin/sh
echo "$@" >> "{log}"
if [ "$1" = --build ]; then {on_build}; fi
"""


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    folder = tmp_path / "include"
    folder.mkdir()
    (folder / "NvInfer.h").touch()
    (folder / "NvInferVersion.h").write_text(BEFORE.format(major=10))
    return folder


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH, with nvcc and g++; `write_cmake` adds the third."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("nvcc", "g++"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def write_cmake(tools: Path, on_build: str) -> Path:
    log = tools / "log"
    (tools / "cmake").write_text(CMAKE.format(log=log, on_build=on_build))
    (tools / "cmake").chmod(0o755)
    return log


def test_the_library_arrives_whole_with_what_was_asked_for(headers: Path, tools: Path, tmp_path: Path) -> None:
    log = write_cmake(tools, f'printf library > "$2/{LIBRARY}"')
    built = build_plugins(tmp_path / "out" / "deep", headers, ("87", "110"))
    assert built == tmp_path / "out" / "deep" / LIBRARY
    assert built.read_bytes() == b"library"
    configured = log.read_text().splitlines()[0]
    assert "-DCMAKE_CUDA_ARCHITECTURES=87;110" in configured
    assert f"-DTENSORRT_INCLUDE_DIR={headers}" in configured
    assert f"-DCMAKE_CUDA_COMPILER={tools / 'nvcc'}" in configured


def test_a_failed_compiler_is_quoted_and_the_old_library_stays(headers: Path, tools: Path, tmp_path: Path) -> None:
    write_cmake(tools, "echo dcnv2.cuh: expected a semicolon; exit 2")
    (tmp_path / LIBRARY).write_bytes(b"old")
    with pytest.raises(PluginBuildError, match=r"expected a semicolon\n.*--plugins stock"):
        build_plugins(tmp_path, headers, ("87",))
    assert (tmp_path / LIBRARY).read_bytes() == b"old"


def test_a_missing_tool_is_named_with_the_packages(
    headers: Path, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(PluginBuildError, match=r"cmake is not installed.*sudo apt install cmake .*libnvinfer-headers"):
        build_plugins(tmp_path, headers, ("87",))
    write_cmake(tools, "true")
    monkeypatch.setattr(build, "NVCC_PLACES", ("nvcc-of-no-toolkit",))
    with pytest.raises(PluginBuildError, match="nvcc is not installed"):
        build_plugins(tmp_path, headers, ("87",))


@pytest.mark.parametrize("architectures", [(), ("8.7",), ("sm_87",), ("87", "87;-DX=1")])
def test_architectures_are_compute_capabilities(
    headers: Path, tools: Path, tmp_path: Path, architectures: tuple[str, ...]
) -> None:
    log = write_cmake(tools, "true")
    with pytest.raises(UsageError, match="87 for Orin"):
        build_plugins(tmp_path, headers, architectures)
    assert not log.exists()


def test_headers_are_looked_for_where_boards_have_them(headers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "INCLUDE_DIRS", (headers / "none", headers))
    assert find_headers(None) == headers
    monkeypatch.setattr(build, "INCLUDE_DIRS", (headers / "none",))
    with pytest.raises(PluginBuildError, match=r"no NvInfer\.h .*none.*libnvinfer-headers-dev"):
        find_headers(None)


def test_headers_of_every_release_tell_their_version(headers: Path) -> None:
    assert headers_version(headers) == "10.3.0.26"
    (headers / "NvInferVersion.h").write_text(TODAY)
    assert headers_version(headers) == "11.1.0.106"
    (headers / "NvInferVersion.h").write_text("#define NV_TENSORRT_MAJOR 10\n")
    with pytest.raises(PluginBuildError, match="does not tell"):
        headers_version(headers)
    (headers / "NvInferVersion.h").unlink()
    with pytest.raises(PluginBuildError, match="cannot be read"):
        headers_version(headers)


def test_headers_without_the_interfaces_are_refused(headers: Path) -> None:
    (headers / "NvInferVersion.h").write_text(BEFORE.format(major=8))
    with pytest.raises(PluginBuildError, match=r"TensorRT 8\.3\.0\.26; the plugins need 10\.3"):
        find_headers(headers)
