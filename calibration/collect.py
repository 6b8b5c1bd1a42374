"""Collecting a calibration set: frames for INT8 ranges, picked from recordings and simulated data.

What the live pipeline would score is what counts: the same face detector, gates and preprocessing decide here. Every
source is a condition with a class that the user names (a recording does not know what it shows); each gives an equal
share, and within a condition the most different frames are taken.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgefas.calibration.diverse import FEATURES, features, k_centre, share_out
from edgefas.calibration.fingerprint import source_sha256
from edgefas.calibration.frames import CalibrationSetError
from edgefas.contracts import Contract, FaceBox, InputSpec, Label, Policy
from edgefas.errors import UsageError
from edgefas.faces import Tracks, detect_faces, follow
from edgefas.files import write_atomically
from edgefas.live.gates import gate
from edgefas.preprocess import missing_modalities, preprocess
from edgefas.sensors.frame import Frame
from edgefas.sensors.open import open_source

F32 = npt.NDArray[np.float32]
MAX_CANDIDATES = 600
"""Per source; a longer one is thinned evenly."""
SIMULATED_FRAMES = 30
"""Of an episode: the loop that the simulated camera plays."""
Progress = Callable[[str, int], None]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What one source offers."""

    source: str
    label: Label
    sha256: str
    numbers: list[int]
    """Frame numbers, or rows of a data set."""
    inputs: dict[str, F32]
    """As the network takes them, (N, C, H, W) float32."""


class SourceEntry(Contract):
    """One source of a calibration set."""

    source: str
    label: Label
    sha256: str = Field(description="of the recording, of the files of a folder, or of what decides simulated data")
    candidates: int = Field(ge=0)
    picked: list[int] = Field(description="frame numbers (simulated data: rows), in the order of the set's rows")


class CalibrationManifest(Contract):
    """Written beside the `.npz`: where every row of it comes from."""

    schema_version: Literal[1] = 1
    sha256: str = Field(description="of the .npz")
    frames: int = Field(ge=1)
    asked: int = Field(ge=1)
    seed: int = Field(ge=0)
    method: str = "greedy k-centre within each source, equal shares of the sources"
    features: str = FEATURES
    input_spec: InputSpec
    sources: list[SourceEntry]


def candidates_of(
    source: str, label: Label, spec: InputSpec, progress: Progress = lambda source, count: None
) -> Candidates:
    """The frames of a recording, folder or simulated episode that the live pipeline would score.

    A simulated episode is rendered frame by frame, not played: equal calls give equal sets.

    Raises:
        CalibrationSetError: none has a face within the gates.
        UsageError: the source is a live camera, which nobody can look at again.
        CameraError: it cannot be read.
    """
    if source.partition(":")[0] in ("realsense", "v4l2"):
        raise UsageError(f"{source} is a live camera; record it first: edgefas record clip.db3 --camera {source}")
    digest = source_sha256(source)
    numbers: list[int] = []
    rows: list[dict[str, F32]] = []
    stride = 1
    with closing(_frames(source)) as frames:
        for place, (frame, face) in enumerate(_faces(frames, spec)):
            if place % stride:
                continue
            numbers.append(frame.number)
            rows.append(preprocess(frame, face, spec))
            progress(source, place + 1)
            if len(rows) > MAX_CANDIDATES:
                numbers, rows, stride = numbers[::2], rows[::2], stride * 2
    if not rows:
        raise CalibrationSetError(
            f"{source}: no frame has a face within {Policy().gates.min_distance_mm:.0f} to "
            f"{Policy().gates.max_distance_mm:.0f} mm and the streams this network takes; leave the source out, or "
            "record it again with `edgefas live` showing a score"
        )
    return Candidates(source, label, digest, numbers, {n: np.concatenate([r[n] for r in rows]) for n in rows[0]})


def candidates_of_recipe(name: str, spec: InputSpec, cache: Path, progress: Progress) -> list[Candidates]:
    """The training split of a recipe on simulated data, one source per presentation.

    Raises:
        UsageError: no such recipe, or one for another simulator.
    """
    from edgefas.training.recipe import load_recipe
    from edgefas.training.simulated import samples_for

    data = load_recipe(name).simulated
    samples = samples_for(data, data.train, spec, cache, lambda done, total: progress(f"rendering {name}", done))
    digest = hashlib.sha256(f"{data.simulator_version} {data.train.to_json()}".encode()).hexdigest()
    offers = []
    for kind in np.unique(samples.species):
        rows = np.flatnonzero(samples.species == kind)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MAX_CANDIDATES)).astype(int)]
        label = Label.BONA_FIDE if kind == Label.BONA_FIDE.value else Label.ATTACK
        arrays = {
            m.value: f"ir_{spec.ir.encoding.value}" if spec.ir and m.value == "ir" else m.value for m in spec.modalities
        }
        inputs = {key: samples.arrays[array][rows].astype(np.float32) for key, array in arrays.items()}
        offers.append(Candidates(f"{name} training split: {kind}", label, digest, rows.tolist(), inputs))
    return offers


