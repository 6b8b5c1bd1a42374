"""`edgefas live`: decisions from a camera, a recording or the simulator."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from edgefas.cli.console import errors
from edgefas.cli.signals import stop_signals
from edgefas.cli.status import StatusLine

NANOSECONDS = 1_000_000_000
UNCALIBRATED = (
    "no score calibration in the policy: frames vote, whatever their scores; to decide by evidence: edgefas calibrate"
)


def command(
    camera: Annotated[
        str,
        typer.Option(help="realsense[:SERIAL], FILE.db3, FILE.bag, simulated[:options] or dir:PATH."),
    ] = "realsense",
    model: Annotated[Path | None, typer.Option(help="A bundle (.efas) or network file; default: the demo.")] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Instead of the model's own: what `edgefas calibrate` wrote.")
    ] = None,
    allow_unsigned: Annotated[bool, typer.Option(help="Run a model that nobody signed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per frame on stdout.")] = False,
    headless: Annotated[bool, typer.Option(help="No status line.")] = False,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after this long, in camera time.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    realtime: Annotated[bool, typer.Option(help="Play a recording at its own pace, dropping what is late.")] = False,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0: all cores.")] = 0,
) -> None:
    """Decide, frame by frame, who is before the camera: bona fide, attack, or no decision and why."""
    from edgefas.live.loop import decide_stream
    from edgefas.live.model import emitter_for, open_model, with_policy
    from edgefas.sensors.open import open_source

    live_model = open_model(model, allow_unsigned=allow_unsigned, threads=threads)
    if policy is not None:
        live_model = with_policy(live_model, policy)
    if live_model.warning:
        errors.print(f"warning: {live_model.warning}", style="yellow", highlight=False)
    if live_model.policy.calibration is None:
        errors.print(f"warning: {UNCALIBRATED}", style="yellow", highlight=False, soft_wrap=True)
    emitter = emitter_for(live_model.engine.spec)
    with (
        live_model.engine,
        open_source(camera, emitter=emitter, realtime=realtime) as source,
        stop_signals() as stopped,
    ):
        status: AbstractContextManager[StatusLine | None] = nullcontext()
        if not (headless or json) and errors.is_terminal:
            status = StatusLine(live_model.name, source.stats)
        ended = _limit(frames, seconds)
        count, begin = 0, time.monotonic()
        with status as view:
            for frame, line in decide_stream(source, live_model.engine, live_model.policy, live_model.trust):
                if json:
                    print(line.to_json(), flush=True)
                if view is not None:
                    view.update(line)
                count += frame is not None
                if stopped() or ended(count, line.device_ns):
                    break
        if not json:
            rate = count / max(time.monotonic() - begin, 1e-9)
            stats = source.stats()
            errors.print(
                f"{count} frames, {rate:.1f} decisions a second; {stats.dropped} dropped, "
                f"{stats.overwritten} overwritten, {stats.unpaired} unpaired, {stats.restarts} restarts",
                highlight=False,
            )


def _limit(frames: int | None, seconds: float | None) -> Callable[[int, int | None], bool]:
    """Whether the stream has ended as asked; seconds are counted in device time, or host time while silent."""
    first_ns: int | None = None
    begin = time.monotonic()

    def ended(count: int, device_ns: int | None) -> bool:
        nonlocal first_ns
        if first_ns is None:
            first_ns = device_ns
        if frames is not None and count >= frames:
            return True
        if seconds is None:
            return False
        if device_ns is None or first_ns is None:
            return time.monotonic() - begin >= seconds
        return device_ns - first_ns >= seconds * NANOSECONDS

    return ended
