"""`edgefas doctor` on boards as JetPack 6.2 and 7.2 leave them, on boards with one fault each, and on a desk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgefas.cli import main as cli
from edgefas.doctor import Check, State, System, check_all, failed_on_board, read_system
from edgefas.doctor.checks import l4t, power_modes, strongest_mode
from tests.engines.lowered import CREATORS
from tests.engines.tensorrt_fake import install

NANO_CONF = """
< PARAM TYPE=FILE NAME=CPU_ONLINE >
< POWER_MODEL ID=0 NAME=15W >
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< PM_CONFIG DEFAULT=1 >
"""
# Written by hand in the published formats of these releases; not read off a board.
JETPACK_6 = System(
    machine="aarch64",
    python="3.10",
    in_venv=True,
    system_site_packages=True,
    board="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    memory_gb=7.99,
    nv_tegra_release="# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
    packages={"nvidia-jetpack": "6.2+b77", "nvidia-l4t-core": "36.4.3-20250107174145", "libnvinfer10": "10.3.0.30-1"},
    tensorrt="10.3.0",
    pycuda_error=None,
    cuda_python="12.6.2",
    gpu="Orin",
    compute_capability="8.7",
    cuda_driver="12.6",
    onnxruntime="1.23.2",
    pyrealsense2="2.59.2",
    realsense_backend="rsusb",
    compilers={"cmake": "/usr/bin/cmake", "g++": "/usr/bin/g++", "nvcc": "/usr/local/cuda/bin/nvcc"},
    tensorrt_headers="/usr/include/aarch64-linux-gnu",
    plugins_error=None,
    nvpmodel="NV Power Mode: MAXN_SUPER\n2",
    nvpmodel_conf=NANO_CONF,
    clocks_locked=True,
    disk_free_gb=40.0,
)
JETPACK_7 = replace(
    JETPACK_6,
    python="3.12",
    board="NVIDIA Jetson AGX Thor Developer Kit",
    memory_gb=131.0,
    nv_tegra_release="# R39 (release), REVISION: 2.0, GCID: 1, BOARD: generic, EABI: aarch64, DATE: Mon Jun  1\n",
    packages={"nvidia-jetpack": "7.2", "nvidia-l4t-core": "39.2.0-20260601000000"},
    tensorrt="10.16.2",
    cuda_python="13.2.0",
    gpu="NVIDIA Thor",
    compute_capability="11.0",
    cuda_driver="13.2",
    nvpmodel="NV Power Mode: MAXN\n0",
    nvpmodel_conf="< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=120W >\n",
)
DESK = System(machine="x86_64", python="3.12", in_venv=True, system_site_packages=False, disk_free_gb=100.0,
              pycuda_error="No module named 'pycuda'", tensorrt_error="No module named 'tensorrt'")  # fmt: skip


def by_name(system: System) -> dict[str, Check]:
    return {check.name: check for check in check_all(system)}


@pytest.mark.parametrize("system", [JETPACK_6, JETPACK_7])
def test_a_board_as_jetpack_leaves_it_is_green(system: System) -> None:
    checks = check_all(system)
    assert [check for check in checks if check.state is not State.OK] == []
    assert not failed_on_board(system, checks)
    found = {check.name: check.found for check in checks}
    assert found["JetPack"].startswith("L4T 36.4, JetPack 6.2" if system is JETPACK_6 else "L4T 39.2, JetPack 7.2")
    assert found["power mode"] == ("MAXN_SUPER" if system is JETPACK_6 else "MAXN")


FAULTS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    # fault: (check, what differs, words found, words of the command)
    "python of another JetPack": (
        "Python", {"python": "3.12"}, "JetPack 6 pairs with 3.10", "python3.10 -m venv --system-site-packages .venv"),
    "venv without the system's packages": (
        "virtual environment", {"system_site_packages": False}, "where JetPack's TensorRT is", "--system-site"),
    "TensorRT cannot be imported": (
        "TensorRT", {"tensorrt": None, "tensorrt_error": "libnvinfer.so.10: missing"}, "libnvinfer.so.10",
        "sudo apt install python3-libnvinfer"),
    "TensorRT not installed": (
        "TensorRT", {"tensorrt": None, "packages": {"nvidia-jetpack": "6.2"}}, "cannot be imported",
        "sudo apt install nvidia-jetpack"),
    "TensorRT older than JetPack's": ("TensorRT", {"tensorrt": "8.6.1"}, "8.6.1, needed is 10.3", "flash JetPack 6.1"),
    "old JetPack": (
        "JetPack", {"nv_tegra_release": "# R36 (release), REVISION: 3.0, GCID: 1"}, "L4T 36.3", "flash JetPack 6.1"),
    "pycuda": ("pycuda", {"pycuda_error": "no nvcc"}, "no nvcc", "pip install 'edgefas[jetson]'"),
    "no driver": ("CUDA", {"cuda_driver": None}, "no driver answers", "sudo apt install nvidia-jetpack"),
    "no GPU": ("compute capability", {"compute_capability": None}, "no GPU was asked", "mend CUDA"),
    "plugins of another TensorRT": (
        "plugins", {"plugins_error": "cannot load the plugins"}, "cannot load", "edgefas build MODEL"),
    "full disk": ("disk", {"disk_free_gb": 0.5}, "0.5 GB free, needed are 4", "sudo apt clean"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_red_with_the_command_that_mends_it(fault: str) -> None:
    name, change, found, mend = FAULTS[fault]
    system = replace(JETPACK_6, **change)
    check = by_name(system)[name]
    assert check.state is State.FAIL
    assert found in check.found
    assert mend in check.mend
    assert check.required
    assert failed_on_board(system, check_all(system))


WARNINGS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a slower mode": ("power mode", {"nvpmodel": "NV Power Mode: 25W\n1"}, "sudo nvpmodel -m 2"),
    "no nvpmodel": ("power mode", {"nvpmodel": None}, "sudo nvpmodel -q"),
    "free clocks": ("clocks", {"clocks_locked": False}, "sudo jetson_clocks"),
    "no cuda-python": ("cuda-python", {"cuda_python": None}, "pip install 'cuda-python~=12.6'"),
    "no compiler": (
        "plugin compilers", {"compilers": {"cmake": "c", "g++": "g"}}, "cuda-nvcc-12-6 cuda-cudart-dev-12-6"),
    "no headers": ("plugin compilers", {"tensorrt_headers": None}, "libnvinfer-headers-dev"),
    "no ONNX Runtime": ("ONNX Runtime", {"onnxruntime": None}, "pip install 'edgefas[cpu]'"),
    "no camera library": ("pyrealsense2", {"pyrealsense2": None}, "pip install 'edgefas[realsense]'"),
    "packages of JetPack": ("JetPack", {"packages": {}}, "sudo apt install nvidia-jetpack"),
    "an unknown board": ("board", {"board": "NVIDIA Jetson of 2030"}, "engines build all the same"),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNINGS)
def test_what_is_only_slower_or_less_does_not_fail_a_board(case: str) -> None:
    name, change, mend = WARNINGS[case]
    system = replace(JETPACK_6, **change)
    check = by_name(system)[name]
    assert check.state is State.WARN
    assert mend in check.mend
    assert not failed_on_board(system, check_all(system))


def test_the_cuda_python_of_a_cuda_13_driver_is_named() -> None:
    assert "cuda-python~=13.0" in by_name(replace(JETPACK_7, cuda_python=None))["cuda-python"].mend


def test_on_a_desk_what_does_not_apply_is_said() -> None:
    checks = check_all(DESK)
    assert not failed_on_board(DESK, checks)
    states = {check.name: check.state for check in checks}
    for name in ("board", "JetPack", "TensorRT", "CUDA", "pycuda", "plugins", "power mode", "clocks"):
        assert states[name] is State.NOT_HERE, name
    assert "pip install 'edgefas[tensorrt]'" in by_name(DESK)["TensorRT"].mend


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic", (36, 4)),
        ("# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic", (38, 2)),
        ("nonsense", None),
        (None, None),
    ],
)
def test_the_release_is_read(text: str | None, release: tuple[int, int] | None) -> None:
    assert l4t(replace(DESK, nv_tegra_release=text)) == release


def test_the_release_is_the_packages_where_the_file_is_missing() -> None:
    assert l4t(replace(DESK, packages={"nvidia-l4t-core": "39.2.0-2026"})) == (39, 2)


def test_the_strongest_mode_is_found_by_name() -> None:
    assert power_modes(NANO_CONF) == {"15W": 0, "25W": 1, "MAXN_SUPER": 2}
    assert strongest_mode({"MAXN": 0, "MAXN_SUPER": 3}) == "MAXN_SUPER"
    assert strongest_mode({"MODE_15W": 0, "MODE_30W": 2}) == "MODE_30W"
    assert strongest_mode({}) is None


def test_a_red_board_ends_with_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    broken = replace(JETPACK_6, tensorrt=None, system_site_packages=False)
    monkeypatch.setattr("edgefas.doctor.read_system", lambda folder: broken)
    assert cli.run(["doctor"]) == 3
    shown = capsys.readouterr()
    assert "virtual environment: python3.10 -m venv --system-site-packages .venv\n" in shown.out
    assert "error: this board is not ready: virtual environment, TensorRT" in shown.err
    assert cli.run(["doctor", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert [c["name"] for c in document["checks"] if c["state"] == "fail"] == ["virtual environment", "TensorRT"]
    assert document["system"]["board"] == broken.board


def test_a_green_board_ends_with_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("edgefas.doctor.read_system", lambda folder: JETPACK_7)
    assert cli.run(["doctor"]) == 0
    assert "fail" not in capsys.readouterr().out


def test_this_machine_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["doctor", "--folder", str(tmp_path / "not" / "there"), "--json"]) in (0, 3)
    document = json.loads(capsys.readouterr().out)
    assert document["system"]["disk_free_gb"] > 0
    assert len(document["checks"]) == 16


def test_only_a_library_of_ours_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What anybody put into the folder under our name is not."""
    gpu = install(monkeypatch, tmp_path / "state", "10.3")
    (tmp_path / "libedgefas_plugins-0.so").write_text(CREATORS)
    (tmp_path / "plugins-0.json").write_text("{}")
    assert read_system(tmp_path).plugins_error == "not built"
    assert "libraries" not in vars(gpu.trt.registry)
