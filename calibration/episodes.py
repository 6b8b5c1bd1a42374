"""Scores of labelled recordings, as the live pipeline gives them; one recording is one episode.

The public entry point decides what is scored: the same detector, gates, preprocessing and network as before a door.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Label, Reason
from edgefas.errors import EdgefasError, UsageError
from edgefas.live.loop import decide_stream
from edgefas.live.model import LiveModel, emitter_for
from edgefas.sensors.frame import Frame
from edgefas.sensors.open import open_source
from edgefas.sensors.source import CameraSource, EndOfStream, SourceStats

F64 = npt.NDArray[np.float64]
Progress = Callable[[str, int], None]
"""Called with (source, frames so far)."""
SIMULATED_FRAMES = 30
"""Of a simulated episode: the loop that the simulated camera plays."""


class ScoreCalibrationError(EdgefasError):
    """The recordings cannot give a calibration."""


@dataclass(frozen=True)
class Presented:
    """What a recording shows, as its notes say."""

    label: Label
    pai: str = "attack"
    """PAI species, of an attack; what nobody named is one species."""
    subject: str = ""
    """Who is seen or imitated; empty where nobody knows."""


@dataclass(frozen=True, eq=False)
class ScoredEpisode:
    """What one recording gave, frame by frame."""

    source: str
    label: Label
    times_ns: npt.NDArray[np.int64]
    """(N,) device times of all frames; (0,) of a table of scores, which tells none."""
    scores: F64
    """(N,) log-odds of bona fide; NaN where the frame was undecided (no face, a gate)."""
    pai: str = "attack"
    subject: str = ""

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a network spoke."""
        return np.isfinite(self.scores)

    @property
    def timed(self) -> bool:
        """Whether its frames have times."""
        return len(self.times_ns) == len(self.scores)


def label_of(recording: str) -> Label:
    """See `shown_in`."""
    return shown_in(recording).label


def shown_in(recording: str) -> Presented:
    """The JSON file beside a recording (`clip.json`, `clip.db3.json`), or in a folder (`recording.json`).

    It is `{"label": "bona_fide"}`, or stands under `"shown"` as in the notes that `edgefas record` writes; `species` of
    an attack and `subject` may stand beside the label.

    Raises:
        UsageError: no such file, no JSON, no label in it, or notes of a file of another size.
    """
    path = Path(recording.removeprefix("dir:"))
    beside = (path / "recording.json", path.with_suffix(".json"), path.with_name(path.name + ".json"))
    found = next((file for file in beside if file.is_file()), None)
    if found is None:
        raise UsageError(
            f"{recording} has no label: {beside[1].name} is not there; name the recording after --bona-fide or "
            "--attack, or record with a label"
        )
    try:
        content = json.loads(found.read_bytes())
        said = content if "label" in content else content["shown"]
        shown = Presented(Label(said["label"]), str(said.get("species") or "attack"), str(said.get("subject") or ""))
        size = content.get("size_bytes")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        allowed = " or ".join(label.value for label in Label)
        raise UsageError(f'{found}: must hold {{"label": ...}}, {allowed}') from None
    if path.is_file() and size not in (None, path.stat().st_size):
        raise UsageError(
            f"{found} describes a recording of {size} bytes, {path} has {path.stat().st_size}: not its own"
        )
    return shown


def score_source(
    source: str, label: Label, model: LiveModel, progress: Progress = lambda source, count: None
) -> ScoredEpisode:
    """Play a recording, folder or simulated episode through the live pipeline.

    Raises:
        UsageError: the source is a live camera.
        ScoreCalibrationError: the network gave a score that is not finite.
        CameraError: it cannot be read.
    """
    kind, _, rest = source.partition(":")
    if kind in ("realsense", "v4l2"):
        raise UsageError(f"{source} is a live camera; record it first: edgefas record clip.db3 --camera {source}")
    if kind == "simulated":
        from edgefas.sensors.simulator.episode import parse_options

        return score_frames(RenderedEpisode(parse_options(rest), range(SIMULATED_FRAMES)), source, label, model)
    return score_frames(open_source(source, emitter=emitter_for(model.engine.spec)), source, label, model, progress)


def score_frames(
    camera: CameraSource,
    source: str,
    label: Label,
    model: LiveModel,
    progress: Progress = lambda source, count: None,
) -> ScoredEpisode:
    """Every frame of an opened source, which is closed; see `score_source`."""
    times, scores = [], []
    with camera:
        for frame, line in decide_stream(camera, model.engine, model.policy, model.trust):
            if frame is None:
                continue
            if line.reason is Reason.SCORE_NOT_FINITE:
                raise ScoreCalibrationError(
                    f"{source}: the network gave NaN or infinity for frame {frame.number}; it cannot be calibrated, "
                    "compare it with its source: edgefas compare"
                )
            times.append(frame.device_ns)
            scores.append(np.nan if line.score is None else line.score)
            progress(source, len(times))
    return ScoredEpisode(source, label, np.array(times, np.int64), np.array(scores, np.float64))


def enough(episodes: Iterable[ScoredEpisode], frames: int) -> tuple[list[ScoredEpisode], list[str]]:
    """(episodes with at least so many scored frames, names of the others)."""
    kept: list[ScoredEpisode] = []
    short: list[str] = []
    for episode in episodes:
        count = int(episode.scored.sum())
        if count >= frames:
            kept.append(episode)
        else:
            short.append(f"{episode.source} ({count} of {len(episode.scores)} frames scored)")
    return kept, short


class RenderedEpisode(CameraSource):
    """Moments of a simulated episode, rendered one by one instead of played: equal calls give equal frames."""

    live = False

    def __init__(self, episode: object, moments: Sequence[int]) -> None:
        self._episode, self._moments, self._given = episode, moments, 0

    def read(self, timeout_s: float = 1.0) -> Frame:
        """See `CameraSource.read`."""
        from edgefas.sensors.simulator import render

        if self._given == len(self._moments):
            raise EndOfStream("the episode has ended")
        self._given += 1
        return render(self._episode, self._moments[self._given - 1])  # type: ignore[arg-type]

    def stats(self) -> SourceStats:
        """See `CameraSource.stats`."""
        return SourceStats(delivered=self._given)

    def close(self) -> None:
        """Nothing to release."""
