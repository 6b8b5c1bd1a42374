"""Samples from the simulated camera, seen through the pipeline's own eyes: rendered frames, detected faces,
`preprocess`. Rendered once into memory-mapped arrays; all IR encodings of one frame are kept, to compare them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefas.contracts import DepthInput, InputSpec, IREncoding, IRInput, RGBInput
from edgefas.errors import EdgefasError, UsageError
from edgefas.faces import detect_faces
from edgefas.files import folder_written_atomically
from edgefas.preprocess import crop_box, inside_share, preprocess
from edgefas.processes import worker_pool
from edgefas.sensors.simulator import SIMULATOR_VERSION
from edgefas.sensors.simulator.episode import Episode, sample_episode
from edgefas.sensors.simulator.render import render
from edgefas.sensors.simulator.truth import true_face
from edgefas.training.recipe import SimulatedData, SimulatedSplit

F16 = npt.NDArray[np.float16]
F32 = npt.NDArray[np.float32]

EPISODE_FRAMES = 30
"""Frame indices are drawn from the loop that the simulated camera plays."""
INDEX = "index.json"
Progress = Callable[[int, int], None]
Job = tuple[Episode, list[int], InputSpec]
"""Some frames of an episode, for a network."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs as `preprocess` makes them, float16; infrared once per encoding."""

    arrays: dict[str, F16]
    """"rgb" (N,3,H,W), "depth" (N,1,H,W), "ir_lit", "ir_unlit", "ir_active" (N,1,H,W)."""
    species: npt.NDArray[np.str_]
    subjects: npt.NDArray[np.int64]
    detected_share: float
    """Share of samples whose face the detector found; the others use the simulator's own box."""

    def __len__(self) -> int:
        return len(self.species)

    def read(self, rows: Sequence[int], spec: InputSpec) -> list[tuple[int, dict[str, F32]]]:
        """Rows with their inputs, (C, H, W) float32 by modality; read in order, which memory maps like."""
        arrays = {m.value: self.arrays[array_name(m.value, spec)] for m in spec.modalities}
        order = np.array(rows)
        found = {name: array[order].astype(np.float32) for name, array in arrays.items()}
        return [(row, {name: array[place] for name, array in found.items()}) for place, row in enumerate(rows)]


def array_name(modality: str, spec: InputSpec) -> str:
    """Which array of `Samples` feeds an input."""
    return f"ir_{spec.ir.encoding.value}" if modality == "ir" and spec.ir is not None else modality


def samples_for(
    data: SimulatedData, split: SimulatedSplit, spec: InputSpec, cache: Path, progress: Progress
) -> Samples:
    """Render a split, or open it where it was rendered before with the same simulator, split and spec.

    All modalities are kept, also those that `spec` lacks: encoding costs little beside rendering, and networks of one
    crop and size, of one modality or three, then share the samples.
    """
    spec = _with_all_modalities(spec)
    if data.simulator_version != SIMULATOR_VERSION:
        raise UsageError(
            f"the recipe was written for simulator version {data.simulator_version}, this one is {SIMULATOR_VERSION}; "
            "set simulator_version in a copy of the recipe and train again"
        )
    folder = cache / f"simulated-{_key(split, spec)}"
    if not folder.exists():
        with folder_written_atomically(folder) as partial:
            _render_split(split, spec, partial, progress)
    try:
        index = json.loads((folder / INDEX).read_text())
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
        return Samples(arrays, np.array(index["species"]), np.array(index["subjects"]), index["detected_share"])
    except (OSError, ValueError, KeyError) as error:
        raise EdgefasError(f"{folder} is damaged ({error}); remove it, and it is rendered again") from None


def _with_all_modalities(spec: InputSpec) -> InputSpec:
    """What is missing, as its defaults say, at the size of the first that is there."""
    _, height_px, width_px = spec.shape(spec.modalities[0])
    size = {"height_px": height_px, "width_px": width_px}
    missing = {
        name: kind(**size)
        for name, kind in (("rgb", RGBInput), ("ir", IRInput), ("depth", DepthInput))
        if getattr(spec, name) is None
    }
    return spec.model_copy(update=missing)


