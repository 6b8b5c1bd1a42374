"""The pages users read: every page is in the navigation, and every link between files leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_the_navigation_lists_every_page(root: Path) -> None:
    nav = yaml.safe_load((root / "mkdocs.yml").read_text())["nav"]
    listed = {page for entry in nav for page in entry.values()}
    assert listed == {path.name for path in (root / "docs").glob("*.md")}


def test_links_between_files_lead_somewhere(root: Path, tracked: list[Path]) -> None:
    pages = [path for path in tracked if path.suffix == ".md" and len(path.parts) <= 2]
    broken = [
        f"{page}: {target}"
        for page in pages
        for target in LINK.findall((root / page).read_text())
        if "://" not in target and not (root / page.parent / target).exists()
    ]
    assert len(pages) > 5
    assert broken == []
