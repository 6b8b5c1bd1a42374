"""`.[cpu,realsense]` with constraints.txt resolves to wheels for every board and PC edgefas supports (needs PyPI)."""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

TARGETS = [("3.10", "x86_64"), ("3.11", "x86_64"), ("3.12", "x86_64"), ("3.10", "aarch64"), ("3.12", "aarch64")]
"""JetPack 6 is aarch64 with Python 3.10, JetPack 7 with 3.12."""
GLIBC_MINOR = 35
"""Ubuntu 22.04, the oldest supported."""


def pins_for(root: Path, python: str, machine: str) -> list[str]:
    """constraints.txt as that machine reads it; pip would ask the markers about the Python it runs in."""
    target = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_python_implementation": "CPython",
    }
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return [
        f"{pin.name}{pin.specifier}"
        for pin in map(Requirement, lines)
        if pin.marker is None or pin.marker.evaluate(target)
    ]


def needs(root: Path) -> list[str]:
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    extras = config["options.extras_require"]
    text = "\n".join([config["options"]["install_requires"], extras["cpu"], extras["realsense"]])
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.slow
@pytest.mark.parametrize(("python", "machine"), TARGETS)
def test_board_path_resolves_to_wheels(root: Path, tmp_path: Path, python: str, machine: str) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("\n".join(pins_for(root, python, machine)))
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(5, GLIBC_MINOR + 1)] + [f"manylinux2014_{machine}"]
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--report", report]
    command += ["--target", tmp_path / "never", "--only-binary=:all:", "--implementation", "cp", "-c", pins]
    command += ["--python-version", python, *(part for tag in tags for part in ("--platform", tag)), *needs(root)]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = {item["metadata"]["name"].lower() for item in json.loads(report.read_text())["install"]}
    assert {"numpy", "onnxruntime", "pyrealsense2", "libusb-package"} <= names
    assert not names & {"torch", "onnx", "scikit-learn", "matplotlib"}


def test_python_310_keeps_its_last_onnxruntime(root: Path) -> None:
    assert "onnxruntime==1.23.2" in pins_for(root, "3.10", "aarch64")
    assert "onnxruntime==1.23.2" not in pins_for(root, "3.12", "aarch64")
