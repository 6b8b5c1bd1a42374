"""Every layout: samples, labels, species, splits and files, against trees that were written without edgefas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from edgefas.contracts import Label
from edgefas.data import DATASETS, Sample, SampleTable, Split, check_files, check_lists, load, load_frames, open_dataset
from edgefas.data.sample import BONA_FIDE, DataError
from edgefas.data.siblings import _sibling
from edgefas.errors import UsageError
from tests.data import rgb_trees, trees

CASES: list[tuple[str, str, Callable[[Path], trees.Counts]]] = [
    ("casia-surf", "challenge", trees.casia_surf_challenge),
    ("casia-surf", "paper", trees.casia_surf_paper),
    ("casia-surf", "paper-video", lambda root: trees.casia_surf_paper(root, "video")),
    ("cefa", "4@1", trees.cefa_challenge),
    ("cefa", "4.1", trees.cefa_paper),
    ("hq-wmca", "grand_test", trees.hq_wmca),
    ("celeba-spoof", "intra_test", rgb_trees.celeba_spoof),
    ("msu-mfsd", "official", rgb_trees.msu_mfsd),
    ("casia-fasd", "official", rgb_trees.casia_fasd),
    ("oulu-npu", "1", rgb_trees.oulu_npu),
    ("oulu-npu", "3.4", lambda root: rgb_trees.oulu_npu(root, "3.4")),
    ("folder", "captures", trees.captures),
]


def counted(table: SampleTable) -> trees.Counts:
    """From the samples themselves, not from the columns."""
    found = Counter((sample.split.value, sample.pai) for sample in table)
    return {split: {p: n for (s, p), n in found.items() if s == split} for split in dict.fromkeys(s for s, _ in found)}


@pytest.mark.parametrize(
    ("name", "protocol", "plant"), CASES, ids=[f"{name} {protocol}" for name, protocol, _ in CASES]
)
def test_counts_labels_and_files(
    tmp_path: Path, name: str, protocol: str, plant: Callable[[Path], trees.Counts]
) -> None:
    expected = plant(tmp_path)
    table = open_dataset(name, tmp_path, protocol)
    assert counted(table) == expected
    samples = list(table)
    assert len({sample.id for sample in samples}) == len(samples)
    assert all((sample.label is Label.BONA_FIDE) == (sample.pai == BONA_FIDE) for sample in samples)
    assert all(path.exists() for sample in samples for path in sample.paths.values())
    report = check_files(table, check_lists(table), decode=name != "casia-fasd")
    assert report.counts == expected
    assert report.problems == ()


def test_casia_surf_reads_the_files_of_each_modality(tmp_path: Path) -> None:
    trees.casia_surf_challenge(tmp_path)
    for sample in open_dataset("casia-surf", tmp_path, "challenge"):
        pictures = load(sample)
        assert {name: p.shape for name, p in pictures.items()} == {"rgb": (6, 8, 3), "depth": (6, 8), "ir": (6, 8)}
        for modality, folder in (("rgb", "color"), ("depth", "depth"), ("ir", "ir")):
            assert abs(int(pictures[modality].mean()) - trees.GREY[folder]) <= 1


def test_casia_surf_sample(tmp_path: Path) -> None:
    trees.casia_surf_challenge(tmp_path)
    table = open_dataset("casia-surf", tmp_path, "challenge")
    first = table[0]
    folder = "Training/real_part/CLKJ_AS0000/real.rssdk"
    assert first == Sample(
        id=f"{folder}/color/0001.jpg",
        subject="CLKJ_AS0000",
        session="",
        device="rssdk",
        label=Label.BONA_FIDE,
        pai="bona_fide",
        split=Split.TRAIN,
        paths={m: tmp_path / folder / d / "0001.jpg" for m, d in (("rgb", "color"), ("depth", "depth"), ("ir", "ir"))},
    )
    assert table[-1].split is Split.TEST
    assert table[-1].subject == ""
    with pytest.raises(IndexError):
        table[len(table)]


@pytest.mark.parametrize("prefix", ["CASIA_SURF/Data/", "Data/", ""])
def test_lists_may_begin_above_the_data_sets_folder(tmp_path: Path, prefix: str) -> None:
    root = tmp_path / "my copy of it"
    trees.casia_surf_paper(root, prefix=prefix)
    if not prefix:
        for name in ("Training", "Val", "Testing"):
            (root / "Data" / name).rename(root / name)
    table = open_dataset("casia-surf", root, "paper")
    assert all(path.is_file() for sample in table for path in sample.paths.values())
    assert {sample.paths["depth"].parent.name for sample in table} == {"depth"}


def test_modalities_beside_colour_stay_in_the_data_sets_folder() -> None:
    assert [_sibling(folder, "color", "ir") for folder in ("a/color", "color", "a/b")] == ["a/ir", "ir", "a/b"]


def test_a_public_list_without_labels_leaves_its_split_out(tmp_path: Path) -> None:
    trees.casia_surf_challenge(tmp_path)
    (tmp_path / "test_private_list.txt").unlink()
    table = open_dataset("casia-surf", tmp_path, "challenge")
    assert set(counted(table)) == {"train", "dev"}
    with pytest.raises(DataError, match=r"no test split.*test_public_list.txt has no labels.*test_private_list.txt"):
        table.rows(Split.TEST)
    assert len(table.rows(Split.DEV)) == 3


def test_copies_with_a_header_and_commas(tmp_path: Path) -> None:
    """As the list of ChaLearn's copy, with its resized depth and infrared."""
    trees.casia_surf_challenge(tmp_path)
    path = "Val/0000/000000"
    for name in ("depth", "ir"):
        (tmp_path / f"{path}-{name}.jpg").rename(tmp_path / f"{path}-{name}_resized.jpg")
    line = f"{path}-color.jpg,{path}-depth_resized.jpg,{path}-ir_resized.jpg,1"
    trees.put_lines(tmp_path / "val_private_list.txt", ["rgb,depth,ir,label", line], "\r\n")
    table = open_dataset("casia-surf", tmp_path, "challenge")
    [row] = table.rows(Split.DEV)
    assert [path.name for path in table[int(row)].paths.values()] == [
        "000000-color.jpg",
        "000000-depth_resized.jpg",
        "000000-ir_resized.jpg",
    ]
    assert table.where(int(row)) == "val_private_list.txt, line 2"


