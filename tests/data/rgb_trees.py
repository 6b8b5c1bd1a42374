"""As `tests.data.trees`: the sets that have colour alone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.data.trees import Counts, picture, put, put_lines, video


def celeba_spoof(root: Path, train_subjects: int = 6) -> Counts:
    """The labels decide about the split: a spoof picture of the test lies below Data/train."""

    def numbers(species: int) -> list[int]:
        return [0] * 40 + [species, 3 if species else 0, 2 if species else 0, 1 if species else 0]

    train = {}
    for subject in range(101, 101 + train_subjects):
        train[f"Data/train/{subject}/live/000001.jpg"] = numbers(0)
        train[f"Data/train/{subject}/spoof/000002.png"] = numbers(9)
    test = {"Data/test/900/live/000003.jpg": numbers(0), "Data/train/900/spoof/000004.jpg": numbers(10)}
    for name, labels in (("train", train), ("test", test)):
        put(root / "metas" / "intra_test" / f"{name}_label.json", json.dumps(labels).encode())
        for path in labels:
            put(root / path, picture(90, Path(path).suffix))
            put(root / f"{path[:-4]}_BB.txt", b"56 28 112 112 0.99")
    return {  # of 101 to 106 the fifth, 105, is dev
        "train": {"bona_fide": train_subjects - 1, "replay_phone": train_subjects - 1},
        "dev": {"bona_fide": 1, "replay_phone": 1},
        "test": {"bona_fide": 1, "mask_3d": 1},
    }


MSU_TRAIN = (2, 3, 5, 6, 7)
MSU_TEST = (1, 13)


def msu_mfsd(root: Path) -> Counts:
    for client in (*MSU_TRAIN, *MSU_TEST):
        for device, suffix in (("android", ".mp4"), ("laptop", ".mov")):
            put(root / f"scene01/real/real_client{client:03}_{device}_SD_scene01{suffix}", video(suffix))
            for attack in ("ipad_video", "iphone_video", "printed_photo"):
                name = f"attack_client{client:03}_{device}_SD_{attack}_scene01{suffix}"
                put(root / "scene01/attack" / name, video(suffix))
    put_lines(root / "train_sub_list.txt", [f"{client:02}" for client in MSU_TRAIN], "\r\n")
    put_lines(root / "test_sub_list.txt", [f"{client:02}" for client in MSU_TEST], "\r\n")
    kinds = ("bona_fide", "replay_tablet", "replay_phone", "print_photo")
    return {split: dict.fromkeys(kinds, 2 * people) for split, people in (("train", 4), ("dev", 1), ("test", 2))}


def casia_fasd(root: Path) -> Counts:
    for folder, people in (("train_release", 20), ("test_release", 30)):
        for subject in range(1, people + 1):
            for name in ("1", "2", "3", "4", "5", "6", "7", "8", "HR_1", "HR_2", "HR_3", "HR_4"):
                put(root / folder / str(subject) / f"{name}.avi", video(".avi"))
    kinds = ("bona_fide", "print_warped", "print_cut", "replay_tablet")
    return {split: dict.fromkeys(kinds, 3 * people) for split, people in (("train", 16), ("dev", 4), ("test", 30))}


def oulu_npu(root: Path, protocol: str = "1") -> Counts:
    number, _, part = protocol.partition(".")
    for split, user in (("Train", 1), ("Dev", 21), ("Test", 36)):
        lines = []
        for file, label in ((1, "+1"), (2, "-1"), (3, "-1"), (4, "-2"), (5, "-2")):
            name = f"1_1_{user:02}_{file}"
            put(root / f"{split}_files" / f"{name}.avi", video(".avi"))
            lines.append(f"{label},{name}")
        put_lines(root / f"Protocols/Protocol_{number}" / f"{split}{'_' if part else ''}{part}.txt", lines)
    kinds = ("bona_fide", "print_1", "print_2", "replay_1", "replay_2")
    return {split: dict.fromkeys(kinds, 1) for split in ("train", "dev", "test")}
