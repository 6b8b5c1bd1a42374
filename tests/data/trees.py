"""Tiny copies of every data set's layout, written from the descriptions of the sets and not with edgefas.

Each function fills `root` and returns how many samples there are by split and PAI. Pictures are 8 x 6 pixels; their
grey is one number per modality, so that a test sees which file was read.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

Counts = dict[str, dict[str, int]]
GREY = {"color": 40, "depth": 120, "ir": 200}
VIDEO_FRAMES = 20


@cache
def picture(grey: int, suffix: str = ".jpg") -> bytes:
    """One flat picture of 8 x 6 pixels, as these sets store depth and infrared, too: with three channels."""
    ok, data = cv2.imencode(suffix, np.full((6, 8, 3), grey, np.uint8))
    assert ok
    return data.tobytes()


@cache
def video(suffix: str) -> bytes:
    """`VIDEO_FRAMES` frames of 64 x 48; frame k has the grey 10 k in its upper half and 250 in its lower."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"v{suffix}"
        code = cv2.VideoWriter.fourcc(*("MJPG" if suffix == ".avi" else "mp4v"))
        writer = cv2.VideoWriter(str(path), code, 25, (64, 48))
        for number in range(VIDEO_FRAMES):
            frame = np.full((48, 64, 3), 250, np.uint8)
            frame[:24] = 10 * number
            writer.write(frame)
        writer.release()
        return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def put_lines(path: Path, lines: list[str], end: str = "\n") -> None:
    put(path, "".join(line + end for line in lines).encode())


def put_modalities(folder: Path, names: list[str], color: str = "color") -> None:
    """Pictures called `names` in `color`/, depth/ and ir/."""
    for name in names:
        for modality, grey in GREY.items():
            put(folder / (color if modality == "color" else modality) / name, picture(grey))


# CASIA-SURF: attacks 04-06 in training, 01-03 elsewhere; 1 is bona fide in challenge lists, 0 in paper lists.
SURF_TRAIN = {"real": "real_part", "04_en_b": "fake_part", "05_enm_s": "fake_part", "06_enm_b": "fake_part"}
SURF_OTHER = {"real": "real_part", "01_e_s": "fake_part", "02_e_b": "fake_part", "03_en_s": "fake_part"}


def casia_surf_challenge(root: Path, subjects: int = 2, frames: int = 2) -> Counts:
    lines = []
    for number in range(subjects):
        for clip, part in SURF_TRAIN.items():
            folder = f"Training/{part}/CLKJ_AS{number:04}/{clip}.rssdk"
            names = [f"{frame:04}.jpg" for frame in range(1, frames + 1)]
            put_modalities(root / folder, names)
            label = 1 if part == "real_part" else 0
            lines += [f"{folder}/color/{n} {folder}/depth/{n} {folder}/ir/{n} {label}" for n in names]
    put_lines(root / "train_list.txt", lines)
    for name, folder, count in (("val", "Val", 3), ("test", "Testing", 4)):
        lines = []
        for number in range(count):
            paths = [f"{folder}/{number:04}/{number:06}-{modality}.jpg" for modality in GREY]
            for path, grey in zip(paths, GREY.values(), strict=True):
                put(root / path, picture(grey))
            lines.append(f"{' '.join(paths)} {1 if number == 0 else 0}")
        put_lines(root / f"{name}_private_list.txt", lines)
        put_lines(root / f"{name}_public_list.txt", [line[:-2] for line in lines])
    each = subjects * frames
    return {
        "train": {
            "bona_fide": each,
            "cut_print_eyes_nose_bent": each,
            "cut_print_eyes_nose_mouth_flat": each,
            "cut_print_eyes_nose_mouth_bent": each,
        },
        "dev": {"bona_fide": 1, "unknown": 2},
        "test": {"bona_fide": 1, "unknown": 3},
    }


def casia_surf_paper(root: Path, unit: str = "image", prefix: str = "CASIA_SURF/Data/") -> Counts:
    """Two frames a clip; paths begin above `root`, which is called CASIA_SURF by its authors."""
    start = 0
    for split, top, clips in (
        ("train", "Training", SURF_TRAIN),
        ("dev", "Val", SURF_OTHER),
        ("test", "Testing", SURF_OTHER),
    ):
        lines = []
        start += 100
        for clip, part in clips.items():
            folder = f"{top}/{part}/CLKJ_BS{start:04}/{clip}.rssdk"
            put_modalities(root / "Data" / folder, ["0003.jpg", "0007.jpg"])
            label = 0 if part == "real_part" else 1
            names = ["/0003.jpg", "/0007.jpg"] if unit == "image" else [""]
            lines += [f"{prefix}{folder}/color{name} {label}" for name in names]
        put_lines(root / "protocol" / f"CASIA_SURF@p1_{unit}_{split}.txt", lines)
    each = 2 if unit == "image" else 1
    other = {
        "bona_fide": each,
        "cut_print_eyes_flat": each,
        "cut_print_eyes_bent": each,
        "cut_print_eyes_nose_flat": each,
    }
    train = {
        "bona_fide": each,
        "cut_print_eyes_nose_bent": each,
        "cut_print_eyes_nose_mouth_flat": each,
        "cut_print_eyes_nose_mouth_bent": each,
    }
    return {"train": train, "dev": other, "test": other}


