"""`edgefas data check` as a user runs it: every planted fault is found and named, and a sound set passes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefas.data import Kind, check_files, check_lists, open_dataset, require_sound
from edgefas.errors import CheckFailed
from tests.conftest import Run
from tests.data import rgb_trees, trees
from tests.data.faults import PLANT, Edit, append, edit, overwrite, remove, surf_line


def _leak_of_a_subject(root: Path) -> None:
    """A test clip of a training subject, with its files."""
    folder = "Testing/fake_part/CLKJ_AS0001/01_e_s.rssdk"
    trees.put_modalities(root / folder, ["0001.jpg"])
    append("test_private_list.txt", surf_line(folder, 0))(root)


def _confound(root: Path) -> None:
    """As the authors' lists are: bona fide from one device, attacks from another."""
    trees.cefa_paper(root, devices=(1, 3))


REAL = "Training/real_part/CLKJ_AS0000/real.rssdk"
VAL, CSV = "val_private_list.txt", "captures.csv"
TWICE = " ".join(f"Val/0000/000000-{modality}.jpg" for modality in ("color", "depth", "ir"))
TEST_LABELS, SAME = "metas/intra_test/test_label.json", f"./{REAL}//."

# What reads well and is not sound: exit 3, told by kind, with examples.
FAULTS: dict[tuple[str, str], list[tuple[Edit, Kind, str]]] = {
    ("casia-surf", "challenge"): [
        (_leak_of_a_subject, Kind.SHARED_SUBJECTS, "train and test share 1 of the subjects: CLKJ_AS0001 (train_list.t"),
        (_leak_of_a_subject, Kind.SHARED_SUBJECTS, "line 9, test_private_list.txt, line 5)"),
        (append(VAL, surf_line(REAL, 1)), Kind.SHARED_PATHS, f"share 1 of the files of rgb: {REAL}/color/0001.jpg (tr"),
        (append(VAL, surf_line(REAL, 1)), Kind.SHARED_PATHS, "train_list.txt, line 1, val_private_list.txt, line 4)"),
        (append(VAL, surf_line(SAME, 1)), Kind.SHARED_PATHS, "two splits share 1 of the files of ir"),
        (append("train_list.txt", surf_line(REAL, 1)), Kind.REPEATED, "1 of the files of depth twice (0 with contrary"),
        (append(VAL, f"{TWICE} 0"), Kind.REPEATED, "(1 with contrary labels): Val/0000/000000-color.jpg (val_private"),
        (remove(f"{REAL}/ir/0002.jpg"), Kind.MISSING, f"missing files: 1: {REAL}/ir/0002.jpg (train_list.txt, line 2)"),
        (edit(VAL, ".jpg 1", ".jpg 0"), Kind.ONE_CLASS, "dev has attacks only"),
        (overwrite(f"{REAL}/depth/0001.jpg", trees.picture(9)[:-40]), Kind.UNREADABLE, "depth/0001.jpg is cut short"),
    ],
    ("cefa", "4.1"): [
        (_confound, Kind.CONFOUND, "the device alone tells the label in train: bag has 0 bona fide and 2 attacks, rss"),
    ],
    ("msu-mfsd", "official"): [
        (append("test_sub_list.txt", "07"), Kind.SHARED_SUBJECTS, "client007 (train_sub_list.txt, line 5, test_sub_li"),
    ],
    ("wmca", "grandtest"): [
        (append("PROTOCOL-grandtest.csv", "1.2.18/001_05_000_0_00,0,00,eval"), Kind.SHARED_SUBJECTS, "subjects: 001 ("),
    ],
    ("celeba-spoof", "intra_test"): [
        (edit(TEST_LABELS, "test/900/live", "test/103/live"), Kind.SHARED_SUBJECTS, "train and test share 1 of the su"),
    ],
    ("folder", "captures"): [
        (append(CSV, "dienstag/p1 echt,test,,,"), Kind.SHARED_SUBJECTS, "p1 (captures.csv, line 2, captures.csv, line"),
        (append(CSV, "dienstag/p1 echt,test,,,"), Kind.SHARED_PATHS, "two splits share 2 of the files of depth"),
    ],
}  # fmt: skip
FLAT = [(name, protocol, *fault) for (name, protocol), faults in FAULTS.items() for fault in faults]


@pytest.mark.parametrize(
    ("name", "protocol", "fault", "kind", "said"),
    FLAT,
    ids=[f"{name} {kind.value} {said}" for name, _, _, kind, said in FLAT],
)
def test_a_fault_is_found_and_named(
    tmp_path: Path, run: Run, name: str, protocol: str, fault: Edit, kind: Kind, said: str
) -> None:
    PLANT[name, protocol](tmp_path)
    words = ("data", "check", tmp_path, "--dataset", name, "--protocol", protocol)
    decode = "--decode" if kind is Kind.UNREADABLE else "--no-decode"
    allowed = ("--allow", "missing") if name == "wmca" else ()  # its tree is planted without files
    assert run(*words, decode, *allowed)[0] == 0
    fault(tmp_path)
    code, out, err = run(*words, decode, *allowed)
    assert code == 3
    assert said in out
    assert kind.value in err
    code, out, _ = run(*words, decode, "--json")
    assert code == 3
    found = {problem["kind"] for problem in json.loads(out)["problems"]}
    assert kind.value in found
    code, out, err = run(*words, decode, *(word for each in found for word in ("--allow", each)))
    assert (code, err) == (0, "")
    assert said in out


