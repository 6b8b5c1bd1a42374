"""Where a number was measured: processor, cores, versions, date, commit. A number without these is a rumour."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("edgefas", "lightning-fabric", "numpy", "onnxruntime", "openvino", "torch")


def environment() -> dict[str, Any]:
    """JSON values; null where something is not installed or not known."""
    cpu, flags = _processor()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        # ONNX Runtime's INT8 kernels gain most from these (x86: VNNI; ARM: dot product, i8mm)
        "int8_instructions": sorted(flags & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
        "commit": _commit(),
    }


def _processor() -> tuple[str, set[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = dict(reversed([line.split(":", 1) for line in lines if ":" in line]))
    values = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(values.get("flags", values.get("Features", "")).split())
    return values.get("model name", platform.machine()), flags


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of the checkout this file lies in; None for an installed package, even one inside somebody's own repository."""
    here = Path(__file__).resolve().parent
    command = ["git", "rev-parse", "--show-toplevel", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    top, commit = done.stdout.splitlines()
    return commit if Path(top).resolve() == here.parent else None
