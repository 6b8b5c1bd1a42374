"""Faults that are planted in a tree's lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.data import rgb_trees, trees

Edit = Callable[[Path], None]

PLANT: dict[tuple[str, str], Callable[[Path], Any]] = {
    ("casia-surf", "challenge"): trees.casia_surf_challenge,
    ("casia-surf", "paper"): trees.casia_surf_paper,
    ("cefa", "4.1"): trees.cefa_paper,
    ("cefa", "4@1"): trees.cefa_challenge,
    ("wmca", "grandtest"): lambda root: trees.wmca(root, frames=False),
    ("hq-wmca", "grand_test"): trees.hq_wmca,
    ("celeba-spoof", "intra_test"): rgb_trees.celeba_spoof,
    ("msu-mfsd", "official"): rgb_trees.msu_mfsd,
    ("casia-fasd", "official"): rgb_trees.casia_fasd,
    ("oulu-npu", "1"): rgb_trees.oulu_npu,
    ("folder", "captures"): trees.captures,
}
FLIPPED = {"0": "1", "1": "0"}


def edit(name: str, old: str, new: str) -> Edit:
    """Replaces text in a list; a fault that is not planted would prove nothing."""

    def apply(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return apply


def append(name: str, line: str) -> Edit:
    def apply(root: Path) -> None:
        with (root / name).open("a") as file:
            file.write(line + "\n")

    return apply


def flip(name: str) -> Edit:
    """Every label of a list becomes the other."""

    def apply(root: Path) -> None:
        lines = [line.rpartition(" ") for line in (root / name).read_text().splitlines()]
        trees.put_lines(root / name, [f"{start} {FLIPPED[word]}" for start, _, word in lines])

    return apply


def swap(name: str, number: int) -> Edit:
    """Colour and depth change places in one line."""

    def apply(root: Path) -> None:
        lines = (root / name).read_text().splitlines()
        color, depth, ir, label = lines[number].split()
        lines[number] = f"{depth} {color} {ir} {label}"
        trees.put_lines(root / name, lines)

    return apply


def overwrite(name: str, data: bytes) -> Edit:
    return lambda root: trees.put(root / name, data)


def remove(name: str) -> Edit:
    return lambda root: (root / name).unlink()


def surf_line(folder: str, label: int) -> str:
    """Of a challenge list: the first picture of a clip."""
    return f"{folder}/color/0001.jpg {folder}/depth/0001.jpg {folder}/ir/0001.jpg {label}"
