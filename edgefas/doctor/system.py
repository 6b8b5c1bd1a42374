"""The facts `edgefas doctor` judges, as they were read: a dataclass, so that a recorded board is judged anywhere."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgefas.engines.boards import board_name
from edgefas.errors import EdgefasError

COMMAND_TIMEOUT_S = 10
DEBIAN_PACKAGES = ("nvidia-jetpack", "nvidia-l4t-core", "libnvinfer10", "libnvinfer11", "python3-libnvinfer")
COMPILERS = ("cmake", "g++", "nvcc")
CUDA_BIN = "/usr/local/cuda/bin"


@dataclass(frozen=True)
class System:
    """None or empty: it is not there. Texts are as the system gave them."""

    machine: str
    python: str
    in_venv: bool
    system_site_packages: bool
    board: str | None = None
    memory_gb: float = 0.0
    nv_tegra_release: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    """Debian package -> version."""
    tensorrt: str | None = None
    tensorrt_error: str = ""
    pycuda_error: str | None = None
    """None: pycuda.driver can be imported."""
    cuda_python: str | None = None
    gpu: str | None = None
    compute_capability: str | None = None
    cuda_driver: str | None = None
    onnxruntime: str | None = None
    pyrealsense2: str | None = None
    realsense_backend: str | None = None
    """"v4l2" or "rsusb", from the kernel's patched driver; None where unknown."""
    compilers: dict[str, str] = field(default_factory=dict)
    tensorrt_headers: str | None = None
    plugins_error: str | None = "not tried"
    """None: the plugin library of this device loads; "not built" before the first build."""
    nvpmodel: str | None = None
    """Output of `nvpmodel -q`."""
    nvpmodel_conf: str | None = None
    clocks_locked: bool | None = None
    disk_free_gb: float = 0.0


def read_system(folder: Path) -> System:
    """Look at this machine; `folder` is where engines would lie."""
    trt, trt_error = _import("tensorrt")
    gpu, capability, driver, pycuda_error = _gpu()
    return System(
        machine=platform.machine(),
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        in_venv=sys.prefix != sys.base_prefix,
        system_site_packages=_system_site_packages(),
        board=board_name(),
        memory_gb=_memory_gb(),
        nv_tegra_release=_text(Path("/etc/nv_tegra_release")),
        packages={name: found for name in DEBIAN_PACKAGES if (found := _debian_version(name))},
        tensorrt=trt,
        tensorrt_error=trt_error,
        pycuda_error=pycuda_error,
        cuda_python=_installed("cuda-python") or _installed("cuda-bindings"),
        gpu=gpu,
        compute_capability=capability,
        cuda_driver=driver,
        onnxruntime=_installed("onnxruntime"),
        pyrealsense2=_installed("pyrealsense2"),
        realsense_backend=_realsense_backend(),
        compilers={name: place for name in COMPILERS if (place := _which(name))},
        tensorrt_headers=_headers(),
        plugins_error=_plugins(folder) if trt else "not tried",
        nvpmodel=_output(["nvpmodel", "-q"]),
        nvpmodel_conf=_text(Path("/etc/nvpmodel.conf")),
        clocks_locked=_clocks_locked(),
        disk_free_gb=shutil.disk_usage(_existing(folder)).free / 1e9,
    )


def _import(name: str) -> tuple[str | None, str]:
    """(version, error)."""
    try:
        return str(import_module(name).__version__), ""
    except Exception as error:  # libraries that are missing or do not match raise what they like
        return None, str(error)[:200]


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpu() -> tuple[str | None, str | None, str | None, str | None]:
    """(name, compute capability, CUDA version of the driver, why pycuda cannot be used)."""
    try:
        driver = import_module("pycuda.driver")
        driver.init()
        number = driver.get_driver_version()
        device = driver.Device(0)
        capability = "{}.{}".format(*device.compute_capability())
        return device.name(), capability, f"{number // 1000}.{number % 1000 // 10}", None
    except Exception as error:  # no package, no driver, no device: each has its own class
        return None, None, None, str(error)[:200]


def _system_site_packages() -> bool:
    """Whether this environment sees the system's packages, as JetPack's TensorRT needs."""
    if sys.prefix == sys.base_prefix:
        return True
    config = _text(Path(sys.prefix) / "pyvenv.cfg") or ""
    return bool(re.search(r"^include-system-site-packages\s*=\s*true", config, re.MULTILINE | re.IGNORECASE))


def _memory_gb() -> float:
    match = re.search(r"MemTotal:\s+(\d+) kB", _text(Path("/proc/meminfo")) or "")
    return int(match[1]) * 1024 / 1e9 if match else 0.0


def _debian_version(package: str) -> str | None:
    return _output(["dpkg-query", "--show", "--showformat=${Version}", package])


def _realsense_backend() -> str | None:
    """RealSense's patches of the kernel driver give metadata over V4L2; without them librealsense speaks USB itself."""
    if not _installed("pyrealsense2"):
        return None
    modinfo = _output(["modinfo", "uvcvideo"])
    if modinfo is None:
        return None
    return "v4l2" if re.search(r"^version:.*realsense", modinfo, re.MULTILINE | re.IGNORECASE) else "rsusb"


def _headers() -> str | None:
    places = (f"/usr/include/{platform.machine()}-linux-gnu", "/usr/include", "/usr/local/tensorrt/include")
    return next((place for place in places if Path(place, "NvInfer.h").is_file()), None)


def _plugins(folder: Path) -> str | None:
    from edgefas.engines.plugin_library import known_library
    from edgefas.engines.runtime.tensorrt_package import load_plugins, require_tensorrt

    known = [library for record in sorted(folder.glob("plugins-*.json")) if (library := known_library(record))]
    if not known:
        return "not built"  # or not ours, which is never loaded
    return _reason(lambda: load_plugins(require_tensorrt(), known[-1].path))


def _reason(work: Callable[[], object]) -> str | None:
    try:
        work()
    except EdgefasError as error:
        return str(error)
    return None


def _clocks_locked() -> bool | None:
    """Whether jetson_clocks holds the GPU at its highest clock; None where that cannot be seen."""
    for device in sorted(Path("/sys/class/devfreq").glob("*gpu*")) + sorted(Path("/sys/class/devfreq").glob("*ga10b*")):
        low, high = _text(device / "min_freq"), _text(device / "max_freq")
        if low and high:
            return low.strip() == high.strip()
    return None


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=CUDA_BIN)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _output(command: list[str]) -> str | None:
    """What a command prints; None if it is not there or fails."""
    program = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _existing(folder: Path) -> Path:
    """The nearest folder above that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
