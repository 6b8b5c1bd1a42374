"""Decisions and reasons in plain words, and what the person before the camera, or the operator, can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgefas.contracts import Reason, Verdict
from edgefas.live.line import DecisionLine

HEADLINES: Final = {
    Verdict.BONA_FIDE: "Live person",
    Verdict.ATTACK: "Attack",
    Verdict.NO_DECISION: "No decision",
}

WORDS: Final[dict[str, tuple[str, str]]] = {
    "score_above_threshold": ("This frame looks like a live person", ""),
    "score_below_threshold": ("This frame looks like an attack", "Only a live face, without screen, print or mask"),
    "no_face": ("No face is seen", "Look straight into the camera"),
    "face_too_near": ("The face is too near", "Step back"),
    "face_too_far": ("The face is too far away", "Come closer"),
    "face_too_small": ("The face is too small in the picture", "Come closer"),
    "face_out_of_view": ("The face leaves the picture", "Move to the middle"),
    "face_off_centre": ("The face is not in the middle", "Move to the middle"),
    "face_turned": ("The face is turned away", "Look straight into the camera"),
    "face_blurred": ("The face is blurred", "Hold still; clean the lens"),
    "face_size_implausible": ("The face has not the size of a head", "Only a live face, without screen or print"),
    "several_faces": ("There are several faces", "One person at a time"),
    "depth_holes": ("Too little depth comes back from the face", "Avoid direct sunlight; turn a little"),
    "ir_underexposed": ("The infrared picture is too dark", "Come closer; check that the projector is on"),
    "ir_overexposed": ("The infrared picture is too bright", "Step back; avoid direct sunlight"),
    "modality_missing": ("The model needs a picture this camera does not give", "Use another camera or model"),
    "frame_stale": ("No fresh picture from the camera", "Check the cable and the load of the machine"),
    "frame_blank": ("The camera gives a blank picture", "Check that nothing covers the camera"),
    "frame_frozen": ("The camera repeats one picture", "Check the cable; connect the camera anew"),
    "frame_looped": ("The pictures repeat: a recording may be played in", "Check the camera and its cable"),
    "clock_jumped": ("The camera's clock jumped", "Wait a moment; if it comes back, check the camera"),
    "camera_changed": ("This is another camera than at the start", "Start again with the camera you trust"),
    "camera_untrusted": ("This is not the camera that was agreed on", "Connect the camera you trust"),
    "challenge_failed": ("The projector's pattern is missing in the picture", "Check the camera and its cable"),
    "engine_late": ("The network took too long", "Use a smaller model, or end other programs"),
    "engine_failed": ("The network could not be run", "See the log of edgefas live"),
    "score_not_finite": ("The network gave no number", "The model is broken: do not use it"),
}
"""Reason -> (what it is, what to do)."""

GATHERING: Final = "Looks live so far"
HOLD_STILL: Final = "Hold still for a moment"


@dataclass(frozen=True)
class Said:
    """One line in words."""

    headline: str
    """The state: the answer of the temporal rule, which a door uses."""
    why: str
    """The newest frame."""
    todo: str
    """What to do; empty when there is nothing to do."""


def say(line: DecisionLine) -> Said:
    """Put a line into words."""
    headline = HEADLINES[line.state.decision]
    if line.decision is Verdict.BONA_FIDE and line.state.decision is not Verdict.BONA_FIDE:
        return Said(headline, GATHERING, HOLD_STILL)
    return Said(headline, *words_of(line.reason))


def words_of(reason: Reason) -> tuple[str, str]:
    """(what it is, what to do); a reason without words of its own is shown by its name."""
    return WORDS.get(reason.value, (reason.value.replace("_", " ").capitalize(), ""))
