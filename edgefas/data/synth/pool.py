"""Making a tree: clips in many processes, lists at the end, and nothing in its place before all of it is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2

from edgefas.data.synth.layouts import LAYOUTS
from edgefas.data.synth.plan import Clip, Tree
from edgefas.data.synth.products import put
from edgefas.errors import UsageError
from edgefas.files import folder_written_atomically
from edgefas.processes import worker_pool

NOTE = "synthetic.json"
"""In the root of every tree: what it is, for who finds it later."""
WARNING = (
    "These are pictures of edgefas's simulated camera. No person was photographed; what is learned or measured on them "
    "is a demonstration and says nothing about real faces or attacks."
)
Progress = Callable[[int], None]
"""Told how many pictures are done."""
_MOST_CLIPS = 12
"""Of a job: enough of one person's for his head to be modelled once, and few enough to share the work."""


def write_tree(
    out: Path, layout: str, tree: Tree, facts: dict[str, Any], workers: int, progress: Progress = lambda done: None
) -> None:
    """Render every clip of a tree and write its lists.

    Args:
        out: must not exist; appears when the tree is complete.
        layout: a name in `LAYOUTS`.
        facts: what `NOTE` says beside the warning.
        workers: processes; 1 is this one. The files do not depend on it.

    Raises:
        UsageError: `out` exists.
        FileWriteError: it cannot be written; nothing is left behind.
        EdgefasError: a process was killed.
    """
    if out.exists():
        raise UsageError(f"{out} exists; choose another name or remove it")
    with folder_written_atomically(out) as root:
        done = 0
        for pictures in _work(root, layout, jobs(tree.clips), workers):
            done += pictures
            progress(done)
        for name, text in tree.lists.items():
            put(root / name, text.encode())
        put(root / NOTE, json.dumps({"warning": WARNING, **facts}, indent=1).encode() + b"\n")


def jobs(clips: tuple[Clip, ...]) -> list[list[Clip]]:
    """Clips of one person, those that show the same head one after the other."""
    order = sorted(clips, key=lambda c: (c.episode.subject, c.episode.presentation.value, c.episode.expression, c.name))
    found = []
    for _, group in groupby(order, key=lambda clip: clip.episode.subject):
        its = list(group)
        found += [its[first : first + _MOST_CLIPS] for first in range(0, len(its), _MOST_CLIPS)]
    return found


def _work(root: Path, layout: str, wanted: list[list[Clip]], workers: int) -> Iterator[int]:
    if workers == 1:
        yield from (_make(root, layout, [clip]) for job in wanted for clip in job)
        return
    with worker_pool(min(workers, len(wanted)), _one_thread) as pool:
        for future in as_completed([pool.submit(_make, root, layout, job) for job in wanted]):
            yield future.result()


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _make(root: Path, layout: str, clips: list[Clip]) -> int:
    for clip in clips:
        LAYOUTS[layout].write(root, clip)
    return sum(len(clip.frames) for clip in clips)
