"""Takes each library through its life in each runtime, and sees whether planted bugs are found."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefas.engines.plugins.build import PluginBuildError
from edgefas.engines.plugins.proof.lean import LEAN_VERSIONS, lean_runtime, print_line
from edgefas.engines.plugins.proof.planted import BUGS, Bug
from edgefas.engines.plugins.proof.result import Failure, Run
from edgefas.engines.plugins.proof.workshop import CROSS, CROSS_APT_TEXT, NATIVE, Headers, Processor, Workshop
from edgefas.errors import UsageError

EXPORTED = {"getCreators", "setLoggerFinder"}
SYMBOLS_STEP = "symbols"
FOREIGN = re.compile(r"nvinfer|getInfer|PluginRegistry|getLogger", re.IGNORECASE)
"""What TensorRT's libraries and symbols are called."""
DRIVER_TIMEOUT_S = 120
NO_DEVICE = {"CUDA_VISIBLE_DEVICES": "", "LC_ALL": "C"}
"""A launch must fail, on a machine with a GPU too: its pointers lead nowhere."""


@dataclass(frozen=True)
class Caught:
    """A planted bug, and the check that failed because of it."""

    bug: str
    failure: Failure | None


@dataclass(frozen=True)
class Proof:
    runs: tuple[Run, ...]
    caught: tuple[Caught, ...]
    left_out: tuple[str, ...]
    """What a full proof has and this one has not, with how to get it."""


def prove(headers: Sequence[Headers], cache: Path) -> Proof:
    """Every library in every runtime there is a driver for, for both processors, then the planted bugs.

    Raises:
        PluginBuildError, DownloadError, UsageError: something is missing.
    """
    if platform.machine() != NATIVE.name:
        raise UsageError(f"this machine is {platform.machine()}; the proof is made on {NATIVE.name}, also for boards")
    workshop = Workshop(cache, headers)
    left_out = [
        f"runtime {version}: give headers of TensorRT {major} too"
        for major, version in LEAN_VERSIONS.items()
        if all(one.major != major for one in headers)
    ]
    runs: list[Run] = []
    for processor in (NATIVE, CROSS):
        if missing := processor.missing():
            left_out.append(f"{processor.name}: {', '.join(missing)} is missing; {CROSS_APT_TEXT}")
            continue
        drivers = _drivers(workshop, processor)
        for one in headers:
            print_line(f"{processor.name}: compiling with TensorRT {one.version}")
            library = workshop.compile(one, processor)
            runs += [_run(library, one, processor, driver, major, workshop) for major, driver in drivers.items()]
    drivers = _drivers(workshop, NATIVE)
    caught = tuple(_catch(bug, workshop, headers[0], drivers) for bug in BUGS)
    return Proof(tuple(runs), caught, tuple(left_out))


def _drivers(workshop: Workshop, processor: Processor) -> dict[int, Path]:
    drivers = {major: workshop.compile_driver(major, processor) for major in LEAN_VERSIONS}
    return {major: driver for major, driver in drivers.items() if driver is not None}


def _run(library: Path, headers: Headers, processor: Processor, driver: Path, major: int, workshop: Workshop) -> Run:
    runtime = lean_runtime(workshop.cache, major, processor.name)
    command = [*processor.emulator, str(driver), str(runtime), str(library), str(headers.major)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DRIVER_TIMEOUT_S,
            env={**os.environ, **NO_DEVICE},
        )
        ending = "" if done.returncode in (0, 1) else f"ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        output = done.stdout
    except subprocess.TimeoutExpired:
        ending, output = f"not done after {DRIVER_TIMEOUT_S} s", ""
    steps, failures = read_report(output, ending)
    symbols = _check_symbols(library, processor)
    return Run(
        processor.name,
        headers.version,
        LEAN_VERSIONS[major],
        {SYMBOLS_STEP: sum(symbols.values()), **steps},
        (*(Failure(SYMBOLS_STEP, what) for what, held in symbols.items() if not held), *failures),
    )


def read_report(output: str, ending: str) -> tuple[dict[str, int], list[Failure]]:
    """The driver's lines (see report.h) as (step -> checks that held, those that did not).

    Args:
        ending: how the driver ended if it did not end by itself; counts as a failure of its last step.
    """
    steps: dict[str, int] = {}
    failures: list[Failure] = []
    step = "start"
    for line in output.splitlines():
        kind, _, text = line.partition("\t")
        if kind == "step":
            step = text
            steps.setdefault(step, 0)
        elif kind == "ok":
            steps[step] += 1
        elif kind == "failed":
            failures.append(Failure(step, text))
    if ending or not steps:
        failures.append(Failure(step, ending or "the driver said nothing"))
    return steps, failures


def _check_symbols(library: Path, processor: Processor) -> dict[str, bool]:
    """What the library exports and needs, as the linker's tools say."""

    def listed(tool: str, *options: str) -> list[str]:
        command = [processor.prefix + tool, *options, str(library)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    exported = {line.split()[-1] for line in listed("nm", "-D", "--defined-only")}
    needed = listed("nm", "-D", "--undefined-only") + [line for line in listed("readelf", "-d") if "NEEDED" in line]
    return {
        f"exports {', '.join(sorted(EXPORTED))} and nothing else": exported == EXPORTED,
        "needs no symbol or library of TensorRT": not any(FOREIGN.search(line) for line in needed),
        "links CUDA's runtime statically": not any("libcudart" in line for line in needed),
    }


def _catch(bug: Bug, workshop: Workshop, headers: Headers, drivers: dict[int, Path]) -> Caught:
    print_line(f"planting: {bug.what}")
    with workshop.planted(bug):
        try:
            library = workshop.compile(headers, NATIVE)
        except PluginBuildError as error:
            line = next((line for line in str(error).splitlines() if bug.step in line), None)
            return Caught(bug.what, Failure("link", bug.step) if line else None)
        runs = [_run(library, headers, NATIVE, driver, major, workshop) for major, driver in drivers.items()]
    failures = (failure for run in runs for failure in run.failures if failure.step == bug.step)
    return Caught(bug.what, next(failures, None))
