"""What a plan is cached under, where engines lie, and the machine's key."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edgefas.engines.runtime import EngineError
from edgefas.engines.runtime.machine_key import STATE_DIR, stamp
from edgefas.engines.runtime.plan import BatchRange, Device, PlanKey, engines_folder

KEY = PlanKey(
    device=Device(tensorrt="10.3.0", compute_capability="8.7", board="a board"),
    model_sha256="0" * 64,
    plugin_sha256=None,
    batches=(BatchRange(low=1, high=1),),
)


def test_every_part_of_the_key_counts() -> None:
    device = KEY.device
    others = [
        {"device": device.model_copy(update={"tensorrt": "10.3.1"})},
        {"device": device.model_copy(update={"compute_capability": "11.0"})},
        {"device": device.model_copy(update={"board": "another"})},
        {"model_sha256": "1" * 64},
        {"plugin_sha256": "0" * 64},
        {"batches": (BatchRange(low=1, high=2),)},
        {"settings": 2},
    ]
    digests = [KEY.digest(), *(KEY.model_copy(update=other).digest() for other in others)]
    assert len(set(digests)) == len(digests)
    assert KEY.model_copy().digest() == KEY.digest()


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("a/lite-int8", "a/lite-int8.engines"),
        ("m.efas", "m.engines"),
        ("a.b.onnx", "a.b.engines"),
        ("v1.2", "v1.2.engines"),
    ],
)
def test_engines_lie_beside_their_model(model: str, folder: str) -> None:
    assert engines_folder(Path(model)) == Path(folder)


def test_without_a_key_nothing_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_DIR, str(tmp_path))
    assert stamp(b"a") == ""
    made = stamp(b"a", make_key=True)
    assert len(made) == 64
    assert stamp(b"a") == made != stamp(b"b")


def test_builds_at_once_agree_on_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_DIR, str(tmp_path / "new"))
    stamps: list[str] = []
    threads = [threading.Thread(target=lambda: stamps.append(stamp(b"a", make_key=True))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stamps) == 8
    assert set(stamps) == {stamp(b"a")}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["plan.key"]


def test_a_damaged_key_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_DIR, str(tmp_path))
    (tmp_path / "plan.key").write_bytes(b"short")
    (tmp_path / "plan.key").chmod(0o600)
    with pytest.raises(EngineError, match=r"plan.key is damaged \(5 bytes"):
        stamp(b"a")


def test_a_state_folder_that_cannot_be_made_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(STATE_DIR, str(tmp_path / "file" / "state"))
    with pytest.raises(EngineError, match=f"cannot use .*{STATE_DIR}=FOLDER"):
        stamp(b"a", make_key=True)
