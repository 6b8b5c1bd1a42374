"""Latency of networks, several in one run so that their ratios mean something.

Subjects take turns in blocks: a machine that slows down slows all of them. Within a block calls follow each other,
because a session woken by another's spinning workers measures the fight for cores. Warm-up calls are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

BLOCK = 10
WARM_UP = 3
MIN_SAMPLES = 50
PAUSE_S = 0.02


@dataclass(frozen=True)
class Subject:
    """Something to time; `run` is one call at batch 1."""

    name: str
    backend: str
    run: Callable[[], object]
    params: int | None
    """None where it is not known: the file does not say without the onnx package."""
    macs: int | None


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call."""

    samples: int
    min_ms: float
    median_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def fps(self) -> float:
        """Calls per second, one after another, at the median."""
        return 1000 / self.median_ms


def measure(
    subjects: Sequence[Subject], seconds: float, report: Callable[[float], None] = lambda share: None
) -> list[Latency]:
    """Time all subjects in turns until each has had `seconds` and at least `MIN_SAMPLES` counted calls.

    Args:
        subjects: at least one.
        seconds: counted time per subject.
        report: told the share done, 0 to 1.
    """
    samples_ms: list[list[float]] = [[] for _ in subjects]
    done = 0.0
    while done < 1:
        for subject, samples in zip(subjects, samples_ms, strict=True):
            time.sleep(PAUSE_S)
            samples.extend(_block(subject.run))
        done = min(min(sum(s) / 1000 / seconds, len(s) / MIN_SAMPLES) for s in samples_ms)
        report(min(done, 1.0))
    return [_summary(samples) for samples in samples_ms]


def _block(run: Callable[[], object]) -> list[float]:
    for _ in range(WARM_UP):
        run()
    samples = []
    for _ in range(BLOCK):
        start_ns = time.perf_counter_ns()
        run()
        samples.append((time.perf_counter_ns() - start_ns) / 1e6)
    return samples


def _summary(samples_ms: Sequence[float]) -> Latency:
    p50, p90, p95, p99 = (float(value) for value in np.percentile(samples_ms, [50, 90, 95, 99]))
    return Latency(len(samples_ms), min(samples_ms), p50, p90, p95, p99)