def cefa_challenge(root: Path) -> Counts:
    """phase1 and phase2; training per picture, dev and test per anonymous clip; 1 is bona fide."""
    lines = []
    for number in range(2):
        for device, pai in ((1, 1), (1, 4)):
            clip = f"train/1_{number:03}_{device}_1_{pai}"
            put_modalities(root / "phase1" / clip, ["0001.jpg", "0002.jpg"], "profile")
            lines += [f"{clip}/profile/{name} {1 if pai == 1 else 0}" for name in ("0001.jpg", "0002.jpg")]
    put_lines(root / "phase1" / "4@1_train.txt", lines)
    for phase, split, start in (("phase1", "dev", 3000), ("phase2", "test", 700)):
        clips = [f"{split}/{start + number:06}" for number in range(3)]
        for clip in clips:
            put_modalities(root / phase / clip, ["0001.jpg", "0002.jpg", "0003.jpg"], "profile")
        put_lines(
            root / phase / f"4@1_{split}_ref.txt", [f"{clip} {1 if at == 0 else 0}" for at, clip in enumerate(clips)]
        )
        put_lines(root / phase / f"4@1_{split}_res.txt", clips)
    return {
        "train": {"bona_fide": 4, "replay_screen": 4},
        "dev": {"bona_fide": 1, "unknown": 2},
        "test": {"bona_fide": 1, "unknown": 2},
    }


def cefa_paper(root: Path, protocol: str = "4.1", devices: tuple[int, int] = (1, 1)) -> Counts:
    """Training: AF against screens; test: CA against cloth, and masks. `devices`: of bona fide, of attacks."""
    real, fake = devices
    clips = {
        "train": [f"Ethnicity/AF/AF-120/1_120_{real}_1_1", f"Ethnicity/AF/AF-120/1_120_{fake}_1_4"],
        "dev": [f"Ethnicity/AF/AF-223/1_223_{real}_1_1", f"Ethnicity/AF/AF-223/1_223_{fake}_1_4"],
        "test": [
            f"Ethnicity/CA/CA-300/2_300_{real}_1_1",
            f"Ethnicity/CA/CA-300/2_300_{fake}_2_2",
            "Mask/3D-Mask/073/1_073_1_0_2_1_2",
            "Mask/3D-Mask/073/1_073_1_0_2_1_1",
            "Mask/Silicone-Mask/001/2_001_1_1_2_1_3",
        ],
    }
    for split, found in clips.items():
        lines = []
        for clip in found:
            put_modalities(root / clip, ["0001.jpg", "0004.jpg"])
            bona_fide = len(clip.rpartition("/")[2].split("_")) == 5 and clip.endswith("_1")
            lines += [f"CASIA_CeFA/{clip}/color/{name} {0 if bona_fide else 1}" for name in ("0001.jpg", "0004.jpg")]
        put_lines(root / "protocol" / f"CASIA_CeFA@p{protocol}_image_{split}.txt", lines)
    return {
        "train": {"bona_fide": 2, "replay_screen": 2},
        "dev": {"bona_fide": 2, "replay_screen": 2},
        "test": {"bona_fide": 2, "print_cloth": 2, "mask_3d": 4, "mask_silicone": 2},
    }


# name, species by the table of the authors' converter
WMCA_NAMES = [
    ("{0:03}_01_000_0_00", "bona_fide"),
    ("{0:03}_02_000_0_02", "bona_fide"),
    ("{0:03}_01_{0:03}_1_01", "glasses"),
    ("{0:03}_01_{0:03}_1_02", "rigidmask"),
    ("{0:03}_01_{0:03}_2_04", "fakehead"),
    ("{0:03}_01_{0:03}_2_09", "papermask"),
    ("{0:03}_01_{0:03}_2_13", "rigidmask"),
    ("{0:03}_01_{0:03}_2_81", "flexiblemask"),
    ("{0:03}_01_000_3_01", "prints"),
    ("{0:03}_01_000_3_05", "replay"),
    ("{0:03}_01_000_4_01", "replay"),
]
WMCA_GROUPS = {"train": 1, "dev": 20, "eval": 40}