def test_columns_are_told_by_their_paths(tmp_path: Path) -> None:
    trees.casia_surf_challenge(tmp_path)
    usual = list(open_dataset("casia-surf", tmp_path, "challenge"))
    path = tmp_path / "train_list.txt"
    words = [line.split() for line in path.read_text().splitlines()]
    trees.put_lines(path, [f"{ir} {color} {depth} {label}" for color, depth, ir, label in words])
    table = open_dataset("casia-surf", tmp_path, "challenge")
    assert list(table) == usual
    assert any(
        "train_list.txt has its columns in the order ir, rgb, depth" in note for note in check_lists(table).notes
    )


def test_spaces_and_letters_beyond_ascii_in_lists(tmp_path: Path) -> None:
    root = tmp_path / "Daten für alle"
    folder = "Training/real_part/Zoë Müller 名/real.rssdk"
    trees.put_modalities(root / folder, ["0 1.jpg"])
    trees.put_lines(root / "train_list.txt", [f"{folder}/color/0 1.jpg {folder}/depth/0 1.jpg {folder}/ir/0 1.jpg 1"])
    [sample] = open_dataset("casia-surf", root, "challenge")
    assert sample.subject == "Zoë Müller 名"
    assert load(sample)["ir"].shape == (6, 8)
    for split in ("train", "dev", "test"):
        trees.put_lines(root / f"CASIA_SURF@p1_image_{split}.txt", [f"\ufeff{folder}/color/0 1.jpg 0"])
    assert len(open_dataset("casia-surf", root, "paper")) == 3


def test_cefa_clips(tmp_path: Path) -> None:
    trees.cefa_challenge(tmp_path)
    table = open_dataset("cefa", tmp_path, "4@1")
    sample = table[int(table.rows(Split.DEV)[0])]
    assert sample.paths["depth"] == tmp_path / "phase1/dev/003000/depth"
    assert (sample.subject, sample.label) == ("", Label.BONA_FIDE)
    moments = list(load_frames(sample, 2))
    assert [sorted(moment) for moment in moments] == [["depth", "ir", "rgb"]] * 2
    train = table[0]
    assert (train.subject, train.device, train.session) == ("AF-000", "rssdk", "indoor")


