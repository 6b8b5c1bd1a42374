"""How every campaign ends: one JSON document, on stdout and where it was asked for, and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from edgefas.environment import environment
from edgefas.files import write_atomically


def finish(name: str, out: Path | None, failed: Sequence[Any], **facts: Any) -> NoReturn:
    """Write what was found, with command, machine, commit and date; exits 1 if a case failed.

    Args:
        name: of the module in tests.campaigns.
        failed: what failed, as JSON.
    """
    command = f"python -m tests.campaigns.{name} {' '.join(sys.argv[1:])}"
    text = json.dumps({"command": command, **environment(), **facts, "failed": list(failed)}, indent=1) + "\n"
    if out is not None:
        write_atomically(out, text.encode())
    sys.stdout.write(text)
    raise SystemExit(1 if failed else 0)
