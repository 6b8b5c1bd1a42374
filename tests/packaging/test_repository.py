"""The repository stands alone: nothing in it knows the machine or the people it was written on and by."""

from __future__ import annotations

import re
from pathlib import Path

MACHINE_PATH = re.compile(rf"(?<![\w.~$}}])/(?:{'|'.join(('work', 'root', 'home', 'tmp'))})/\w|\bfile:/{{2}}/")
PACKAGE_INDEX = re.compile(
    r"(?:index-url|find-links)[ =]+(?!https://download\.pytorch\.org/|/path/to/|\{CPU_INDEX\})[\w/]"
)
BINARY = {".efas", ".png", ".jpg", ".bag", ".npz", ".safetensors", ".onnx"}
WORKPLACE = re.compile(r"\b" + "sub" + r"agents?\b|\.\./" + "shared", re.IGNORECASE)


def traces(text: str) -> list[str]:
    """Lines that name a machine's paths, a package index other than PyTorch's own, or a workplace."""
    patterns = (MACHINE_PATH, PACKAGE_INDEX, WORKPLACE)
    return [line.strip()[:160] for line in text.splitlines() if any(pattern.search(line) for pattern in patterns)]


def test_no_traces_of_a_machine(root: Path, tracked: list[Path]) -> None:
    found = {}
    for path in tracked:
        if (root / path).is_file() and path.suffix not in BINARY:
            lines = traces((root / path).read_text())
            if lines:
                found[str(path)] = lines
    assert found == {}


def test_traces_are_found() -> None:
    for name in ("work", "root", "home", "tmp"):
        assert traces(f"open('/{name}/main/x')")
    assert traces("pip install --extra-index-url" + " https://pypi.example.org/simple x")
    assert not traces("see docs/work/file.md and 30 frames/tmp")


def test_ci_runs_make_test_and_pytest_comes_last(root: Path) -> None:
    assert (root / ".ci" / "run").read_text().rstrip().endswith("make test")
    recipe = (root / "Makefile").read_text().split("\ntest:", 1)[1].split("\n\n", 1)[0]
    assert "-m pytest" in recipe.splitlines()[-1]
