"""Expressions: how far a face is from its resting shape, as a change of the subject's own measures."""

from __future__ import annotations

from dataclasses import replace

from edgefas.sensors.simulator.episode import Expression
from edgefas.sensors.simulator.identity import Identity


def expressive(who: Identity, expression: Expression) -> Identity:
    """The subject with an expression; sizes are by eye [M]."""
    match expression:
        case "neutral":
            return who
        case "smile":
            return replace(
                who,
                lip_length=who.lip_length * 1.17,
                lip_fullness=who.lip_fullness * 0.82,
                eye_opening=who.eye_opening * 0.85,
            )
        case "open_mouth":
            return replace(who, mouth_open=9.0, eye_opening=who.eye_opening * 1.08, brow_height=who.brow_height - 1.0)
        case "squint":
            return replace(who, eye_opening=who.eye_opening * 0.45, brow_height=who.brow_height + 1.5)
        case "raised_brows":
            return replace(who, brow_height=who.brow_height - 3.5, eye_opening=who.eye_opening * 1.15)
