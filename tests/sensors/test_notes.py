"""The notes of a recording: there and back, and never those of another file."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from edgefas.contracts import Label
from edgefas.errors import UsageError
from edgefas.sensors.notes import RecordingNotes, Shown, make_shown, notes_path, read_notes
from edgefas.sensors.source import CameraError, CameraIdentity

NOTES = RecordingNotes(
    shown=Shown(label=Label.ATTACK, species="flat_print"),
    source="realsense:0123",
    camera=CameraIdentity("0123", "D400", "D435I", "5.16.0.1", "librealsense"),
    edgefas="0.1",
    started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    compressed=True,
    size_bytes=5,
)


def put(folder: Path, notes: RecordingNotes) -> Path:
    recording = folder / "a.db3"
    recording.write_bytes(b"12345")
    notes_path(recording).write_text(notes.to_json())
    return recording


def test_there_and_back(tmp_path: Path) -> None:
    assert read_notes(put(tmp_path, NOTES)) == NOTES


def test_none_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.bag").write_bytes(b"")
    assert read_notes(tmp_path / "a.bag") is None
    assert read_notes(tmp_path) is None


def test_of_another_recording(tmp_path: Path) -> None:
    recording = put(tmp_path, NOTES)
    recording.write_bytes(b"123456")
    with pytest.raises(CameraError, match=r"of 5 bytes, .*a\.db3 has 6: it belongs to another file"):
        read_notes(recording)


def test_of_a_killed_recording_any_size_fits(tmp_path: Path) -> None:
    recording = put(tmp_path, NOTES.model_copy(update={"size_bytes": None}))
    notes = read_notes(recording)
    assert notes is not None
    assert notes.shown.species == "flat_print"


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 2}', '{"label": "attack"}', "\0" * 100])
def test_any_other_json_is_refused(tmp_path: Path, text: str) -> None:
    recording = put(tmp_path, NOTES)
    notes_path(recording).write_text(text)
    with pytest.raises(CameraError, match=r"a\.json does not describe a recording"):
        read_notes(recording)


@pytest.mark.parametrize(
    ("label", "species", "subject"),
    [
        ("bona_fide", "flat_print", None),
        (None, "flat_print", None),
        ("1", None, None),
        ("attack", "Flat Print", None),
        ("attack", "-rf", None),
        ("attack", "a\n", None),
        ("attack", "x" * 65, None),
        ("attack", None, "../../etc"),
        ("attack", None, ""),
    ],
)
def test_what_is_shown_is_refused_in_words(label: str | None, species: str | None, subject: str | None) -> None:
    with pytest.raises(UsageError, match="Shown"):
        make_shown(label, species, subject, "")
