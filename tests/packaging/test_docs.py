"""The pages users read: every page is in the navigation, and every link between files leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_the_navigation_lists_every_page(root: Path) -> None:
    nav = yaml.safe_load((root / "mkdocs.yml").read_text())["nav"]
    docs = root / "docs"
    assert sorted(pages_of(nav)) == sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))


def pages_of(nav: list[dict[str, Any]]) -> list[str]:
    """Pages of a navigation, those of its groups too."""
    entries = [value for entry in nav for value in entry.values()]
    return [page for value in entries for page in ([value] if isinstance(value, str) else pages_of(value))]


def test_links_between_files_lead_somewhere(root: Path, tracked: list[Path]) -> None:
    pages = [path for path in tracked if path.suffix == ".md" and (len(path.parts) <= 2 or path.parts[0] == "docs")]
    broken = [
        f"{page}: {target}"
        for page in pages
        for target in LINK.findall((root / page).read_text())
        if "://" not in target and not (root / page.parent / target).exists()
    ]
    assert len(pages) > 5
    assert broken == []
