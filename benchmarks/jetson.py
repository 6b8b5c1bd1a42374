"""What a Jetson says of itself: power mode, clocks, temperatures, throttling, power. Plain files, no tegrastats.

Every function takes the root of a file tree, so that tests can give one written by hand (none was recorded on a board);
on any other machine they give nothing.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path("/")
TOTAL_RAILS = ("VDD_IN", "VIN_SYS_5V0", "VIN")
"""What the whole module draws, by its names on the boards; the sum of the others where there is none of them."""
SAMPLE_EVERY_S = 0.05


def is_jetson(root: Path = ROOT) -> bool:
    """By the device tree."""
    return "jetson" in _text(root / "proc/device-tree/model").lower() or (root / "etc/nv_tegra_release").is_file()


def state(root: Path = ROOT) -> dict[str, Any] | None:
    """Everything below in one JSON object; None if this is no Jetson."""
    if not is_jetson(root):
        return None
    return {
        "board": _text(root / "proc/device-tree/model"),
        "power_mode": power_mode(root),
        "clocks_mhz": clocks_mhz(root),
        "temperatures_c": temperatures_c(root),
        "throttled_by": throttled_by(root),
        "over_current_events": over_current_events(root),
        "power_w": power_w(root),
    }


def power_mode(root: Path = ROOT) -> str | None:
    """Name of the nvpmodel mode, or its number where the configuration does not name it."""
    found = re.search(r"pmode:0*(\d+)", _text(root / "var/lib/nvpmodel/status"))
    if found is None:
        return None
    number = found.group(1)
    names = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", _text(root / "etc/nvpmodel.conf"))
    return dict(names).get(number, number)


def clocks_mhz(root: Path = ROOT) -> dict[str, float]:
    """Current clocks: each CPU core that is on, and the GPU."""
    clocks = {}
    for folder in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*")):
        khz = _number(folder / "cpufreq/scaling_cur_freq")
        if khz is not None:
            clocks[folder.name] = khz / 1e3
    for folder in sorted((root / "sys/class/devfreq").glob("*")):
        hertz = _number(folder / "cur_freq")
        if hertz is not None and re.search(r"gpu|ga10b|gv11b|gp10b|gb10b", folder.name):
            clocks["gpu"] = hertz / 1e6
    return clocks


def temperatures_c(root: Path = ROOT) -> dict[str, float]:
    """Thermal zones that give a value; a zone that is powered down does not."""
    zones = {}
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = _number(folder / "temp")
        if value is not None:
            zones[_text(folder / "type")] = value / 1e3
    return zones


def throttled_by(root: Path = ROOT) -> list[str]:
    """Cooling devices that slow something down right now; fans do not."""
    folders = sorted((root / "sys/class/thermal").glob("cooling_device*"))
    names = [_text(folder / "type") for folder in folders if (_number(folder / "cur_state") or 0) > 0]
    return [name for name in names if "fan" not in name]


def over_current_events(root: Path = ROOT) -> int | None:
    """Since boot; each one has cut the clocks. None where the board does not count them."""
    counts = [_number(file) for file in (root / "sys/class/hwmon").glob("*/oc*_event_cnt")]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known else None


def power_w(root: Path = ROOT) -> dict[str, float]:
    """Rail -> watts, from the INA3221 monitors (millivolts times milliamperes)."""
    rails = {}
    for folder in sorted((root / "sys/bus/i2c/drivers/ina3221").glob("*/hwmon/hwmon*")):
        for label in sorted(folder.glob("in*_label")):
            channel = label.name.removeprefix("in").removesuffix("_label")
            volts, amperes = _number(folder / f"in{channel}_input"), _number(folder / f"curr{channel}_input")
            if volts is not None and amperes is not None:
                rails[_text(label)] = volts * amperes / 1e6
    return rails


def total_power_w(rails: dict[str, float]) -> float | None:
    """Of the whole module."""
    whole = next((rails[name] for name in TOTAL_RAILS if name in rails), None)
    return whole if whole is not None else (sum(rails.values()) if rails else None)


def energy_j(samples: Sequence[tuple[float, float]]) -> float | None:
    """Integral of (seconds, watts) samples by trapezoids; None for fewer than two."""
    if len(samples) < 2:
        return None
    times, watts = np.array(samples, np.float64).T
    return float(((watts[1:] + watts[:-1]) / 2 * np.diff(times)).sum())


def energy_per_call_mj(call: Callable[[], object], seconds: float, root: Path = ROOT) -> float | None:
    """Millijoules of the whole module per call, calling for `seconds`; None where no monitor is.

    What the module draws when idle is in it: it is what a battery gives.
    """
    if total_power_w(power_w(root)) is None:
        return None
    samples: list[tuple[float, float]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_EVERY_S):
            watts = total_power_w(power_w(root))
            if watts is not None:
                samples.append((time.monotonic(), watts))

    thread = threading.Thread(target=watch, daemon=True)
    start = time.monotonic()
    thread.start()
    calls = 0
    try:
        while time.monotonic() - start < seconds:
            call()
            calls += 1
    finally:
        passed_s = time.monotonic() - start
        done.set()
        thread.join()
    energy = energy_j(samples)
    if energy is None:
        return None
    mean_w = energy / (samples[-1][0] - samples[0][0])
    return 1e3 * mean_w * passed_s / calls


def trtexec_line(onnx: Path, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The command that times the same graph with TensorRT's own tool; transfers count, as in our latency.

    TensorRT 10 needs --stronglyTyped, else it takes the types of the file for wishes; 11 accepts it and does nothing.
    """
    text = ",".join(f"{name}:1x{'x'.join(map(str, shape))}" for name, shape in shapes.items())
    sides = " ".join(f"--{end}Shapes={text}" for end in ("min", "opt", "max"))
    return f"/usr/src/tensorrt/bin/trtexec --onnx={onnx} --stronglyTyped {sides} --useCudaGraph --duration=10"


def _text(file: Path) -> str:
    """Without the zero that ends a device-tree string; empty where it cannot be read."""
    try:
        return file.read_text(errors="replace").strip().rstrip("\0")
    except OSError:
        return ""


def _number(file: Path) -> float | None:
    try:
        return float(_text(file))
    except ValueError:
        return None
