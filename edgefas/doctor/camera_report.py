"""What a camera was found to do, as one JSON to send: numbers and names, no pictures."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from edgefas.contracts.base import Contract
from edgefas.sensors.source import CameraIdentity, SourceStats

LIT_SPECKS = 0.01
"""Share of specks above which a picture counts as lit: dots cover some 5 % of it, noise less than 0.1 %."""
_AGREE = 0.95

EmitterVerdict = Literal["right", "inverted", "unclear", "no_metadata", "one_kind", "no_infrared"]
"""Of the metadata, judged by the pictures. `one_kind`: it agrees, but only lit or only unlit pictures were seen."""


class Range(Contract):
    """A number over all frames."""

    frames: int = Field(ge=1, description="that carried it")
    low: float
    high: float
    last: float


class StreamReport(Contract):
    """One stream, as librealsense gave it."""

    name: str
    format: str
    width_px: int
    height_px: int
    fps_asked: int
    frames: int
    fps_reached: float | None = Field(description="by the frames' own timestamps")
    gaps: int = Field(description="frame numbers that never came")
    repeats: int = Field(description="frame numbers that did not go forward")
    backward: int = Field(description="timestamps that did not go forward")
    longest_gap_ms: float | None
    clocks: dict[str, int] = Field(description="frames by timestamp domain")
    metadata: dict[str, Range] = Field(description="every key that at least one frame carried")


class OptionReport(Contract):
    """One option of one sensor."""

    value: float | None
    low: float | None = None
    high: float | None = None
    step: float | None = None
    default: float | None = None
    read_only: bool = False
    error: str = ""


class SensorReport(Contract):
    """One sensor of the device."""

    name: str
    options: dict[str, OptionReport]


class EmitterReport(Contract):
    """Infrared frames by what the metadata and what the picture say."""

    verdict: EmitterVerdict
    lit_said_lit: int = 0
    lit_said_unlit: int = 0
    unlit_said_lit: int = 0
    unlit_said_unlit: int = 0
    lit_said_nothing: int = 0
    unlit_said_nothing: int = 0
    specks: Range | None = Field(None, description="share of pixels that look like projector dots")


class Host(Contract):
    """The machine; None is not there or not known."""

    machine: str
    kernel: str
    python: str
    board: str | None
    l4t: str | None = Field(description="first line of /etc/nv_tegra_release")
    pyrealsense2: str | None
    opencv: str


class CameraReport(Contract):
    """The whole of it."""

    schema_version: Literal[1] = 1
    edgefas: str
    made: AwareDatetime
    source: str
    seconds: float = Field(description="how long it was watched, host time")
    host: Host
    identity: CameraIdentity
    info: dict[str, str] = Field(description="all that the device says of itself")
    streams: tuple[StreamReport, ...]
    sensors: tuple[SensorReport, ...]
    temperatures: dict[str, tuple[float, float]] = Field(description="degrees Celsius at the begin and at the end")
    emitter: EmitterReport
    frames: int = Field(description="Frames that edgefas made of it")
    fps: float | None = Field(description="Frames a second of device time")
    latency_ms: Range | None = Field(description="age of a Frame when it was read, host time; live sources only")
    stats: SourceStats
    error: str = Field("", description="why no more came")
    findings: tuple[str, ...] = Field((), description="what is wrong or missing, and what to do")


def emitter_report(counts: dict[tuple[bool, bool | None], int], specks: Range | None) -> EmitterReport:
    """The verdict over infrared frames.

    Args:
        counts: frames by (lit by its picture, lit by its metadata or None).
    """
    table = {(picture, said): counts.get((picture, said), 0) for picture in (True, False) for said in (True, False)}
    silent = counts.get((True, None), 0) + counts.get((False, None), 0)
    told = sum(table.values())
    right = table[True, True] + table[False, False]
    seen_lit, seen_unlit = (table[kind, True] + table[kind, False] for kind in (True, False))
    verdict: EmitterVerdict
    if told + silent == 0:
        verdict = "no_infrared"
    elif silent > told:
        verdict = "no_metadata"
    elif right <= (1 - _AGREE) * told:
        verdict = "inverted"
    elif right < _AGREE * told:
        verdict = "unclear"
    else:
        verdict = "right" if seen_lit and seen_unlit else "one_kind"
    return EmitterReport(
        verdict=verdict,
        lit_said_lit=table[True, True],
        lit_said_unlit=table[True, False],
        unlit_said_lit=table[False, True],
        unlit_said_unlit=table[False, False],
        lit_said_nothing=counts.get((True, None), 0),
        unlit_said_nothing=counts.get((False, None), 0),
        specks=specks,
    )


def find(report: CameraReport) -> tuple[str, ...]:
    """What is wrong or missing, each with what to do."""
    found = []
    if report.error:
        found.append(report.error)
    elif report.frames == 0:
        found.append("not one Frame came: see the streams for what did")
    if not report.streams:
        found.append("no librealsense behind this source: metadata, options and temperatures are not known")
        return tuple(found)
    usb = report.info.get("usb_type_descriptor", "")
    if not usb:
        found.append("the device does not tell its USB type")
    elif usb.startswith("2"):
        found.append(f"USB {usb}: frames will be lost; use a USB 3 cable and a port of the board itself")
    if not report.temperatures:
        found.append("the device tells no temperature")
    for stream in report.streams:
        found += _find_in_stream(stream)
    found += _EMITTER_FINDINGS.get(report.emitter.verdict, ())
    if report.stats.dropped or report.stats.restarts or report.stats.unpaired > report.frames * 0.02:
        stats = report.stats
        found.append(f"{stats.dropped} frames dropped, {stats.unpaired} unpaired, {stats.restarts} restarts")
    return tuple(found)


def _find_in_stream(stream: StreamReport) -> list[str]:
    found = []
    if set(stream.clocks) - {"hardware_clock", "global_time"}:
        found.append(
            f"{stream.name}: timestamps are the host's ({', '.join(sorted(stream.clocks))}): this kernel gives no "
            "metadata; docs/cameras.md, Jetson, names the remedies"
        )
    if stream.fps_reached is not None and stream.fps_reached < 0.9 * stream.fps_asked:
        found.append(
            f"{stream.name}: {stream.fps_reached:.1f} frames a second instead of {stream.fps_asked}: low light with "
            "auto-exposure priority halves the rate; else the cable, the port or the load of the machine"
        )
    if stream.backward:
        found.append(f"{stream.name}: {stream.backward} timestamps went backward")
    return found


_EMITTER_FINDINGS: dict[str, tuple[str, ...]] = {
    "inverted": ("the metadata says lit where the picture is unlit, and the reverse: known of some firmware",),
    "unclear": ("metadata and pictures disagree about lit and unlit in many frames: send this file",),
    "no_metadata": ("no emitter metadata: lit and unlit can be told by the picture alone",),
    "one_kind": ("only one kind of infrared picture was seen; to judge the metadata add: ,emitter=alternate",),
    "no_infrared": ("no infrared stream",),
}
