"""`edgefas live`: decisions from a camera, a recording or the simulator."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefas.cli.console import errors
from edgefas.cli.observers import View, Watching, open_observers
from edgefas.contracts import FaceChoice
from edgefas.errors import UsageError
from edgefas.signals import stop_signals

if TYPE_CHECKING:
    from edgefas.faces import Detector

NANOSECONDS = 1_000_000_000
UNCALIBRATED = (
    "no score calibration in the policy: frames vote, whatever their scores; to decide by evidence: edgefas calibrate"
)


class TamperChecks(str, Enum):
    """`auto` is what the policy says."""

    AUTO = "auto"
    ALL = "all"


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
    profile: Annotated[
        str | None,
        typer.Option(help="Set-up of a RealSense camera: a name or .yaml file; default: by its model."),
    ] = None,
    pin_camera: Annotated[
        str | None, typer.Option(metavar="SERIAL", help="Decide on frames of this camera only; default: the first.")
    ] = None,
    tamper_checks: Annotated[
        TamperChecks,
        typer.Option(help="all: also look for repeats in recordings, and challenge the projector where there is one."),
    ] = TamperChecks.AUTO,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0: all cores.")] = 0,
    face_model: Annotated[
        Path | None, typer.Option(help="Find faces with this YuNet file (.onnx) instead of the built-in cascade.")
    ] = None,
    face_box: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="No search: the face is in this box of the depth picture.")
    ] = None,
    faces: Annotated[FaceChoice | None, typer.Option(help="Of several faces; default: as the policy says.")] = None,
) -> None:
    """Decide, frame by frame, who is before the camera: bona fide, attack, or no decision and why."""
    from edgefas.live.loop import decide_stream
    from edgefas.live.model import emitter_for, open_model, with_policy
    from edgefas.live.tamper.strengthen import strengthen
    from edgefas.sensors.open import open_source

    flags = Watching(view, host, port, log, log_mb, log_keep, webhook, webhook_all, webhook_secret)
    flags.check(headless=headless)
    detect = _detector(face_model, face_box)
    live_model = open_model(model, allow_unsigned=allow_unsigned, threads=threads)
    if policy is not None:
        live_model = with_policy(live_model, policy)
    if live_model.warning:
        errors.print(f"warning: {live_model.warning}", style="yellow", highlight=False)
    if live_model.policy.calibration is None:
        errors.print(f"warning: {UNCALIBRATED}", style="yellow", highlight=False, soft_wrap=True)
    rules = live_model.policy if faces is None else live_model.policy.model_copy(update={"faces": faces})
    rules = strengthen(rules, pin_camera, everything=tamper_checks is TamperChecks.ALL)
    emitter = emitter_for(live_model.engine.spec)
    with (
        live_model.engine,
        # before the camera, which may take long: a port in use is said at once (stats are asked for with the lines)
        open_observers(flags, live_model, camera, lambda: source.stats(), quiet=headless or json) as observers,
        open_source(camera, emitter=emitter, realtime=realtime, profile=profile) as source,
        stop_signals() as stopped,
    ):
        ended = _limit(frames, seconds)
        count, begin = 0, time.monotonic()
        for frame, line in decide_stream(source, live_model.engine, rules, live_model.trust, detect):
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


def _detector(model: Path | None, box: str | None) -> Detector:
    from edgefas.faces import FixedBox, YuNet, detect_faces

    if model is not None and box is not None:
        raise UsageError("--face-model and --face-box exclude each other: search with a network, or do not search")
    if model is not None:
        return YuNet(model)
    return detect_faces if box is None else FixedBox(box)


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