def _frames(source: str) -> Generator[Frame, None, None]:
    kind, _, rest = source.partition(":")
    if kind != "simulated":
        with open_source(source) as camera:
            yield from camera
        return
    from edgefas.sensors.simulator import render
    from edgefas.sensors.simulator.episode import parse_options

    episode = parse_options(rest)
    for index in range(SIMULATED_FRAMES):
        yield render(episode, index)


def _faces(frames: Iterable[Frame], spec: InputSpec) -> Iterator[tuple[Frame, FaceBox]]:
    """Frames with the face that would be scored."""
    tracks = Tracks()
    for frame in frames:
        if missing_modalities(frame, spec):
            continue
        tracks = follow(tracks, frame, detect_faces)
        face = next((track.face for track in tracks.visible), None)
        if face is not None and gate(frame, face, spec, Policy()) is None:
            yield frame, face


def pick(offers: Sequence[Candidates], count: int, seed: int) -> list[list[int]]:
    """Per source the places of its picked candidates: equal shares, and within a source the most different.

    Raises:
        CalibrationSetError: nothing to pick from, one class only, or NaN among the candidates.
        UsageError: fewer frames asked for than there are sources.
    """
    labels = {offer.label for offer in offers if offer.numbers}
    if labels != set(Label):
        held = ", ".join(label.value for label in labels) or "nothing"
        raise CalibrationSetError(
            f"a calibration set needs bona fide faces and attacks, here is {held}: ranges of one class clip the other; "
            "give --bona-fide and --attack, each at least once"
        )
    if count < len(offers):
        raise UsageError(f"--count {count} cannot cover {len(offers)} sources; ask for at least {len(offers)}")
    for offer in offers:
        for name, values in offer.inputs.items():
            bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2, 3)))
            if len(bad):
                raise CalibrationSetError(
                    f"{offer.source}: {name} of frame {offer.numbers[bad[0]]} holds NaN or infinity; leave it out"
                )
    names = list(offers[0].inputs)
    points = features({name: np.concatenate([offer.inputs[name] for offer in offers]) for name in names})
    ends = np.cumsum([len(offer.numbers) for offer in offers])
    rng = np.random.default_rng(seed)
    parts = np.split(points, ends[:-1])
    shares = share_out([len(part) for part in parts], count)
    return [k_centre(part, share, int(rng.integers(len(part)))) for part, share in zip(parts, shares, strict=True)]


def write_set(path: Path, offers: Sequence[Candidates], count: int, seed: int, spec: InputSpec) -> CalibrationManifest:
    """Pick, then write the `.npz` that `edgefas quantize --calibration` takes and a `.json` of the same name.

    Raises:
        CalibrationSetError, UsageError: see `pick`.
        FileWriteError: the folder cannot be written; nothing is left behind.
    """
    if path.suffix != ".npz":
        raise UsageError(f"{path}: a calibration set is an .npz file; name it {path.with_suffix('.npz').name}")
    places = pick(offers, count, seed)
    rows = {
        name: np.concatenate([offer.inputs[name][chosen] for offer, chosen in zip(offers, places, strict=True)])
        for name in offers[0].inputs
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **rows)
    data = buffer.getvalue()
    entries = [
        SourceEntry(
            source=offer.source,
            label=offer.label,
            sha256=offer.sha256,
            candidates=len(offer.numbers),
            picked=[offer.numbers[place] for place in chosen],
        )
        for offer, chosen in zip(offers, places, strict=True)
    ]
    manifest = CalibrationManifest(
        sha256=hashlib.sha256(data).hexdigest(),
        frames=sum(map(len, places)),
        asked=count,
        seed=seed,
        input_spec=spec,
        sources=entries,
    )
    write_atomically(path, data)
    write_atomically(path.with_suffix(".json"), manifest.to_json(indent=1).encode() + b"\n")
    return manifest
