"""Whole data sets in the public layouts, made by the simulated camera: for tools and tests, never for claims.

`wanted_of` says what to make of a layout, its `plan` who is presented how in which split; `write_tree` renders it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import edgefas
from edgefas.data.synth.layouts import LAYOUTS
from edgefas.data.synth.plan import Clip, Layout, Tree, Wanted
from edgefas.data.synth.pool import NOTE, WARNING, write_tree
from edgefas.errors import UsageError
from edgefas.sensors.simulator import SIMULATOR_VERSION

__all__ = ["LAYOUTS", "NOTE", "WARNING", "Clip", "Layout", "Tree", "Wanted", "facts_of", "wanted_of", "write_tree"]


def wanted_of(name: str, subjects: int | None = None, seed: int | None = None, frames: int | None = None) -> Wanted:
    """What to make of a layout; None takes the layout's default.

    Raises:
        UsageError: no such layout, too few or many people, or a choice about a frozen set.
    """
    if name not in LAYOUTS:
        close = get_close_matches(name, LAYOUTS, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"--layout {name!r}: {hint}allowed: {', '.join(LAYOUTS)}")
    layout, given = LAYOUTS[name], {"--subjects": subjects, "--seed": seed, "--frames": frames}
    chosen = [option for option, value in given.items() if value is not None]
    if layout.frozen and chosen:
        raise UsageError(f"{name} is frozen: leave {' and '.join(chosen)} away")
    default = layout.default
    wanted = Wanted(
        default.subjects if subjects is None else subjects,
        default.seed if seed is None else seed,
        default.frames if frames is None else frames,
    )
    fewest, most = layout.subjects
    if not layout.frozen and not fewest <= wanted.subjects <= most:
        allowed = f"{fewest} to {most} are" if fewest < most else f"only {fewest} is"
        raise UsageError(f"--subjects {wanted.subjects}: {allowed} allowed in the layout of {layout.title}")
    return wanted


def facts_of(name: str, wanted: Wanted, tree: Tree) -> dict[str, Any]:
    """What the note in the tree says, beside its warning."""
    return {
        "layout": name,
        "dataset": LAYOUTS[name].dataset,
        "simulator_version": SIMULATOR_VERSION,
        "edgefas": edgefas.__version__,
        "seed": wanted.seed,
        "subjects": wanted.subjects,
        "clips": len(tree.clips),
        "frames": wanted.frames,
    }
