"""Python 3.10 (JetPack 6) reads every file, whichever newer Python runs the tests."""

from __future__ import annotations

import ast
from pathlib import Path

# Names of the standard library that came after 3.10; mypy (python_version = 3.10) finds the rest in the package.
LATER_MODULES = {"tomllib"}
LATER_NAMES = {
    ("asyncio", "TaskGroup"),
    ("asyncio", "timeout"),
    ("contextlib", "chdir"),
    ("datetime", "UTC"),
    ("enum", "StrEnum"),
    ("itertools", "batched"),
    *(("typing", name) for name in ("LiteralString", "Never", "NotRequired", "Required", "Self", "Unpack", "override")),
    *(("typing", name) for name in ("assert_never", "assert_type", "dataclass_transform", "reveal_type")),
}


def later_than_310(source: str) -> list[str]:
    """What Python 3.10 lacks, by name; a SyntaxError for newer syntax."""
    found = []
    for node in ast.walk(ast.parse(source, feature_version=(3, 10))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in LATER_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or ""] if node.module in LATER_MODULES else []
            found += [alias.name for alias in node.names if (node.module, alias.name) in LATER_NAMES]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found += [node.attr] if (node.value.id, node.attr) in LATER_NAMES else []
    return found


def test_every_file_is_python_310(root: Path, tracked: list[Path]) -> None:
    bad = {str(p): later_than_310((root / p).read_text()) for p in tracked if p.suffix == ".py"}
    assert len(bad) > 20
    assert {path: names for path, names in bad.items() if names} == {}


def test_newer_names_are_found() -> None:
    assert later_than_310("import tomllib\nfrom typing import Self\nimport enum\nclass A(enum.StrEnum): ...") == [
        "tomllib",
        "Self",
        "StrEnum",
    ]