def test_json_has_the_counts(tmp_path: Path, run: Run) -> None:
    expected = rgb_trees.oulu_npu(tmp_path)
    code, out, err = run("data", "check", tmp_path, "--dataset", "oulu-npu", "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["counts"] == expected
    assert (report["dataset"], report["protocol"], report["files"]) == ("oulu-npu", "1", "decoded")
    assert report["subjects"] == {"train": 1, "dev": 1, "test": 1}
    assert report["lists"][0] == {
        "file": "Protocols/Protocol_1/Train.txt",
        "form": "OULU-NPU protocol (+1 = bona fide, negative = attack)",
        "columns": ["rgb"],
        "lines": 5,
        "checked": 5,
    }


def test_the_table_has_the_counts_and_the_polarity(tmp_path: Path, run: Run) -> None:
    trees.casia_surf_challenge(tmp_path)
    code, out, _ = run("data", "check", tmp_path, "--dataset", "casia-surf")
    assert code == 0
    assert out.split("\n")[2].split() == ["bona_fide", "4", "1", "1"]
    assert "train_list.txt: CASIA-SURF challenge list (1 = bona fide, 0 = attack); 16 of 16 labels confirmed" in out
    assert "val_private_list.txt: CASIA-SURF challenge list (1 = bona fide, 0 = attack); 0 of 3 labels" in out
    assert "23 samples, a picture of each sample read, no problems" in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--dataset", "surf"], 2, "no data set 'surf'"),
        (["--dataset", "casia-surf", "--protocol", "p1"], 2, "has no protocol 'p1'; allowed: challenge, paper"),
        (["--dataset", "casia-surf", "--allow", "leak"], 2, "--allow 'leak': expected one of shared_subjects"),
        ([], 2, "--dataset"),
        (["--dataset", "casia-surf"], 1, "no such folder"),
    ],
)
def test_usage(tmp_path: Path, run: Run, words: list[str], code: int, said: str) -> None:
    found, out, err = run("data", "check", tmp_path / "nowhere", *words)
    assert (found, out) == (code, "")
    assert said in err


def test_list_names_every_set(run: Run) -> None:
    code, out, _ = run("data", "list", "--json")
    assert code == 0
    assert json.loads(out)["wmca"]["protocols"][:2] == ["grandtest", "LOO_fakehead"]
    code, out, _ = run("data", "list")
    assert all(name in out for name in ("casia-surf", "cefa", "hq-wmca", "celeba-spoof", "msu-mfsd", "folder"))


def test_require_sound_refuses_a_leak_unless_told_otherwise(tmp_path: Path) -> None:
    trees.casia_surf_challenge(tmp_path)
    require_sound(open_dataset("casia-surf", tmp_path))
    _leak_of_a_subject(tmp_path)
    table = open_dataset("casia-surf", tmp_path)
    with pytest.raises(
        CheckFailed, match=r"leaks: train and test share 1 of the subjects: CLKJ_AS0001.*edgefas data check"
    ):
        require_sound(table)
    with pytest.raises(CheckFailed):
        require_sound(table, allow={Kind.SHARED_PATHS, Kind.CONFOUND})
    require_sound(table, allow={Kind.SHARED_SUBJECTS})


def test_a_confound_is_no_leak(tmp_path: Path) -> None:
    trees.cefa_paper(tmp_path, devices=(1, 3))
    table = open_dataset("cefa", tmp_path, "4.1")
    assert {problem.kind for problem in check_lists(table).problems} == {Kind.CONFOUND}
    require_sound(table)


def _own(root: Path, rows: list[str]) -> set[Kind]:
    trees.put_lines(root / "captures.csv", ["rgb,split,label,subject,session,device", *rows])
    return {problem.kind for problem in check_lists(open_dataset("folder", root)).problems}


def test_sessions_that_several_people_share_are_judged(tmp_path: Path) -> None:
    """Attacks that were all recorded on another day; not the sessions of one recording each."""
    days = [
        f"{p}{label}.png,train,{label},p{p},{day}," for label, day in (("bona_fide", 1), ("attack", 2)) for p in "ab"
    ]
    assert _own(tmp_path, days) == {Kind.CONFOUND}
    recordings = [f"{p}{label}.png,train,{label},p{p},{p}{label}," for label in ("bona_fide", "attack") for p in "ab"]
    assert _own(tmp_path, recordings) == set()
    mixed = [*days, "c.png,train,attack,pc,1,"]
    assert _own(tmp_path, mixed) == set()


@pytest.mark.parametrize(
    ("devices", "kinds"),
    [(("x", "x"), set()), (("x", "y"), {Kind.CONFOUND}), (("", "y"), set()), (("x", ""), set())],
)
def test_devices_are_judged_where_they_are_known(tmp_path: Path, devices: tuple[str, str], kinds: set[Kind]) -> None:
    rows = [
        f"{n}.png,train,{label},p{n},,{d}"
        for n, (label, d) in enumerate(zip(("bona_fide", "attack"), devices, strict=True))
    ]
    assert _own(tmp_path, rows) == kinds


def test_missing_files_are_counted_once(tmp_path: Path) -> None:
    """Depth, infrared and thermal lie in one file."""
    trees.wmca(tmp_path)
    next(tmp_path.glob("*CDIT/*/*/001_01_000_0_00.hdf5")).unlink()
    table = open_dataset("wmca", tmp_path)
    [problem] = check_files(table, check_lists(table), decode=True).problems
    assert (problem.kind, problem.count) == (Kind.MISSING, 1)


def test_equal_hashes_of_paths_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two paths with one 64-bit hash must not be called one file."""
    trees.casia_surf_challenge(tmp_path)
    table = open_dataset("casia-surf", tmp_path)
    monkeypatch.setattr("edgefas.data.check._path_keys", lambda column: np.zeros(len(column.codes), np.int64))
    assert check_lists(table).problems == ()
    assert check_lists(replace(table, notes=())).samples == len(table)
