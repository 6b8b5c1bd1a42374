"""`edgefas calibrate` from recordings to a policy that `edgefas live` takes, and every wrong argument."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefas.calibration import episodes
from edgefas.cli.main import run
from edgefas.contracts import Label, Policy
from edgefas.errors import UsageError
from edgefas.live import loop
from edgefas.sensors.folder import write_folder
from tests.bundles import write_small_bundle
from tests.scenes import face, noise_frame

FRAMES, EACH = 4, 4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.efas")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Surfaces before (bona fide) and behind (attack) 500 mm, which the network tells by their mean depth."""
    root = tmp_path_factory.mktemp("clips")
    for label, z_mm in (("bona_fide", 460), ("attack", 520)):
        for clip in range(EACH):
            frames = [noise_frame(n, seed=10 * clip + n, z_mm=z_mm + 7 * clip) for n in range(1, FRAMES + 1)]
            write_folder(root / f"{label}{clip}", frames)
            (root / f"{label}{clip}.json").write_text(json.dumps({"label": label, "note": "spoken by the recorder"}))
    return root


@pytest.fixture(autouse=True)
def a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise shows no face; the detector is not what is tested here."""
    monkeypatch.setattr(episodes, "decide_stream", partial(loop.decide_stream, detect=lambda frame, last: [face()]))


def names(clips: Path, label: str) -> list[str]:
    return [f"dir:{clips / f'{label}{clip}'}" for clip in range(EACH)]


def calibrate(bundle: Path, *arguments: str) -> int:
    return run(["calibrate", "--model", str(bundle), "--allow-unsigned", *arguments])


@pytest.fixture(scope="module")
def fitted(bundle: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("policy") / "policy.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(episodes, "decide_stream", partial(loop.decide_stream, detect=lambda frame, last: [face()]))
        every = names(clips, "bona_fide") + names(clips, "attack")
        assert calibrate(bundle, *every, "-o", str(out), "--max-apcer", "0.1", "--max-bpcer", "0.1") == 0
    return out


def test_a_policy_comes_of_labelled_recordings(fitted: Path) -> None:
    policy = Policy.from_json(fitted.read_bytes())
    assert policy.calibration is not None
    assert policy.calibration.model == "small"
    assert policy.calibration.frames == 2 * EACH * FRAMES
    assert policy.calibration.slope > 0
    assert (policy.temporal.sprt.max_apcer, policy.temporal.sprt.max_bpcer) == (0.1, 0.1)


def test_labels_by_flag_give_the_same(
    bundle: Path, clips: Path, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [part for name in names(clips, "bona_fide") for part in ("--bona-fide", name)]
    flags += [part for name in names(clips, "attack") for part in ("--attack", name)]
    out = tmp_path / "p.json"
    targets = ("--max-apcer", "0.1", "--max-bpcer", "0.1")
    assert calibrate(bundle, *flags, "-o", str(out), *targets, "--json") == 0
    assert out.read_bytes() == fitted.read_bytes()
    document = json.loads(capsys.readouterr().out)
    assert document["held_out"]["reached"]["attacks_accepted"]["total"] == EACH
    assert document["rates"]["apcer"]["attack"] == {
        "share": 0,
        "recordings": EACH,
        "low": 0,
        "high": pytest.approx(1 - 0.025 ** (1 / EACH)),
    }
    assert document["left_out"] == []
    assert document["calibration"]["correlation_from"] == "recordings"
    assert set(document["calibration"]) >= {"model", "model_sha256", "slope", "offset", "correlation_ms"}


def test_the_table_shows_intervals_and_what_recordings_cannot_show(
    bundle: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = names(clips, "bona_fide") + names(clips, "attack")
    assert calibrate(bundle, *every, "-o", str(tmp_path / "p.json")) == 0
    out, err = capsys.readouterr()
    assert "95 % interval" in out
    assert f"edgefas live --policy {tmp_path / 'p.json'}" in out.replace("\n", "")
    assert f"attacks accepted: {EACH} attack recordings, 0.00% wrong, cannot show 1.00% with 95 % certainty" in out
    assert "it takes 299 without an error" in out
    assert "never decided" in err, "four recordings cannot give the evidence for one in a hundred"


def live(clips: Path, bundle: Path, policy: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[Any], str]:
    code = run(
        ["live", "--camera", f"dir:{clips / 'bona_fide0'}", "--model", str(bundle), "--allow-unsigned", "--json",
         "--policy", str(policy)]
    )  # fmt: skip
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_live_decides_by_it(clips: Path, bundle: Path, fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, err = live(clips, bundle, fitted, capsys)
    assert code == 0
    assert "frames vote" not in err
    assert {row["state"]["rule"] for row in rows} == {"sprt"}
    assert {row["state"]["evidence"] for row in rows} == {0.0}, "noise shows no face"


def test_live_says_that_frames_vote(
    clips: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain.json").write_text('{"threshold": 0.25}')
    code, rows, err = live(clips, bundle, tmp_path / "plain.json", capsys)
    assert code == 0
    assert "no score calibration" in err
    assert "edgefas calibrate" in err
    assert {row["state"]["rule"] for row in rows} == {"vote"}


def test_a_policy_of_another_model_is_refused(
    clips: Path, bundle: Path, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(fitted.read_bytes())
    content["calibration"]["model_sha256"] = "ab" * 32
    (tmp_path / "other.json").write_text(json.dumps(content))
    code, rows, err = live(clips, bundle, tmp_path / "other.json", capsys)
    assert (code, rows) == (2, [])
    assert "was calibrated for small (abababababab" in err


@pytest.mark.parametrize(
    ("text", "words"), [('{"treshold": 1}', "did you mean 'threshold'"), ("[", "Invalid JSON"), (None, "cannot read")]
)
def test_a_broken_policy_is_refused(
    clips: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / "p.json").write_text(text)
    code, rows, err = live(clips, bundle, tmp_path / "p.json", capsys)
    assert code != 0
    assert rows == []
    assert words in err
    assert "p.json" in err


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("a.json", {"label": "attack"}),
        ("a.db3.json", {"label": "attack"}),
        ("a.json", {"schema_version": 1, "shown": {"label": "attack", "species": "flat_print"}, "size_bytes": 3}),
    ],
)
def test_labels_are_read_where_they_may_lie(tmp_path: Path, name: str, notes: dict[str, Any]) -> None:
    (tmp_path / "a.db3").write_text("abc")
    (tmp_path / name).write_text(json.dumps(notes))
    assert episodes.label_of(str(tmp_path / "a.db3")) is Label.ATTACK
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "recording.json").write_text(json.dumps({"shown": notes.get("shown", notes)}))
    assert episodes.label_of(f"dir:{tmp_path / 'folder'}") is Label.ATTACK


def test_notes_of_another_recording_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db3").write_text("abcd")
    (tmp_path / "a.json").write_text('{"shown": {"label": "attack"}, "size_bytes": 3}')
    with pytest.raises(UsageError, match=r"describes a recording of 3 bytes, .*a.db3 has 4"):
        episodes.label_of(str(tmp_path / "a.db3"))


def test_species_and_subject_are_read_beside_the_label(tmp_path: Path) -> None:
    (tmp_path / "a.db3").write_text("abc")
    shown = {"label": "attack", "species": "flat_print", "subject": "s7", "note": ""}
    (tmp_path / "a.json").write_text(json.dumps({"shown": shown}))
    assert episodes.shown_in(str(tmp_path / "a.db3")) == episodes.Presented(Label.ATTACK, "flat_print", "s7")
    (tmp_path / "a.json").write_text(json.dumps({"shown": shown | {"species": None, "subject": None}}))
    assert episodes.shown_in(str(tmp_path / "a.db3")) == episodes.Presented(Label.ATTACK)


def test_targets_of_frames_set_the_threshold_and_rates_are_per_species(
    bundle: Path, clips: Path, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recordings of the fixture under other names and in another order, with species: the same data."""
    named = []
    for old in reversed([*names(clips, "bona_fide"), *names(clips, "attack")]):
        clip = Path(old.removeprefix("dir:"))
        new = tmp_path / f"x{len(named)}"
        shutil.copytree(clip, new)
        shown = {"label": "attack", "species": "mask"} if "attack" in clip.name else {"label": "bona_fide"}
        new.with_suffix(".json").write_text(json.dumps({"shown": shown}))
        named.append(f"dir:{new}")
    out = tmp_path / "p.json"
    assert calibrate(bundle, *named, "-o", str(out), "--target-bpcer", "0.25", "--json") == 0
    document, policy = json.loads(capsys.readouterr().out), Policy.from_json(out.read_bytes())
    assert policy.calibration is not None
    other = Policy.from_json(fitted.read_bytes())
    assert other.calibration is not None
    assert policy.calibration.data_sha256 == other.calibration.data_sha256
    assert policy.calibration.slope == pytest.approx(other.calibration.slope)
    assert policy.threshold > other.threshold, "one in four bona fide may be lost"
    assert 0 < document["rates"]["bpcer"]["share"] <= 0.25
    assert set(document["rates"]["apcer"]) == {"mask"}
    assert [goal["target"] for goal in document["goals"]] == [0.25, 0.01]
    assert document["held_out"]["reached"] is not None
    (tmp_path / "x0" / "extra.txt").write_text("one byte more is other data")
    assert calibrate(bundle, *named, "-o", str(out)) == 0
    changed = Policy.from_json(out.read_bytes()).calibration
    assert changed is not None
    assert changed.data_sha256 != policy.calibration.data_sha256


