"""What cannot be a list of its format: an error that names the file, the line, and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.data.faults import PLANT, Edit, append, edit, flip, overwrite, remove, swap

TRAIN, LABELS = "train_list.txt", "metas/intra_test/train_label.json"
P1 = "protocol/CASIA_SURF@p1_image_train.txt"
P4 = "protocol/CASIA_CeFA@p4.1_image_{}.txt"
GRANDTEST, OULU = "PROTOCOL-grandtest.csv", "Protocols/Protocol_1/Dev.txt"

CASES: dict[tuple[str, str], list[tuple[Edit, str]]] = {
    ("casia-surf", "challenge"): [
        (flip(TRAIN), "train_list.txt, line 1: the label 0 means attack in a CASIA-SURF challenge list"),
        (swap(TRAIN, 3), "line 4: the columns are depth, rgb, ir, in the lines before they are rgb, depth, ir: swappe"),
        (edit(TRAIN, "/ir/", "/color/"), "line 1: the paths' folders or names say rgb, depth, rgb; expected one each"),
        (edit(TRAIN, "AS0000/real.rssdk/ir", "AS0001/real.rssdk/ir"), "line 1: the columns are of different clips"),
        (edit(TRAIN, "real.rssdk/color", "04_en_b.rssdk/color"), "the clip 04_en_b lies in real_part; expected real"),
        (edit(TRAIN, "05_enm_s", "07_enm_x"), "the clip is called '07_enm_x'; expected one of real, 01_e_s"),
        (edit(TRAIN, ".jpg 1", ".jpg 2"), "line 1: the label is '2'; a CASIA-SURF challenge list (1 = bona fide, 0"),
        (edit(TRAIN, ".jpg 1", ".jpg"), "line 1: expected 3 paths and a label"),
        (edit(TRAIN, ".jpg", ".avi"), "is no picture: its name must end in .jpg"),
        (edit(TRAIN, "Training/", "/data/Training/"), "it is a path of the machine that made the list"),
        (edit(TRAIN, "Training/", "Training/../../"), "leaves the data set's folder; '..' is not allowed"),
        (remove(TRAIN), "has no train_list.txt"),
        (overwrite(TRAIN, b""), "train_list.txt names no samples; it should be a CASIA-SURF challenge list"),
        (overwrite(TRAIN, b"\xff\xfe1\x00"), "line 1: zero bytes; this is no list"),
        (overwrite(TRAIN, b"a" * 5000), "line 1: more than 4096 bytes; this is no list"),
        (overwrite(TRAIN, b"\xe4.jpg 1"), "line 1: not UTF-8"),
        (overwrite("val_private_list.txt", b"Val/0/0-color.jpg Val/0/0-depth.jpg Val/0/0-x.jpg 1"), "rgb, depth, noth"),
    ],
    ("casia-surf", "paper"): [
        (flip(P1), "p1_image_train.txt, line 1: the label 1 means attack in a CASIA-SURF paper list (0 = bona fide"),
        (overwrite(P1, b"color/0001.jpg 0"), "line 1: 'color' says neither bona fide nor attack; a CASIA-SURF paper"),
        (edit(P1, "/color/", "/depth/"), "say depth; expected one each of rgb"),
        (remove(P1), "docs/datasets/casia-surf.md says where it is from"),
    ],
    ("cefa", "4.1"): [
        (edit(P4.format("test"), "0001.jpg 1", "0001.jpg 0"), "line 3: the label 0 means bona_fide in a CeFA paper li"),
        (edit(P4.format("dev"), "1_223_1_1_4", "1_223_1_1_5"), "the clip's attack field is '5'; expected 1 bona_fide"),
        (edit(P4.format("dev"), "/1_223", "/2_223"), "the clip is of CA-223 and lies in the folder of AF-223"),
        (edit(P4.format("dev"), "1_223_1_1_4", "1_223_1_4"), "the clip's name has 4 fields; expected 5, or 7 of a mas"),
        (edit(P4.format("dev"), "1_223_1_1_4", "000223"), "000223/color' says neither bona fide nor attack"),
        (edit(P4.format("test"), "Mask/073/1_", "Mask/073/2_"), "a clip of seven fields is of a mask, in 3D-Mask or"),
    ],
    ("cefa", "4@1"): [
        (flip("phase1/4@1_train.txt"), "4@1_train.txt, line 1: the label 0 means attack"),
        (edit("phase1/4@1_dev_ref.txt", " 1", " -1"), "4@1_dev_ref.txt, line 1: the label is '-1'"),
        (edit("phase1/4@1_dev_ref.txt", "003000", "003000/0001.jpg"), "is a picture; this list names folders"),
    ],
    ("wmca", "grandtest"): [
        (edit(GRANDTEST, "_0_00,0,", "_0_00,3,"), "line 1: the column behind the path says '3', the file name"),
        (edit(GRANDTEST, ",train", ",training"), "line 1: expected one path <date>/<client>"),
        (edit(GRANDTEST, "_2_04,2", "_2_44,2"), "line 5: type 2, number 44 is in no table"),
        (edit(GRANDTEST, "_0_02,0", "_0_03,0"), "line 2: type 0, number 03 is in no table"),
        (append(GRANDTEST, '"1'), "line 34: not CSV"),
    ],
    ("hq-wmca", "grand_test"): [
        (edit("grand_test.csv", "train,print", "train,bona_fide"), "line 3: pai is 'bona_fide', and the file name has"),
        (edit("grand_test.csv", "train", "dev"), "line 2: group is 'dev'; expected one of train, validation, test"),
        (edit("grand_test.csv", "group", "grp"), "line 1: unknown or repeated column 'grp'; did you mean 'group'?"),
        (edit("grand_test.csv", "-ab", "_ab"), "line 2: '01.02.19/1_01"),
        (edit("grand_test.csv", ",train", ",train,x"), "line 2: 4 cells, the header has 3"),
        (overwrite("grand_test.csv", b""), "is empty; its first line must name the columns path, group, pai"),
        (overwrite("grand_test.csv", b"path,pai\n"), "line 1: no column group"),
    ],
    ("celeba-spoof", "intra_test"): [
        (edit(LABELS, "9, 3, 2, 1]", "9, 3, 2, 0]"), "the folder says spoof, [40] is 9 and [43] is 0; 0 is live"),
        (edit(LABELS, "101/live", "101/spoof"), "the folder says spoof, [40] is 0 and [43] is 0; 0 is live"),
        (edit(LABELS, "9, 3, 2, 1]", "11, 3, 2, 1]"), "with [40] 11 and [43] 1"),
        (edit(LABELS, "[0, ", "["), "train_label.json, byte 1: 'Data/train/101/live/000001.jpg': expected a picture a"),
        (edit(LABELS, "], ", "]; "), "train_label.json, byte 1: expected"),
        (overwrite(LABELS, b""), "train_label.json is empty"),
        (overwrite(LABELS, b"[1]"), "byte 0: expected"),
        (overwrite(LABELS, b"{}"), "byte 1: expected"),
    ],
    ("msu-mfsd", "official"): [
        (append("test_sub_list.txt", "13"), "test_sub_list.txt, line 3: subject 13 stands in line 2, too"),
        (append("train_sub_list.txt", "x"), "train_sub_list.txt, line 6: 'x' is no subject; expected 1 to 999"),
    ],
    ("oulu-npu", "1"): [
        (edit(OULU, "-1,1_1_21_2", "+1,1_1_21_2"), "Dev.txt, line 2: +1 means bona_fide, and the name 1_1_21_2 ends i"),
        (edit(OULU, "-1", "0"), "Dev.txt, line 2: '0,1_1_21_2': expected +1 or a negative number"),
        (overwrite(OULU, b"\n \n"), "Dev.txt names no samples"),
        (edit(OULU, "1_1_21_2", "7_1_21_2"), "line 2: '-1,7_1_21_2'"),
    ],
    ("folder", "captures"): [
        (append("captures.csv", "dienstag/p1 echt,train,,attack,"), "line 14: label is 'attack', and the recording's"),
        (append("captures.csv", "dienstag/p1 echt,train,p9,,"), "subject is 'p9', and the recording's own notes say '"),
        (append("captures.csv", "dienstag/p1 echt,train,,,x"), "label is bona_fide and pai is 'x'"),
        (append("captures.csv", "nowhere,train,,,"), "captures.csv, line 14: no such folder"),
        (append("captures.csv", ",train,,,"), "line 14: expected a folder, or a path in one of rgb"),
        (append("captures.csv", "dienstag/p1 echt,training,,,"), "split is 'training'; expected train, dev, test"),
        (edit("captures.csv", "folder,", "rgb,"), "line 2: label is ''; expected bona_fide or attack"),
        (remove("dienstag/p1 echt/depth/000001.png"), "000001.png has no partner in depth/"),
    ],
}  # fmt: skip
FLAT = [(name, protocol, fault, said) for (name, protocol), cases in CASES.items() for fault, said in cases]


@pytest.mark.parametrize(("name", "protocol", "fault", "said"), FLAT, ids=[f"{name} {said}" for name, *_, said in FLAT])
def test_a_wrong_list_is_an_error_that_names_the_line(
    tmp_path: Path, run: Run, name: str, protocol: str, fault: Edit, said: str
) -> None:
    PLANT[name, protocol](tmp_path)
    fault(tmp_path)
    code, out, err = run("data", "check", tmp_path, "--dataset", name, "--protocol", protocol, "--no-decode")
    assert said in err
    assert (code, out) == (1, "")