def _key(split: SimulatedSplit, spec: InputSpec) -> str:
    """What decides the arrays; the IR encoding does not, since all are kept."""
    assert spec.ir is not None
    spec = spec.model_copy(update={"ir": spec.ir.model_copy(update={"encoding": IREncoding.LIT})})
    return hashlib.sha256(f"{SIMULATOR_VERSION}{split.to_json()}{spec.to_json()}".encode()).hexdigest()[:16]


def plan(split: SimulatedSplit) -> Iterator[tuple[Episode, list[int]]]:
    """Episodes of a split, and which of their frames are samples; presentations take turns over the subjects."""
    count = split.last_subject - split.first_subject + 1
    for kind, total in split.samples.items():
        for number in range(-(-total // split.frames_per_episode)):
            seed = int.from_bytes(hashlib.sha256(f"{split.seed}/{kind.value}/{number}".encode()).digest()[:3], "big")
            subject = split.first_subject + number % count
            episode = sample_episode(kind, subject, split.sites[number % len(split.sites)], seed)
            wanted = min(split.frames_per_episode, total - number * split.frames_per_episode)
            step = EPISODE_FRAMES // split.frames_per_episode
            yield episode, [seed % step + step * k for k in range(wanted)]


def _render_split(split: SimulatedSplit, spec: InputSpec, folder: Path, progress: Progress) -> None:
    jobs = [(episode, frames, spec) for episode, frames in plan(split)]
    jobs.sort(key=lambda job: job[0].subject)  # a head is modelled once for its subject's episodes in a row
    total = sum(len(frames) for _, frames, _ in jobs)
    arrays: dict[str, F16] = {}
    species: list[str] = []
    subjects: list[int] = []
    found = 0
    for (episode, _, _), rows in zip(jobs, _rendered(jobs), strict=True):
        for inputs, detected in rows:
            for name, value in inputs.items():
                if name not in arrays:
                    arrays[name] = _array(folder / f"{name}.npy", (total, *value.shape))
                arrays[name][len(species)] = value
            species.append(episode.presentation.value)
            subjects.append(episode.subject)
            found += detected
            progress(len(species), total)
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]
    index = {"species": species, "subjects": subjects, "detected_share": found / max(total, 1)}
    (folder / INDEX).write_text(json.dumps(index))


def _array(path: Path, shape: tuple[int, ...]) -> F16:
    array: F16 = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    with path.open("rb+") as file:  # a hole that cannot be filled later ends the process without a word
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _rendered(jobs: Sequence[Job]) -> Iterator[list[tuple[dict[str, F16], bool]]]:
    """In order, by as many processes as there are cores."""
    with worker_pool() as pool:
        yield from pool.map(_samples_of_episode, jobs, chunksize=8)


def _samples_of_episode(job: Job) -> list[tuple[dict[str, F16], bool]]:
    episode, indices, spec = job
    return [encode(episode, index, spec) for index in indices]


def encode(episode: Episode, index: int, spec: InputSpec) -> tuple[dict[str, F16], bool]:
    """One sample: every array that `Samples` holds, and whether the detector found the face."""
    frame = render(episode, index)
    faces = detect_faces(frame)
    grid = frame.calibration.depth
    detected = bool(faces) and inside_share(crop_box(faces[0], spec, grid), grid) > 0
    face = faces[0] if detected else true_face(episode, index)
    if face is None:
        raise UsageError(f"presentation {episode.presentation.value!r} shows no face to train on")
    without_ir = preprocess(frame, face, spec.model_copy(update={"ir": None}))
    sample = {name: value[0].astype(np.float16) for name, value in without_ir.items()}
    if spec.ir is not None:
        for encoding in IREncoding:
            part = spec.ir.model_copy(update={"encoding": encoding})
            only_ir = spec.model_copy(update={"rgb": None, "depth": None, "ir": part})
            sample[f"ir_{encoding.value}"] = preprocess(frame, face, only_ir)["ir"][0].astype(np.float16)
    return sample, detected
