"""pyrealsense2, imported in one place."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
from functools import lru_cache
from types import ModuleType
from typing import Any

from edgefas.errors import require


@lru_cache(maxsize=1)
def load() -> Any:
    """The module `pyrealsense2`.

    Its wheel links against libusb-1.0.so.0, which a bare Debian does not have: the one in the `libusb-package`
    wheel is loaded first, globally, so that the dynamic linker finds it already there (no apt, no root).

    Raises:
        MissingExtra: pyrealsense2 is not installed, or does not load.
    """
    _preload_libusb()
    return require("pyrealsense2", "realsense")


@lru_cache(maxsize=1)
def shared_context() -> Any:
    """The process's one `rs.context`, kept for ever: a second one fights for the cameras, and a new one after a reset
    may not see them again (librealsense 4212).

    Raises:
        MissingExtra: as `load`.
    """
    return load().context()


def _preload_libusb() -> None:
    if ctypes.util.find_library("usb-1.0"):
        return
    try:
        package: ModuleType = importlib.import_module("libusb_package")
        path = package.get_library_path()
    except ImportError:
        return  # pyrealsense2's own error will name the extra that brings both
    if path is not None:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
