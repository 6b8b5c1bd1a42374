"""Calibration sets from folders of frames, recordings and simulated data: what is picked, and what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgefas.calibration import collect
from edgefas.calibration.collect import CalibrationManifest, Candidates, candidates_of, pick, write_set
from edgefas.calibration.fingerprint import source_sha256
from edgefas.calibration.frames import CalibrationSetError, load_frames
from edgefas.cli.main import run
from edgefas.contracts import BoxCrop, DepthInput, FaceBox, InputSpec, Label, RGBInput
from edgefas.errors import UsageError
from edgefas.sensors.frame import Frame
from tests.engines.graphs import IR_SPEC, saved, small_net
from tests.scenes import face, noise_frame

BAG = Path(__file__).parent.parent / "sensors" / "fixtures" / "color_depth.bag"


def offer(source: str, label: Label, count: int, seed: int) -> Candidates:
    inputs = np.random.default_rng(seed).normal(size=(count, 1, 16, 16)).astype(np.float32)
    return Candidates(source, label, "0" * 64, [100 * seed + i for i in range(count)], {"ir": inputs})


OFFERS = [offer("a.db3", Label.BONA_FIDE, 30, 1), offer("b.db3", Label.ATTACK, 4, 2), offer("c", Label.ATTACK, 30, 3)]


def test_manifest_says_where_every_row_comes_from(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set.npz", OFFERS, 16, 0, IR_SPEC)
    rows = load_frames(tmp_path / "set.npz", IR_SPEC)["ir"]
    expected = [
        offer.inputs["ir"][number - offer.numbers[0]]
        for offer, entry in zip(OFFERS, manifest.sources, strict=True)
        for number in entry.picked
    ]
    np.testing.assert_array_equal(rows, expected)
    assert [len(entry.picked) for entry in manifest.sources] == [6, 4, 6]
    assert manifest == CalibrationManifest.from_json((tmp_path / "set.json").read_bytes())
    assert manifest.sha256 == hashlib.sha256((tmp_path / "set.npz").read_bytes()).hexdigest()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set.json", "set.npz"]


def test_equal_calls_pick_equally_and_seeds_differ() -> None:
    assert pick(OFFERS, 12, 5) == pick(OFFERS, 12, 5)
    assert pick(OFFERS, 12, 5) != pick(OFFERS, 12, 6)


@pytest.mark.parametrize("label", Label)
def test_one_class_is_refused(label: Label) -> None:
    with pytest.raises(CalibrationSetError, match=f"here is {label.value}.*--bona-fide and --attack"):
        pick([offer("a", label, 9, 1), offer("b", label, 9, 2)], 4, 0)
    with pytest.raises(CalibrationSetError, match="here is nothing"):
        pick([], 4, 0)


def test_every_source_must_fit() -> None:
    with pytest.raises(UsageError, match="--count 2 cannot cover 3 sources"):
        pick(OFFERS, 2, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_refused_by_frame(bad: float) -> None:
    spoilt = offer("spoilt.db3", Label.ATTACK, 5, 7)
    spoilt.inputs["ir"][3, 0, 2, 2] = bad
    with pytest.raises(CalibrationSetError, match=r"spoilt.db3: ir of frame 703 holds NaN"):
        pick([OFFERS[0], spoilt], 4, 0)


def test_wrong_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name it set.npz"):
        write_set(tmp_path / "set.zip", OFFERS, 16, 0, IR_SPEC)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A recording of ten frames; the face of every third is missing, one is too near, one has no infrared."""

    def frames(source: str) -> Iterator[Frame]:
        for number in range(10):
            yield noise_frame(number, seed=number, **({"ir_lit": None} if number == 5 else {}))

    def detect(frame: Frame, last: FaceBox | None) -> list[FaceBox]:
        return [] if frame.number % 3 == 0 else [face(z_mm=200 if frame.number == 4 else 500)]

    monkeypatch.setattr(collect, "_frames", frames)
    monkeypatch.setattr(collect, "detect_faces", detect)
    path = tmp_path / "clip.db3"
    path.write_bytes(b"recorded")
    return path


def test_only_frames_that_would_be_scored_are_candidates(moments: Path) -> None:
    found = candidates_of(str(moments), Label.ATTACK, IR_SPEC)
    assert found.numbers == [1, 2, 7, 8]
    assert found.inputs["ir"].shape == (4, 1, 16, 16)
    assert found.sha256 == hashlib.sha256(b"recorded").hexdigest()


def test_long_recordings_are_thinned_evenly(moments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "MAX_CANDIDATES", 2)
    assert candidates_of(str(moments), Label.ATTACK, IR_SPEC).numbers == [1, 7]