def test_a_copy_of_a_recording_is_refused(
    bundle: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(clips / "attack0", tmp_path / "again")
    every = [*names(clips, "bona_fide"), *names(clips, "attack"), "--attack", f"dir:{tmp_path / 'again'}"]
    assert calibrate(bundle, *every, "-o", str(tmp_path / "never.json")) == 2
    assert "are the same, byte for byte" in capsys.readouterr().err
    assert not (tmp_path / "never.json").exists()


def test_wrong_arguments(bundle: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alive, spoof = names(clips, "bona_fide"), names(clips, "attack")
    unlabelled = tmp_path / "x.db3"
    unlabelled.write_text("")
    for content in ('{"label": "maybe"}', "{}", "[1]", "nonsense", '{"shown": {"label": null}}'):
        unlabelled.with_suffix(".json").write_text(content)
        assert calibrate(bundle, str(unlabelled)) == 2
        assert 'x.json: must hold {"label": ...}, bona_fide or attack' in capsys.readouterr().err
    cases: list[tuple[list[str], int, str]] = [
        ([], 2, "no recordings"),
        ([str(tmp_path / "none.db3")], 2, "has no label: none.json is not there"),
        (alive, 2, "no recording is attack"),
        (spoof, 2, "no recording is bona_fide"),
        ([*alive, *spoof, spoof[0]], 2, "is given twice"),
        ([*alive[:2], *spoof], 1, "2 bona_fide, 4 attack recordings with scores; a calibration needs at least 4"),
        (["--bona-fide", "realsense", "--attack", "simulated"], 2, "edgefas record"),
        (["--bona-fide", alive[0], "--attack", f"dir:{tmp_path / 'none'}"], 1, "none"),
        ([*alive, *spoof, "--max-apcer", "0.5", "--max-bpcer", "0.5"], 2, "ask for nothing"),
        ([*alive, *spoof, "--max-apcer", "0"], 2, "max-apcer"),
        ([*alive, *spoof, "--scores", "a.csv"], 2, "give one of them"),
        ([*alive, *spoof, "--max-apcer", "nan"], 2, "max-apcer"),
    ]
    for arguments, code, words in cases:
        out = tmp_path / "never.json"
        assert calibrate(bundle, *arguments, "-o", str(out)) == code, arguments
        assert words in capsys.readouterr().err, arguments
        assert not out.exists()


def test_mixed_up_labels_are_refused(
    bundle: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [part for name in names(clips, "attack") for part in ("--bona-fide", name)]
    flags += [part for name in names(clips, "bona_fide") for part in ("--attack", name)]
    assert calibrate(bundle, *flags, "-o", str(tmp_path / "p.json")) == 1
    assert "labels are mixed up" in capsys.readouterr().err


def test_recordings_without_a_face_are_named_and_left_out(
    bundle: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episodes, "decide_stream", partial(loop.decide_stream, detect=lambda frame, last: []))
    assert calibrate(bundle, *names(clips, "bona_fide"), *names(clips, "attack"), "-o", str(tmp_path / "p.json")) == 1
    err = capsys.readouterr().err
    assert "bona_fide0 (0 of 4 frames scored)" in err
    assert "0 bona_fide, 0 attack recordings with scores" in err


def test_a_network_that_gives_nan_is_refused(
    bundle: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgefas.engines.runtime.engine import Engine

    monkeypatch.setattr(Engine, "score", lambda self, inputs: np.array([np.nan], np.float32))
    every = [*names(clips, "bona_fide"), *names(clips, "attack")]
    assert calibrate(bundle, *every, "-o", str(tmp_path / "p.json")) == 1
    assert "gave NaN or infinity for frame" in capsys.readouterr().err
