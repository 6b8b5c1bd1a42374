"""`edgefas record`, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgefas.cli.main import run
from edgefas.cli.record import parse_size
from edgefas.contracts import Label
from edgefas.errors import UsageError
from edgefas.sensors.notes import read_notes
from edgefas.sensors.open import open_source

RECORD = ("record", "--camera", "simulated:frames=2")


def test_it_records_and_says_what(tmp_path, capfd):
    path = tmp_path / "a.db3"
    assert run([*RECORD, "--frames", "3", "--json", str(path)]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["path"] == str(path)
    assert told["size_bytes"] == path.stat().st_size
    assert len(list(open_source(str(path)))) == told["framesets"] >= 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["record", "--frames", "2", "a.db3"], 1, "no RealSense camera is connected"),
        (["record", "--camera", "webcam", "--frames", "2", "a.db3"], 2, "only realsense and simulated"),
        (["record", "--camera", "b.db3", "--frames", "2", "a.db3"], 2, "only realsense and simulated"),
        ([*RECORD, "--frames", "2", "a.mp4"], 2, "recordings are .db3 files"),
        ([*RECORD, "a.db3"], 2, "--seconds S or --frames N"),
        ([*RECORD, "--frames", "two", "a.db3"], 2, "--frames"),
        ([*RECORD, "--speed", "2", "a.db3"], 2, "--speed"),
        ([*RECORD, "--frames", "2", "--label", "live", "a.db3"], 2, "label: Input should be 'bona_fide' or 'attack'"),
        ([*RECORD, "--frames", "2", "--species", "flat_print", "a.db3"], 2, "it needs the label attack"),
        ([*RECORD, "--frames", "2", "--label", "attack", "--species", "../x", "a.db3"], 2, "species"),
        ([*RECORD, "--frames", "2", "--subject", "a b", "a.db3"], 2, "subject"),
        ([*RECORD, "--frames", "2", "--note", "x" * 2001, "a.db3"], 2, "note"),
        ([*RECORD, "--max-size", "4Q", "a.db3"], 2, "such as 4G"),
    ],
)
def test_errors_are_short_and_leave_nothing(tmp_path, monkeypatch, capfd, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == code
    told = capfd.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


def _process(arguments, **options):
    """edgefas with noise in place of rendered people, which is quicker."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sensors.noise_cli", *arguments],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **options,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_recording_and_keeps_it(tmp_path, number):
    with _process([*RECORD, "--seconds", "600", "--json", str(tmp_path / "a.db3")], text=True) as process:
        while not list(tmp_path.glob(".a.*.partial.db3")):
            assert process.poll() is None
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["framesets"] >= 1
    assert sorted(os.listdir(tmp_path)) == ["a.db3", "a.json"]


def test_a_file_size_limit_cuts_the_recording_short_and_keeps_it(tmp_path):
    """As a full disk: librealsense goes on without a word."""
    limit = 1_000_000  # a few frames
    with _process(
        [*RECORD, "--frames", "30", "--label", "bona_fide", "--subject", "s1", str(tmp_path / "a.db3")],
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    ) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    found = re.search(r"only (\d+) of \d+ framesets could be written: the disk is full, or a file size limit", err)
    assert found, err
    assert "what was recorded until then is kept in" in err
    assert sorted(os.listdir(tmp_path)) == ["a.db3", "a.json"]
    notes = read_notes(tmp_path / "a.db3")
    assert (notes.shown.label, notes.shown.subject, notes.ended) == (Label.BONA_FIDE, "s1", "write_failed")
    assert len(list(open_source(str(tmp_path / "a.db3")))) == notes.framesets == int(found[1])


@pytest.mark.parametrize(
    ("text", "size"), [("500M", 500 << 20), ("4G", 4 << 30), ("4GiB", 4 << 30), ("12", 12), ("7K", 7 << 10)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "4X", "-1G", "1.5G", "4 G", "G", "٤G"])
def test_wrong_sizes(text):
    with pytest.raises(UsageError, match="such as 4G"):
        parse_size(text)
