"""`edgefas keys` and `edgefas bundle` as a user types them, from keys to live decisions."""

from __future__ import annotations

import json
import shutil
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from edgefas.contracts import Policy, ScoreCalibration
from edgefas.deploy.bundle import HEADER_BYTES
from edgefas.deploy.pack import network_digest_of
from edgefas.engines.golden import GOLDEN_FILE
from tests.bundles import write_quantised, write_small_bundle
from tests.conftest import Run
from tests.engines.lowered import lowered_folder


@pytest.fixture(autouse=True)
def _own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trust folder of its own for each test."""
    monkeypatch.setenv("EDGEFAS_TRUST", str(tmp_path / "trust"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def quantised(tmp_path: Path) -> Path:
    return write_quantised(tmp_path / "small-int8")


CREATE = ("--release", 4, "--trained-on", "nothing")


def test_from_keys_to_a_verified_bundle(run: Run, quantised: Path, tmp_path: Path) -> None:
    bundle, key = tmp_path / "door.efas", tmp_path / "office"
    assert run("keys", "new", key)[0] == 0
    code, _, err = run("bundle", "create", quantised, "-o", bundle, *CREATE)
    assert code == 0, err
    code, _, err = run("bundle", "verify", bundle)
    assert code == 3
    assert "edgefas bundle sign" in err
    assert run("bundle", "sign", bundle, "--key", key)[0] == 0
    code, _, err = run("bundle", "verify", bundle)
    assert code == 3
    assert "edgefas keys trust" in err
    assert run("keys", "trust", f"{key}.pub", "--folder", tmp_path / "trust")[0] == 0
    code, out, _ = run("bundle", "verify", bundle)
    assert code == 0
    assert "signed by office" in out
    code, out, _ = run("bundle", "show", bundle, "--json")
    shown = json.loads(out)
    assert (code, shown["trust"], shown["signer"], shown["manifest"]["release"]) == (0, "signed", "office", 4)
    assert set(shown["manifest"]["members"]) == {"ort/model.onnx", "source/scales.json", "golden.npz", "policy.json"}
    assert run("keys", "revoke", f"{key}.pub", "--why", "lost", "--folder", tmp_path / "trust")[0] == 0
    code, _, err = run("bundle", "verify", bundle)
    assert code == 3
    assert "revoked" in err


def test_the_tensorrt_networks_come_along_unless_not_wanted(run: Run, tmp_path: Path) -> None:
    folder = lowered_folder(tmp_path / "net")
    shutil.copy(folder / "tensorrt" / "fp32-stock.onnx", folder / "model.onnx")
    for flag, wanted in (("--tensorrt", True), ("--no-tensorrt", False)):
        bundle = tmp_path / f"x{flag}.efas"
        code, _, err = run("bundle", "create", folder, "-o", bundle, *CREATE, flag)
        assert code == 0, err
        with zipfile.ZipFile(BytesIO(bundle.read_bytes()[HEADER_BYTES:])) as archive:
            assert any(name.startswith("tensorrt/") for name in archive.namelist()) is wanted


def test_equal_inputs_give_equal_bytes(run: Run, quantised: Path, tmp_path: Path) -> None:
    for name in ("a.efas", "b.efas"):
        assert run("bundle", "create", quantised, "-o", tmp_path / name, *CREATE)[0] == 0
    assert (tmp_path / "a.efas").read_bytes() == (tmp_path / "b.efas").read_bytes()


def calibrated(network_sha256: str) -> Policy:
    fitted = ScoreCalibration(
        model="small", model_sha256=network_sha256, slope=1, offset=0, correlation_ms=100,
        bona_fide_episodes=9, attack_episodes=9, frames=99,
    )  # fmt: skip
    return Policy(threshold=0.25, calibration=fitted)


def test_a_policy_belongs_to_the_network_not_to_the_bundle(run: Run, quantised: Path, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(calibrated(network_digest_of(quantised)).to_json())
    bundle = tmp_path / "p.efas"
    code, _, err = run("bundle", "create", quantised, "-o", bundle, *CREATE, "--policy", tmp_path / "p.json")
    assert code == 0, err
    shown = json.loads(run("bundle", "show", bundle, "--allow-unsigned", "--json")[1])
    assert shown["policy"]["threshold"] == 0.25
    assert shown["network_sha256"] == network_digest_of(quantised)
    (tmp_path / "p.json").write_text(calibrated("ab" * 32).to_json())
    code, _, err = run("bundle", "create", quantised, "-o", bundle, *CREATE, "--policy", tmp_path / "p.json")
    assert code == 2
    assert "calibrate again" in err


def test_built_engines_are_named_by_which_is_in_service(tmp_path: Path) -> None:
    digests = set()
    for manifest in (b"one", b"another"):
        (tmp_path / "engine.json").write_bytes(manifest)
        digests.add(network_digest_of(tmp_path))
    assert len(digests) == 2


def test_a_network_that_fails_its_golden_vectors_is_not_packed(run: Run, quantised: Path, tmp_path: Path) -> None:
    with np.load(quantised / GOLDEN_FILE) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["score"] = changed["score"] + 1
    np.savez(quantised / GOLDEN_FILE, **changed)
    code, _, err = run("bundle", "create", quantised, "-o", tmp_path / "x.efas", *CREATE)
    assert code == 3
    assert "golden frame" in err
    assert not (tmp_path / "x.efas").exists()


def test_diff_names_what_changed(run: Run, quantised: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.efas", tmp_path / "new.efas"
    (tmp_path / "p.json").write_text(Policy(threshold=0.5).to_json())
    run("bundle", "create", quantised, "-o", old, *CREATE)
    run(
        "bundle",
        "create",
        quantised,
        "-o",
        new,
        "--release",
        5,
        "--trained-on",
        "nothing",
        "--policy",
        tmp_path / "p.json",
    )
    code, out, _ = run("bundle", "diff", old, new, "--allow-unsigned", "--json")
    assert code == 0
    assert json.loads(out)["changed"] == {
        "manifest.release": {"old": 4, "new": 5},
        "policy.threshold": {"old": 0.0, "new": 0.5},
    }
    assert "no difference" in run("bundle", "diff", old, old, "--allow-unsigned")[1]


def test_a_passphrase_comes_from_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("open sesame\n")
    (tmp_path / "wrong").write_text("open says me\n")
    (tmp_path / "empty").write_text("\nx")
    bundle, key = write_small_bundle(tmp_path / "s.efas"), tmp_path / "k"
    assert run("keys", "new", key, "--passphrase-file", tmp_path / "pass")[0] == 0
    assert run("bundle", "sign", bundle, "--key", key, "--passphrase-file", tmp_path / "pass")[0] == 0
    code, _, err = run("bundle", "sign", bundle, "--key", key, "--passphrase-file", tmp_path / "wrong")
    assert (code, "wrong passphrase" in err) == (1, True)
    assert run("bundle", "sign", bundle, "--key", key, "--passphrase-file", tmp_path / "empty")[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("keys", "trust", "none.pub"), 1, "cannot read the key"),
        (("keys", "revoke", "none", "--why", "x"), 2, "neither an id"),
        (("keys", "trust", "x.pub", "--folder", "/x", "--system"), 2, "exclude each other"),
        (("bundle", "verify", "none.efas"), 3, "No such file"),
        (("bundle", "show", "none.efas"), 1, "No such file"),
        (("bundle", "create", "none", "-o", "x.efas", *CREATE), 2, "edgefas quantize"),
        (("bundle", "create", "none", "-o", "x.efas", "--release", 0, "--trained-on", "x"), 2, "release"),
        (("bundle", "sign", "none.efas", "--key", "none"), 1, "cannot read the key"),
        (("bundle",), 2, "Usage"),
    ],
)
def test_bad_words_end_shortly(run: Run, words: tuple[object, ...], code: int, text: str) -> None:
    found, out, err = run(*words)
    assert found == code
    assert text in out + err


def test_list_shows_names_and_reasons(run: Run, tmp_path: Path) -> None:
    assert "no key is trusted" in run("keys", "list")[1]
    made = json.loads(run("keys", "new", tmp_path / "k", "--json")[1])["id"]
    run("keys", "trust", tmp_path / "k.pub", "--name", "office", "--folder", tmp_path / "trust")
    run("keys", "revoke", "00" * 16, "--why", "old", "--folder", tmp_path / "trust")
    assert json.loads(run("keys", "list", "--json")[1])["keys"] == [
        {"id": made, "name": "office", "revoked": None},
        {"id": "00" * 16, "name": None, "revoked": "old"},
    ]
    assert "office" in run("keys", "list")[1]
