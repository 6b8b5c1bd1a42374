"""CelebA-Spoof, MSU-MFSD, CASIA-FASD and OULU-NPU: what is peculiar to each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefas.contracts import Label
from edgefas.data import Split, check_files, check_lists, load, load_frames, open_dataset
from edgefas.data.celeba_spoof import face_box_px
from edgefas.data.sample import DataError
from tests.data import rgb_trees, trees


def test_celeba_spoof_split_is_the_labels_word(tmp_path: Path) -> None:
    rgb_trees.celeba_spoof(tmp_path)
    table = open_dataset("celeba-spoof", tmp_path)
    sample = next(s for s in table if s.id == "Data/train/900/spoof/000004.jpg")
    assert (sample.split, sample.subject, sample.session) == (Split.TEST, "900", "light_3_place_2")
    assert {s.subject for s in table if s.split is Split.DEV} == {"105"}
    assert {s.session for s in table if s.label is Label.BONA_FIDE} == {""}


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (b"56 28 112 112 0.99", (112.0, 56.0, 224.0, 224.0)),
        (b"", None),
        (b"1 1 1 1 0.5", None),  # two pixels wide
        (None, None),
    ],
)
def test_celeba_spoof_boxes_count_on_a_grid_of_224(tmp_path: Path, text: bytes | None, box: object) -> None:
    if text is not None:
        trees.put(tmp_path / "000001_BB.txt", text)
    assert face_box_px(tmp_path / "000001.png", 448, 448) == box


@pytest.mark.parametrize("text", [b"1 2 3", b"a b c d", b"nan 1 50 50 1", b"1 1 inf 50 1"])
def test_celeba_spoof_box_that_is_none(tmp_path: Path, text: bytes) -> None:
    trees.put(tmp_path / "1_BB.txt", text)
    with pytest.raises(DataError, match="expected x y width height score"):
        face_box_px(tmp_path / "1.jpg", 448, 448)


def test_msu_mfsd_turns_what_stands_on_its_head(tmp_path: Path) -> None:
    rgb_trees.msu_mfsd(tmp_path)
    found = {s.id.rpartition("/")[2]: s for s in open_dataset("msu-mfsd", tmp_path)}
    upside_down = {name for name, sample in found.items() if sample.upside_down}
    assert upside_down == {f"real_client{n:03}_android_SD_scene01.mp4" for n in (3, 5, 6, 7)}
    for client, bright_above in ((2, False), (3, True)):
        picture = load(found[f"real_client{client:03}_android_SD_scene01.mp4"])["rgb"]
        assert (picture[:10].mean() > picture[-10:].mean()) == bright_above


def test_msu_mfsd_takes_either_extension(tmp_path: Path) -> None:
    rgb_trees.msu_mfsd(tmp_path)
    name = "scene01/real/real_client002_laptop_SD_scene01"
    (tmp_path / f"{name}.mov").rename(tmp_path / f"{name}.mp4")
    table = open_dataset("msu-mfsd", tmp_path)
    assert check_files(table, check_lists(table), decode=False).problems == ()


def test_casia_fasd_subjects_of_the_test_are_others(tmp_path: Path) -> None:
    trees.put(tmp_path / "train_release/1/1.avi", b"")
    table = open_dataset("casia-fasd", tmp_path)
    assert len({s.subject for s in table}) == 50
    assert {s.pai for s in table if s.id.endswith("/HR_3.avi")} == {"print_cut"}
    assert {s.device for s in table if s.id.endswith("/2.avi")} == {"normal"}
    report = check_files(table, check_lists(table), decode=False)
    assert report.problems[0].count == 599
    assert "train_release/1/2.avi" in report.problems[0].text


def test_oulu_labels_by_sign_and_species_by_name(tmp_path: Path) -> None:
    rgb_trees.oulu_npu(tmp_path)
    path = tmp_path / "Protocols/Protocol_1/Train.txt"
    trees.put_lines(path, ["+1,1_1_01_1", "-1,1_1_01_4", "-2,2_3_01_2"])  # copies disagree about -1 and -2
    found = [s for s in open_dataset("oulu-npu", tmp_path, "1") if s.split is Split.TRAIN]
    assert [s.pai for s in found] == ["bona_fide", "replay_1", "print_1"]
    assert (found[2].device, found[2].session, found[2].subject) == ("phone_2", "session_3", "user_01")


def test_videos_give_frames_at_equal_distances(tmp_path: Path) -> None:
    rgb_trees.oulu_npu(tmp_path)
    sample = open_dataset("oulu-npu", tmp_path, "1")[0]
    greys = [round(np.median(moment["rgb"][:20]) / 10) for moment in load_frames(sample, 4)]
    assert greys == [2, 7, 12, 17]
    assert [len(list(load_frames(sample, n))) for n in (1, 20, 99)] == [1, 20, 20]