def wmca(root: Path, *, file: str = "PROTOCOL-grandtest.csv", frames: bool = True) -> list[tuple[str, str]]:
    """Returns (group, species) of each line. RGB has frames 0 1 2 4, CDIT 1 2 3 4: they differ, as in the set."""
    lines, found = [], []
    for group, client in WMCA_GROUPS.items():
        for name, species in WMCA_NAMES:
            path = f"face-station/12.02.18/{name.format(client)}"
            kind = path.split("_")[3]
            if file.endswith(".csv"):
                lines.append(f"{path},{kind},{path[-2:]},{group}")
            else:
                lines.append(f"{len(lines) + 1},{client},{path},{group},{'bonafide' if kind == '0' else 'attack'}")
            found.append((group, species))
            if frames:
                wmca_video(root, path)
    header = [] if file.endswith(".csv") else [",client_id,filepath,group,label"]
    put_lines(root / file, header + lines)
    return found


def wmca_video(root: Path, path: str) -> None:
    import h5py

    for top, channels, keys in (("RGB", (10, 20, 30), (0, 1, 2, 4)), ("CDIT", (40, 50, 60, 70), (1, 2, 3, 4))):
        place = root / f"preprocessed-face-station_{top}" / f"{path}.hdf5"
        place.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(place, "w") as out:
            for key in keys:
                array = np.array(channels, np.uint8)[:, None, None] + np.full((len(channels), 4, 5), key, np.uint8)
                out.create_dataset(f"Frame_{key}/array", data=array)


def hq_wmca(root: Path) -> Counts:
    import h5py

    lines = ["path,group,pai"]
    for group, client in (("train", 1), ("validation", 2), ("test", 3)):
        for kind, pai in ((0, "bona_fide"), (3, "print"), (6, "flexiblemask")):
            name = f"01.02.19/1_01_{client:04}_0000_{kind:02}_00_000-ab{client}{kind}.h5"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(root / name, "w") as out:
                for modality, shape in (("rgb", (3, 4, 5, 3)), ("ir", (3, 4, 5)), ("depth", (3, 4, 5))):
                    out[modality] = np.full(shape, len(modality), np.uint16 if modality == "depth" else np.uint8)
            lines.append(f"{name},{group},{pai}")
    put_lines(root / "grand_test.csv", lines)
    return {split: {"bona_fide": 1, "print": 1, "flexiblemask": 1} for split in ("train", "dev", "test")}


CAMERA = {
    "calibration": {
        "depth": {"width_px": 8, "height_px": 6, "fx_px": 8.0, "fy_px": 8.0, "ppx_px": 4.0, "ppy_px": 3.0},
        "color": {"width_px": 8, "height_px": 6, "fx_px": 8.0, "fy_px": 8.0, "ppx_px": 4.0, "ppy_px": 3.0},
        "depth_to_color": {"rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1], "translation_mm": [15.0, 0.0, 0.0]},
        "baseline_mm": 50.0,
    },
    "depth_scale_m": 0.001,
    "fps": 30,
    "camera": "012345678901",
}


def capture(folder: Path, shown: dict[str, str] | None, frames: int = 2, camera: str = "012345678901") -> None:
    """A folder as docs/cameras.md describes it."""
    put(folder / "camera.json", json.dumps({**CAMERA, "camera": camera}).encode())
    for frame in range(1, frames + 1):
        put(folder / "color" / f"{frame:06}.png", picture(GREY["color"], ".png"))
        for stream, dtype, value in (("ir_lit", np.uint8, 200), ("depth", np.uint16, 600)):
            ok, data = cv2.imencode(".png", np.full((6, 8), value, dtype))
            assert ok
            put(folder / stream / f"{frame:06}.png", data.tobytes())
    if shown is not None:
        notes = {
            "shown": shown,
            "source": "realsense",
            "edgefas": "0.1",
            "started": "2026-01-01T10:00:00+01:00",
            "compressed": True,
        }
        put(folder / "recording.json", json.dumps(notes).encode())


def captures(root: Path) -> Counts:
    """Names with spaces and letters beyond ASCII."""
    lines = ["folder,split,subject,label,pai"]
    for split, person in (("train", "p1"), ("dev", "p2"), ("test", "p3")):
        for session in ("montag früh", "dienstag"):
            capture(root / session / f"{person} echt", {"label": "bona_fide", "subject": person})
            capture(
                root / session / f"{person} Fälschung", {"label": "attack", "species": "flat_print", "subject": person}
            )
            lines += [f"{session}/{person} echt,{split},{person},,", f"{session}/{person} Fälschung,{split},,,"]
    put_lines(root / "captures.csv", lines)
    return {split: {"bona_fide": 4, "flat_print": 4} for split in ("train", "dev", "test")}
