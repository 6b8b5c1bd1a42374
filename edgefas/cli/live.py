"""`edgefas live`: decisions from a camera, a recording or the simulator."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edgefas.cli.console import errors
from edgefas.cli.observers import View, Watching, open_observers
from edgefas.cli.signals import stop_signals

NANOSECONDS = 1_000_000_000


def command(
    camera: Annotated[
        str,
        typer.Option(help="realsense[:SERIAL], FILE.db3, FILE.bag, simulated[:options] or dir:PATH."),
    ] = "realsense",
    model: Annotated[Path | None, typer.Option(help="A bundle (.efas) or network file; default: the demo.")] = None,
    allow_unsigned: Annotated[bool, typer.Option(help="Run a model that nobody signed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per frame on stdout.")] = False,
    headless: Annotated[bool, typer.Option(help="No view at all.")] = False,
    view: Annotated[View | None, typer.Option(help="How to see it; default: text on a terminal.")] = None,
    host: Annotated[str | None, typer.Option(help="Of --view web: listen there, behind a token.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of --view web; default: 8642.")] = None,
    log: Annotated[Path | None, typer.Option(help="Append every line to this file.")] = None,
    log_mb: Annotated[int, typer.Option(min=1, max=100_000, help="The log rotates at this size.")] = 64,
    log_keep: Annotated[int, typer.Option(min=0, max=999, help="How many rotated logs are kept.")] = 5,
    webhook: Annotated[str | None, typer.Option(help="POST changes of state to this http(s) address.")] = None,
    webhook_all: Annotated[bool, typer.Option(help="POST every line.")] = False,
    webhook_secret: Annotated[Path | None, typer.Option(help="File with a secret that signs each POST.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after this long, in camera time.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    realtime: Annotated[bool, typer.Option(help="Play a recording at its own pace, dropping what is late.")] = False,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0: all cores.")] = 0,
) -> None:
    """Decide, frame by frame, who is before the camera: bona fide, attack, or no decision and why."""
    from edgefas.live.loop import decide_stream
    from edgefas.live.model import emitter_for, open_model
    from edgefas.sensors.open import open_source

    flags = Watching(view, host, port, log, log_mb, log_keep, webhook, webhook_all, webhook_secret)
    flags.check(headless=headless)
    live_model = open_model(model, allow_unsigned=allow_unsigned, threads=threads)
    if live_model.warning:
        errors.print(f"warning: {live_model.warning}", style="yellow", highlight=False)
    emitter = emitter_for(live_model.engine.spec)
    with (
        live_model.engine,
        # before the camera, which may take long: a port in use is said at once (stats are asked for with the lines)
        open_observers(flags, live_model, camera, lambda: source.stats(), quiet=headless or json) as observers,
        open_source(camera, emitter=emitter, realtime=realtime) as source,
        stop_signals() as stopped,
    ):
        ended = _limit(frames, seconds)
        count, begin = 0, time.monotonic()
        for frame, line in decide_stream(source, live_model.engine, live_model.policy, live_model.trust):
            if json:
                print(line.to_json(), flush=True)
            observers.update(frame, line)
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
    for text in observers.summaries():
        errors.print(text, highlight=False, markup=False, soft_wrap=True)


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