def test_a_source_without_faces_is_refused(moments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "detect_faces", lambda frame, last: [])
    with pytest.raises(CalibrationSetError, match=r"clip.db3: no frame has a face within 300 to 1100 mm"):
        candidates_of(str(moments), Label.ATTACK, IR_SPEC)


def test_live_cameras_are_refused() -> None:
    with pytest.raises(UsageError, match="edgefas record"):
        candidates_of("realsense:0123", Label.BONA_FIDE, IR_SPEC)


def test_hash_of_a_folder_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    first = source_sha256(f"dir:{tmp_path}")
    assert first == source_sha256(f"dir:{tmp_path}")
    (tmp_path / "a.png").write_bytes(b"2")
    second = source_sha256(f"dir:{tmp_path}")
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert len({first, second, source_sha256(f"dir:{tmp_path}")}) == 3


def test_hash_of_a_video_is_that_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "a,b.mp4").write_bytes(b"moving")
    for source in (f"video:{tmp_path}/a,b.mp4,role=ir,fov=70", f"video:{tmp_path}/a,b.mp4", f"{tmp_path}/a,b.mp4"):
        assert source_sha256(source) == hashlib.sha256(b"moving").hexdigest()


def test_command_on_simulated_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(collect, "SIMULATED_FRAMES", 1)
    model, out = saved(small_net(), tmp_path / "m.onnx"), tmp_path / "set.npz"
    sources = ["--bona-fide", "simulated:subject=1", "--attack", "simulated:species=flat_print,subject=2"]
    assert run(["collect", str(model), *sources, "--count", "2", "-o", str(out), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert [entry["label"] for entry in manifest["sources"]] == ["bona_fide", "attack"]
    assert [len(entry["picked"]) for entry in manifest["sources"]] == [1, 1]
    assert load_frames(out, IR_SPEC)["ir"].shape == (2, 1, 16, 16)
    assert run(["collect", str(model), *sources[:2], "-o", str(out)]) == 1
    assert "here is bona_fide" in capsys.readouterr().err
    assert run(["collect", str(model), "-o", str(out)]) == 2


def test_command_on_recordings_of_librealsense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recorded by `edgefas record`, detected, gated and preprocessed: nothing is replaced here."""
    model, out = saved(small_net(), tmp_path / "m.onnx"), tmp_path / "set.npz"
    clips = {"--bona-fide": "subject=1", "--attack": "species=flat_print,subject=2"}
    sources: list[str] = []
    for flag, options in clips.items():
        clip = tmp_path / f"{flag[2:]}.db3"
        assert run(["record", "--camera", f"simulated:frames=2,{options}", "--frames", "4", str(clip)]) == 0
        sources += [flag, str(clip)]
    capsys.readouterr()
    assert run(["collect", str(model), *sources, "--count", "4", "-o", str(out), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["sources"]
    assert [entry["label"] for entry in entries] == ["bona_fide", "attack"]
    for entry, path in zip(entries, sources[1::2], strict=True):
        assert entry["sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()
        assert 1 <= len(entry["picked"]) <= entry["candidates"]
    rows = load_frames(out, IR_SPEC)["ir"]
    assert len(rows) == sum(len(entry["picked"]) for entry in entries)
    assert rows.std() > 0.05, "pictures, no blanks"


def test_an_old_rosbag_is_read_and_what_it_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds flat colours and a depth of 501 to 510 mm, and no infrared; a face is claimed in the middle."""
    claimed = FaceBox(x_px=50, y_px=30, width_px=60, height_px=60, median_z_mm=505)
    monkeypatch.setattr(collect, "detect_faces", lambda frame, last: [claimed])
    monkeypatch.setattr(collect, "gate", lambda frame, face, spec, policy: None)
    box, side = BoxCrop(scale=1.2), {"height_px": 16, "width_px": 16}
    found = candidates_of(str(BAG), Label.ATTACK, InputSpec(crop=box, rgb=RGBInput(**side), depth=DepthInput(**side)))
    assert 8 <= len(found.numbers) <= 10
    red = found.inputs["rgb"][:, 0].mean((1, 2))
    assert np.all(np.diff(red) > 0), "each frame is redder than the one before"
    np.testing.assert_allclose(found.inputs["rgb"].std((2, 3)), 0, atol=1e-5)
    with pytest.raises(CalibrationSetError, match=r"color_depth.bag: no frame has .* the streams this network takes"):
        candidates_of(str(BAG), Label.ATTACK, IR_SPEC)
