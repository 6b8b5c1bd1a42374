"""What a recording shows: `OUT.json` beside `OUT.db3`, and `recording.json` in a folder made of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from edgefas.contracts.base import Contract, ContractError
from edgefas.contracts.label import Label
from edgefas.errors import UsageError
from edgefas.sensors.source import CameraError, CameraIdentity

FOLDER_NOTES = "recording.json"
_MAX_BYTES = 1 << 20

Ended = Literal["seconds", "frames", "max_size", "stopped", "disk_full", "write_failed", "camera_lost"]
"""Why a recording ended; the last three are troubles, and the file holds what came before them."""


class Shown(Contract):
    """What the user says is before the camera."""

    label: Label | None = Field(None, description="None: not labelled")
    species: str | None = Field(
        None, pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$", description="kind of attack, e.g. flat_print; ISO/IEC 30107-3"
    )
    subject: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="who; a code, no name")
    note: str = Field("", max_length=2000)

    @model_validator(mode="after")
    def _consistent(self) -> Shown:
        if self.species is not None and self.label is not Label.ATTACK:
            raise ValueError(f"species {self.species!r} is a kind of attack: it needs the label attack")
        return self


class RecordingNotes(Contract):
    """The file beside a recording; written before the recording appears under its name."""

    schema_version: Literal[1] = 1
    shown: Shown
    source: str = Field(description="the camera as it was asked for")
    camera: CameraIdentity | None = Field(None, description="None: the recording was not finished")
    edgefas: str = Field(description="version that recorded it")
    started: AwareDatetime
    compressed: bool
    seconds: float | None = Field(None, ge=0, description="of device time")
    framesets: int | None = Field(None, ge=0, description="in the file")
    lost: int = Field(0, ge=0, description="framesets that were seen and could not be written")
    size_bytes: int | None = Field(None, ge=0, description="of the recording: notes of another file do not fit")
    ended: Ended | None = None


def make_shown(label: str | None, species: str | None, subject: str | None, note: str) -> Shown:
    """From what a user typed.

    Raises:
        UsageError: a value that is not allowed; names the field.
    """
    try:
        return Shown.from_dict({"label": label, "species": species, "subject": subject, "note": note})
    except ContractError as error:
        raise UsageError(str(error)) from None


def notes_path(source: Path) -> Path:
    """Where the notes of a recording (`a.json` for `a.db3`) or a folder (`recording.json` in it) lie."""
    return source / FOLDER_NOTES if source.is_dir() else source.with_suffix(".json")


def read_notes(source: Path) -> RecordingNotes | None:
    """The notes of a recording or folder; None when it has none, as recordings of other programs.

    Raises:
        CameraError: they cannot be read, or are of another recording: a wrong label is worse than none.
    """
    path = notes_path(source)
    try:
        with path.open("rb") as file:
            notes = RecordingNotes.from_json(file.read(_MAX_BYTES))
        size = None if source.is_dir() else source.stat().st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CameraError(f"cannot read {path}: {error.strerror}") from None
    except ContractError as error:
        raise CameraError(f"{path} does not describe a recording: {error}; remove it or mend it") from None
    if size is not None and notes.size_bytes not in (None, size):
        raise CameraError(
            f"{path} describes a recording of {notes.size_bytes} bytes, {source} has {size}: "
            "it belongs to another file; remove it, or put the right one there"
        )
    return notes


def now_aware() -> datetime:
    """Local time with its offset, to the second."""
    return datetime.now().astimezone().replace(microsecond=0)
