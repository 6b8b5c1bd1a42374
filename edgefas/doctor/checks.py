"""Judgements over a `System`: pure functions, one per line of the table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from edgefas.doctor.system import System
from edgefas.engines.boards import BoardProfile, Software, find_board

OLDEST_L4T = (36, 4)
"""JetPack 6.1: the first with TensorRT 10.3."""
OLDEST_TENSORRT = (10, 3)
DISK_GB = 4.0
"""A build of all precisions of DAH-FAS writes less than 1 GB; the rest is the compiler's and the package cache."""
APT_COMPILERS = "sudo apt install cmake g++ libnvinfer-headers-dev"


class State(str, Enum):
    """What a check found."""

    OK = "ok"
    FAIL = "fail"
    WARN = "warn"
    """It runs without, slower or with less."""
    NOT_HERE = "does not apply"


@dataclass(frozen=True)
class Check:
    """One line."""

    name: str
    state: State
    found: str
    mend: str = ""
    """The command or step that mends it."""
    required: bool = True
    """Whether a board cannot run TensorRT engines without it."""


def check_all(system: System) -> list[Check]:
    """Every check, in the order in which they are best mended."""
    board = find_board(system.board, system.memory_gb) if system.board else None
    release = l4t(system)
    software = _software(board, release)
    return [
        _board(system, board),
        _jetpack(system, board, release, software),
        _python(system, software),
        _venv(system),
        _tensorrt(system, software),
        _cuda(system),
        _capability(system, board),
        _pycuda(system),
        _cuda_python(system),
        _compilers(system),
        _plugins(system),
        _onnxruntime(system),
        _realsense(system),
        _power_mode(system, board),
        _clocks(system),
        _disk(system),
    ]


def failed_on_board(system: System, checks: list[Check]) -> bool:
    """Whether a required check fails on a board; a desk without a GPU is no failure."""
    return is_jetson(system) and any(check.required and check.state is State.FAIL for check in checks)


def is_jetson(system: System) -> bool:
    """Whether this is a board with NVIDIA's Jetson Linux."""
    return system.nv_tegra_release is not None or (system.board is not None and system.machine == "aarch64")


def l4t(system: System) -> tuple[int, int] | None:
    """Release of Jetson Linux, from /etc/nv_tegra_release (`# R36 (release), REVISION: 4.3, ...`) or its package."""
    match = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*(\d+)", system.nv_tegra_release or "")
    match = match or re.match(r"(\d+)\.(\d+)", system.packages.get("nvidia-l4t-core", ""))
    return (int(match[1]), int(match[2])) if match else None


