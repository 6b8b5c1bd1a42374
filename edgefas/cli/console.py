"""The two consoles: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

results = Console()
errors = Console(stderr=True)


def print_json(value: Any) -> None:
    """One JSON document on one line of stdout, for machines."""
    print(json.dumps(value, allow_nan=False), flush=True)
