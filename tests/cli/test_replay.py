"""`edgefas replay` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgefas.cli.main import run
from edgefas.cli.replay import name_folders, parse_speed
from edgefas.errors import UsageError
from edgefas.sensors.folder import FolderSource, write_folder
from edgefas.sensors.notes import RecordingNotes, Shown, now_aware
from tests.sensors.scenes import moment

BAG = Path(__file__).parent.parent / "sensors" / "fixtures" / "color_depth.bag"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    notes = RecordingNotes(
        shown=Shown(label="attack", species="flat_print", subject="s7"),
        source="realsense",
        edgefas="0",
        started=now_aware(),
        compressed=True,
    )
    write_folder(tmp_path / "clip", [moment(n, alternate=True) for n in (1, 2, 5)], notes=notes)
    return tmp_path / "clip"


def test_one_line_per_frame(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", f"dir:{clip}", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["frame"], row["dropped"]) for row in rows] == [(1, 0), (2, 0), (5, 2)]
    assert rows[0]["streams"] == ["color", "ir_lit", "ir_unlit", "depth"]
    assert rows[0]["lit_exposure"] == {"time_us": 8500.0, "gain": 16.0}
    assert {row["source"] for row in rows} == {f"dir:{clip}"}


def test_in_words(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", f"dir:{clip}", str(BAG), "--speed", "100"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "3 frames, 0.1 s" in first
    assert "unlit in 3, depth in 3; 2 dropped, attack flat_print s7" in first
    assert "infrared lit in 0" in second
    assert "not labelled" in second


def test_copies(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", f"dir:{clip}", str(BAG), "--to-folder", str(tmp_path / "out"), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["folder"] for row in rows] == [str(tmp_path / "out" / name) for name in ("clip", "color_depth")]
    assert rows[0]["shown"]["species"] == "flat_print"
    for row in rows:
        assert len(list(FolderSource(Path(row["folder"])))) == row["frames"] > 0
    assert run(["replay", f"dir:{clip}", "--to-folder", str(tmp_path / "out")]) == 1
    assert "is not an empty folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["simulated"], 2, "is a camera, not a recording"),
        (["none.db3"], 1, "no such recording"),
        (["dir:none"], 1, "no such folder"),
        (["a.db3", "--speed", "0"], 2, "above 0 and up to 100, or max"),
        ([], 2, "FILE"),
    ],
)
def test_errors_are_short(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", *arguments]) == code
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_notes_of_another_recording_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = tmp_path / "a.bag"
    bag.write_bytes(BAG.read_bytes())
    notes = RecordingNotes(
        shown=Shown(label="bona_fide"), source="x", edgefas="0", started=now_aware(), compressed=True, size_bytes=1
    )
    (tmp_path / "a.json").write_text(notes.to_json())
    for more in ([], ["--to-folder", str(tmp_path / "out")]):
        assert run(["replay", str(bag), *more]) == 1
        assert "it belongs to another file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "101", "fast", "1x"])
def test_a_wrong_speed(text: str) -> None:
    with pytest.raises(UsageError, match="or max"):
        parse_speed(text)


def test_two_of_one_name() -> None:
    assert name_folders(Path("out"), ["a/x.db3"]) == [Path("out")]
    with pytest.raises(UsageError, match="two recordings are called 'x'"):
        name_folders(Path("out"), ["a/x.db3", "b/x.db3"])