def test_cefa_masks_have_names_of_their_own(tmp_path: Path) -> None:
    """Seven fields; the last one is the light, and 1 there is no bona fide."""
    trees.cefa_paper(tmp_path)
    test = [sample for sample in open_dataset("cefa", tmp_path, "4.1") if sample.split is Split.TEST]
    masks = [s for s in test if s.pai.startswith("mask")]
    assert {(s.subject, s.device, s.label) for s in masks} == {
        ("3D-Mask-073", "d435i", Label.ATTACK),
        ("Silicone-Mask-001", "d435i", Label.ATTACK),
    }


@pytest.mark.parametrize("file", ["PROTOCOL-grandtest.csv", "WMCA_Grandtest.txt"])
def test_wmca_grandtest(tmp_path: Path, file: str) -> None:
    lines = trees.wmca(tmp_path, file=file)
    table = open_dataset("wmca", tmp_path, "grandtest")
    group = {"train": "train", "dev": "dev", "eval": "test"}
    assert [(s.split.value, s.pai) for s in table] == [(group[g], species) for g, species in lines]
    report = check_files(table, check_lists(table), decode=True)
    assert report.problems == ()
    assert report.lists[0].checked == len(lines)
    pictures = load(table[0])  # frames 1, 2 and 4 are in both files: the middle one is 2
    assert pictures["rgb"].shape == (4, 5, 3)
    assert pictures["rgb"][0, 0].tolist() == [12, 22, 32]
    assert [int(pictures[m][0, 0]) for m in ("depth", "ir", "thermal")] == [52, 62, 72]
    assert [int(m["ir"][0, 0]) for m in load_frames(table[0], 9)] == [61, 62, 64]


@pytest.mark.parametrize(
    "left_out", ["fakehead", "flexiblemask", "glasses", "papermask", "prints", "replay", "rigidmask"]
)
def test_wmca_leave_one_out(tmp_path: Path, left_out: str) -> None:
    lines = trees.wmca(tmp_path, frames=False)
    table = open_dataset("wmca", tmp_path, f"LOO_{left_out}")
    expected = [
        (group, species)
        for group, species in lines
        if species == "bona_fide" or (species == left_out) == (group == "eval")
    ]
    assert [(s.split.value.replace("test", "eval"), s.pai) for s in table] == expected
    test = {species for group, species in expected if group == "eval"}
    assert test == {"bona_fide", left_out}
    assert left_out not in {species for group, species in expected if group != "eval"}


def test_wmca_leaves_makeup_out_and_refuses_leaking_lists(tmp_path: Path) -> None:
    lines = trees.wmca(tmp_path, frames=False)
    with (tmp_path / "PROTOCOL-grandtest.csv").open("a") as file:
        file.write("face-station/12.02.18/001_01_001_5_01,5,01,train\n")
    table = open_dataset("wmca", tmp_path)
    assert len(table) == len(lines)
    assert "1 videos of makeup are left out" in table.notes[0]
    with pytest.raises(UsageError, match="train and dev lists are the same"):
        open_dataset("wmca", tmp_path, "p2@3")


def test_wmca_without_the_folder_of_the_station(tmp_path: Path) -> None:
    trees.wmca(tmp_path)
    for top in tmp_path.glob("preprocessed*"):
        (top / "face-station" / "12.02.18").rename(top / "12.02.18")
        (top / "face-station").rmdir()
    assert load(open_dataset("wmca", tmp_path)[0])["depth"].shape == (4, 5)


def test_every_set_has_its_page(root: Path) -> None:
    """Errors name it."""
    assert {path.stem for path in (root / "docs" / "datasets").glob("*.md")} == {*DATASETS, "index", "synth"}


@pytest.mark.parametrize(
    ("name", "protocol", "said"),
    [
        ("casia-surff", None, "did you mean 'casia-surf'"),
        ("cefa", "4.2", "no protocol '4.2'; did you mean"),
        ("oulu-npu", "3", "no protocol '3'"),
        ("folder", "../x", "or any PROTOCOL.csv"),
        ("celeba-spoof", "a/../../b", "or any folder of metas/"),
    ],
)
def test_names_that_are_not_known(tmp_path: Path, name: str, protocol: str | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_dataset(name, tmp_path, protocol)
    assert said in str(caught.value)
