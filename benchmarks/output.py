"""How a benchmark ends: its document on the screen and, where asked, in a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edgefas.files import write_atomically


def finish(document: dict[str, Any], out: Path | None) -> None:
    """Print what was measured as JSON, and write it to `out`, too."""
    text = json.dumps(document, indent=1)
    if out is not None:
        write_atomically(out, text.encode() + b"\n")
    sys.stdout.write(text + "\n")