def power_modes(conf: str) -> dict[str, int]:
    """Name -> number of the modes in /etc/nvpmodel.conf; the numbers differ between boards and releases."""
    return {name: int(number) for number, name in re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", conf)}


def strongest_mode(modes: dict[str, int]) -> str | None:
    """MAXN_SUPER, else MAXN, else the one with the most watts in its name."""
    for name in ("MAXN_SUPER", "MAXN"):
        if name in modes:
            return name
    watts = {name: int(match[1]) for name in modes if (match := re.search(r"(\d+)W", name))}
    return max(watts, key=lambda name: watts[name], default=None)


def _software(board: BoardProfile | None, release: tuple[int, int] | None) -> Software | None:
    """What the board's Jetson Linux comes with: the newest entry that is not newer than it."""
    if board is None or release is None:
        return None
    known = [s for s in board.software if _numbers(s.l4t) <= release and release[0] == _numbers(s.l4t)[0]]
    # 11.4 is an optional package of a release whose own TensorRT is 10.16.
    own = [s for s in known if s.tensorrt.startswith("10.")]
    return max(own, key=lambda s: _numbers(s.l4t), default=None)


def _board(system: System, board: BoardProfile | None) -> Check:
    if not is_jetson(system):
        return Check("board", State.NOT_HERE, f"no Jetson ({system.machine})", required=False)
    if board is None:
        found = system.board or "unnamed"
        return Check("board", State.WARN, f"{found}: no profile", "its figures are unknown; engines build all the same",
                     required=False)  # fmt: skip
    return Check("board", State.OK, f"{board.title}: {board.peak_tops:g} TOPS ({board.peak_is}), "
                 f"{board.memory_bandwidth_gb_s:g} GB/s")  # fmt: skip


def _jetpack(
    system: System, board: BoardProfile | None, release: tuple[int, int] | None, software: Software | None
) -> Check:
    if not is_jetson(system):
        return Check("JetPack", State.NOT_HERE, "no Jetson", required=False)
    jetpack = system.packages.get("nvidia-jetpack")
    found = f"L4T {release[0]}.{release[1]}" if release else "Jetson Linux of unknown release"
    found += f", JetPack {jetpack}" if jetpack else f", JetPack {software.jetpack} or newer" if software else ""
    if release is not None and release < OLDEST_L4T:
        return Check("JetPack", State.FAIL, found, "flash JetPack 6.1 or newer: engines need TensorRT 10.3")
    if jetpack is None:
        return Check("JetPack", State.WARN, f"{found}; its packages are not installed",
                     "sudo apt install nvidia-jetpack", required=False)  # fmt: skip
    return Check("JetPack", State.OK, found)


def _python(system: System, software: Software | None) -> Check:
    """JetPack's TensorRT and pyrealsense2's CUDA wheels are made for one Python each."""
    if software is None:
        return Check("Python", State.OK, f"{system.python} (no JetPack to pair with)")
    if system.python != software.python:
        return Check("Python", State.FAIL, f"{system.python}; {_major(software)} pairs with {software.python}",
                     f"python{software.python} -m venv --system-site-packages .venv")  # fmt: skip
    return Check("Python", State.OK, f"{system.python}, that of {_major(software)}")


def _venv(system: System) -> Check:
    if not system.in_venv:
        return Check("virtual environment", State.OK, "none: the system's Python", required=False)
    if system.system_site_packages:
        return Check("virtual environment", State.OK, "with the system's packages")
    if not is_jetson(system):
        return Check("virtual environment", State.OK, "without the system's packages", required=False)
    return Check("virtual environment", State.FAIL, "without the system's packages, where JetPack's TensorRT is",
                 f"python{system.python} -m venv --system-site-packages .venv")  # fmt: skip


def _tensorrt(system: System, software: Software | None) -> Check:
    if system.tensorrt is None:
        if is_jetson(system):
            there = any(name.startswith("libnvinfer") for name in system.packages)
            mend = "sudo apt install python3-libnvinfer" if there else "sudo apt install nvidia-jetpack"
            return Check("TensorRT", State.FAIL, f"cannot be imported ({system.tensorrt_error})", mend)
        return Check("TensorRT", State.NOT_HERE, "not installed; ONNX Runtime runs the networks here",
                     "with an NVIDIA GPU: pip install 'edgefas[tensorrt]'", required=False)  # fmt: skip
    if _numbers(system.tensorrt) < OLDEST_TENSORRT:
        return Check(
            "TensorRT", State.FAIL, f"{system.tensorrt}, needed is 10.3 or newer", "flash JetPack 6.1 or newer"
        )
    if software is not None and _numbers(system.tensorrt) < _numbers(software.tensorrt):
        found = f"{system.tensorrt}, {_major(software)} brings {software.tensorrt}"
        return Check("TensorRT", State.FAIL, f"{found}: a pip package hides it", "pip uninstall tensorrt")
    return Check("TensorRT", State.OK, system.tensorrt)


def _cuda(system: System) -> Check:
    if system.cuda_driver is None:
        return _missing(system, "CUDA", "no driver answers", "sudo apt install nvidia-jetpack")
    return Check("CUDA", State.OK, f"driver for CUDA {system.cuda_driver}")


def _capability(system: System, board: BoardProfile | None) -> Check:
    if system.compute_capability is None:
        return _missing(system, "compute capability", "no GPU was asked", "mend CUDA and pycuda first")
    if board is not None and board.compute_capability != system.compute_capability:
        found = f"{system.compute_capability}, {board.title} has {board.compute_capability}"
        return Check("compute capability", State.WARN, found, "the profile does not fit: report it", required=False)
    return Check("compute capability", State.OK, f"{system.compute_capability} ({system.gpu})")


def _pycuda(system: System) -> Check:
    if system.pycuda_error is not None:
        mend = "pip install 'edgefas[jetson]' (compiles; needs nvcc on the PATH)"
        return _missing(system, "pycuda", f"cannot be used ({system.pycuda_error})", mend)
    return Check("pycuda", State.OK, "its driver module works")


def _cuda_python(system: System) -> Check:
    if system.tensorrt is None and not is_jetson(system):
        return Check("cuda-python", State.NOT_HERE, "no TensorRT", required=False)
    if system.cuda_python is None:
        line = "12.6" if (system.cuda_driver or "").startswith("12.") else "13.0"  # that of the driver
        return Check("cuda-python", State.WARN, "not installed: runs are not replayed as CUDA graphs",
                     f"pip install 'cuda-python~={line}'", required=False)  # fmt: skip
    return Check("cuda-python", State.OK, f"{system.cuda_python}: CUDA graph replay is on", required=False)


def _compilers(system: System) -> Check:
    """What own plugins need; TensorRT's stock operators need nothing."""
    if system.tensorrt is None and not is_jetson(system):
        return Check("plugin compilers", State.NOT_HERE, "no TensorRT", required=False)
    missing = [name for name in ("cmake", "g++", "nvcc") if name not in system.compilers]
    missing += [] if system.tensorrt_headers else ["NvInfer.h"]
    if missing:
        cuda = (system.cuda_driver or "12.6").replace(".", "-")
        return Check("plugin compilers", State.WARN, f"missing: {', '.join(missing)}; own plugins cannot be compiled",
                     f"{APT_COMPILERS} cuda-nvcc-{cuda} cuda-cudart-dev-{cuda}, or edgefas build --plugins stock",
                     required=False)  # fmt: skip
    return Check("plugin compilers", State.OK, "cmake, g++, nvcc and TensorRT's headers", required=False)


def _plugins(system: System) -> Check:
    if system.plugins_error is None:
        return Check("plugins", State.OK, "the library in this folder loads", required=False)
    if system.tensorrt is None:
        return Check("plugins", State.NOT_HERE, "no TensorRT", required=False)
    if system.plugins_error == "not built":
        return Check("plugins", State.OK, "none built yet; edgefas build does when they are wanted", required=False)
    return Check("plugins", State.FAIL, system.plugins_error, "edgefas build MODEL compiles them again")


def _onnxruntime(system: System) -> Check:
    if system.onnxruntime is None:
        return Check("ONNX Runtime", State.WARN, "not installed: no engine on the CPU", "pip install 'edgefas[cpu]'",
                     required=False)  # fmt: skip
    return Check("ONNX Runtime", State.OK, system.onnxruntime, required=False)


def _realsense(system: System) -> Check:
    if system.pyrealsense2 is None:
        return Check("pyrealsense2", State.WARN, "not installed: no RealSense camera",
                     "pip install 'edgefas[realsense]'", required=False)  # fmt: skip
    found = system.pyrealsense2
    if system.realsense_backend == "rsusb":
        return Check("pyrealsense2", State.OK, f"{found}; kernel without RealSense's patches: a build with the RSUSB "
                     "backend gives frame metadata, one camera at a time", required=False)  # fmt: skip
    return Check("pyrealsense2", State.OK, f"{found}{', V4L2 with metadata' if system.realsense_backend else ''}",
                 required=False)  # fmt: skip


def _power_mode(system: System, board: BoardProfile | None) -> Check:
    if not is_jetson(system):
        return Check("power mode", State.NOT_HERE, "no Jetson", required=False)
    match = re.search(r"NV Power Mode:\s*(\S+)", system.nvpmodel or "")
    if match is None:
        return Check("power mode", State.WARN, "nvpmodel gives none", "sudo nvpmodel -q", required=False)
    modes = power_modes(system.nvpmodel_conf or "")
    best = strongest_mode(modes)
    if best is not None and best != match[1]:
        return Check("power mode", State.WARN, f"{match[1]}; {best} is faster", f"sudo nvpmodel -m {modes[best]}",
                     required=False)  # fmt: skip
    budget = next((m.watts for m in board.power_modes if m.name == match[1]), None) if board else None
    return Check("power mode", State.OK, match[1] + (f" ({budget:g} W)" if budget else ""), required=False)


def _clocks(system: System) -> Check:
    if not is_jetson(system):
        return Check("clocks", State.NOT_HERE, "no Jetson", required=False)
    if system.clocks_locked:
        return Check("clocks", State.OK, "held at the highest of the power mode", required=False)
    found = "cannot be seen" if system.clocks_locked is None else "follow the load: measured times vary"
    return Check("clocks", State.WARN, found, "sudo jetson_clocks", required=False)


def _disk(system: System) -> Check:
    found = f"{system.disk_free_gb:.1f} GB free"
    if system.disk_free_gb < DISK_GB:
        return Check("disk", State.FAIL, f"{found}, needed are {DISK_GB:g}", "sudo apt clean, or remove old .engines")
    return Check("disk", State.OK, found)


def _missing(system: System, name: str, found: str, mend: str) -> Check:
    if is_jetson(system):
        return Check(name, State.FAIL, found, mend)
    return Check(name, State.NOT_HERE, "no NVIDIA GPU in use here", required=False)


def _major(software: Software) -> str:
    """6.1 and 6.2 are one Jetson Linux: which of them it is only the package nvidia-jetpack tells."""
    return f"JetPack {software.jetpack.split('.')[0]}"


def _numbers(text: str) -> tuple[int, int]:
    parts = re.findall(r"\d+", text)
    return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
