"""`edgefas data synth`: every layout is read and checked by the public commands; nothing is there before all of it is.

Whole trees of most layouts take flat pictures in place of rendered ones: what is tested is what lies where. The slow
tests render them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgefas.data import DATASETS, Split, load, load_frames, open_dataset
from edgefas.data.synth import LAYOUTS, NOTE, Tree, Wanted, bench, captures, facts_of, products, write_tree
from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.frame import Frame
from edgefas.sensors.simulator import Episode, truth
from edgefas.sensors.simulator.portrait import FACE_MM
from edgefas.sensors.simulator.rig import Window, calibration, read_out
from tests.conftest import Run

SMALL = {
    "casia-surf": 4, "cefa": 9, "wmca": 3, "hq-wmca": 3, "celeba-spoof": 6, "msu-mfsd": 6, "casia-fasd": 50,
    "oulu-npu": 3, "folder": 3,
}  # fmt: skip
PROTOCOLS = [(name, protocol) for name in SMALL for protocol in DATASETS[name].protocols]
RENDERED = {"casia-surf": 3, "wmca": 3, "msu-mfsd": 6}


def plan(layout: str, subjects: int, frames: int = 1, seed: int = 0) -> Tree:
    return LAYOUTS[layout].plan(Wanted(subjects, seed, frames))


def hashes(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def flat_frame(episode: Episode, index: int, window: Window) -> Frame:
    """What `render` gives, in one grey."""
    camera = read_out(calibration(episode.site, episode.rig), window)
    depth = np.full((camera.depth.height_px, camera.depth.width_px), int(episode.distance_mm), np.uint16)
    grey = np.full(depth.shape, 90, np.uint8)
    color = np.full((camera.color.height_px, camera.color.width_px, 3), 60 + index % 100, np.uint8)
    return Frame(
        color=color, ir_lit=grey, ir_unlit=grey, depth=depth, depth_scale_m=0.001, calibration=camera,
        number=index + 1, device_ns=index, clock="hardware", host_ns=index, camera=f"SIM-{episode.site}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole tree of each layout, with flat pictures, below a folder with a space and no ASCII in its name."""
    root = tmp_path_factory.mktemp("Gesichter für Tests ☺")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(truth, "build", lambda episode: SimpleNamespace(face_mm=FACE_MM))
        for place in (products, captures):
            patch.setattr(place, "render", flat_frame)
        patch.setattr("edgefas.data.synth.hdf5.temperature", lambda e, i, w: np.float32(flat_frame(e, i, w).ir_lit))
        for name, subjects in SMALL.items():
            tree = plan(name, subjects, 2)
            write_tree(root / name, name, tree, facts_of(name, Wanted(subjects, 0, 2), tree), 1)
        tree = bench.plan(bench.LAYOUT.default, scale=0.03)
        write_tree(root / bench.NAME, bench.NAME, tree, {"layout": bench.NAME}, 1)
    return {name: root / name for name in (*SMALL, bench.NAME)}


@pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)
def test_every_protocol_is_sound(trees: dict[str, Path], run: Run, name: str, protocol: str) -> None:
    decode = "--decode" if protocol == DATASETS[name].protocols[0] else "--no-decode"
    code, out, err = run("data", "check", trees[name], "--dataset", name, "--protocol", protocol, decode)
    assert (code, err) == (0, ""), out
    table = open_dataset(name, trees[name], protocol)
    for split in Split:
        rows = [table[int(row)] for row in table.rows(split)]
        assert {sample.label.value for sample in rows} == {"bona_fide", "attack"}


@pytest.mark.parametrize("name", SMALL)
def test_the_reader_sees_what_was_planned(trees: dict[str, Path], name: str) -> None:
    """Splits, species and subjects of the first protocol that tells them, against the clips that were made."""
    protocol = {"casia-surf": "paper-video", "cefa": "3-video", "oulu-npu": "2"}.get(name)
    table = open_dataset(name, trees[name], protocol)
    samples = [table[row] for row in range(len(table))]
    read = Counter((s.split.value, s.pai, s.subject) for s in samples)
    clips = [clip for clip in plan(name, SMALL[name], 2).clips if not clip.name.startswith("Mask/")]
    if name == "oulu-npu":  # protocol 2 keeps a printer and a screen for the test
        clips = [c for c in clips if c.pai in ("bona_fide", "print_1", "replay_1") or c.split is Split.TEST]
        clips = [c for c in clips if c.pai in ("bona_fide", "print_2", "replay_2") or c.split is not Split.TEST]
    times = 2 if name in ("celeba-spoof", "folder") else 1  # a sample is a picture, elsewhere a clip
    made = Counter((c.split.value, c.pai, c.subject) for c in clips for _ in range(times))
    assert read == made


@pytest.mark.parametrize("name", SMALL)
def test_people_and_rooms_are_of_one_split(name: str) -> None:
    clips = plan(name, SMALL[name]).clips
    assert len({clip.name for clip in clips}) == len(clips)
    for key in (lambda c: c.episode.subject, lambda c: c.subject, lambda c: c.episode.site):
        seen: dict[object, Split] = {}
        assert all(seen.setdefault(key(clip), clip.split) is clip.split for clip in clips)
    assert {clip.split for clip in clips} == set(Split)


@pytest.mark.parametrize("name", SMALL)
def test_another_seed_shows_other_people(name: str) -> None:
    one, other = ({c.episode.subject for c in plan(name, SMALL[name], seed=seed).clips} for seed in (0, 1))
    assert not one & other


def test_about_a_fifth_of_the_living_wear_glasses() -> None:
    living = [c.episode for c in plan("casia-surf", 900).clips if c.pai == "bona_fide"]
    assert 0.15 < sum(e.eyewear != "none" for e in living) / len(living) < 0.25
    assert max(abs(e.yaw_deg) for e in living) == 25
    assert min(e.distance_mm for e in living) >= 300


def test_the_challenges_numbers_do_not_tell_the_label() -> None:
    """Bona fide lie anywhere in the anonymous splits."""
    lines = plan("casia-surf", 200).lists["test_private_list.txt"].splitlines()
    assert lines == sorted(lines)
    labels = np.array([int(line[-1]) for line in lines])
    assert abs(np.flatnonzero(labels).mean() / len(labels) - 0.5) < 0.1


def test_upside_down_videos_are_turned_by_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = np.full((480, 640, 3), 20, np.uint8)
    top[:240] = 230
    monkeypatch.setattr(products, "color_picture", lambda episode, index: top)
    tree = plan("msu-mfsd", 6, 2)
    clips = [c for c in tree.clips if c.pai == "bona_fide" and c.subject in ("client003", "client004")]
    write_tree(tmp_path / "t", "msu-mfsd", Tree(tuple(clips), tree.lists), {}, 1)
    table = open_dataset("msu-mfsd", tmp_path / "t")
    shown = [s for s in (table[row] for row in range(len(table))) if s.paths["rgb"].is_file()]
    assert [s.upside_down for s in shown].count(True) == 1
    for sample in shown:
        assert load(sample)["rgb"][:200].mean() > 200


def test_nothing_but_lists_and_pictures_reaches_the_readers(trees: dict[str, Path]) -> None:
    for name, root in trees.items():
        assert json.loads((root / NOTE).read_text())["layout"] == name
        table = open_dataset(LAYOUTS[name].dataset, root)
        assert not any(NOTE in str(path) for row in range(len(table)) for path in table[row].paths.values())


@pytest.mark.parametrize("name", RENDERED)
def test_equal_seeds_give_equal_bytes_with_any_number_of_workers(tmp_path: Path, name: str) -> None:
    tree = plan(name, RENDERED[name], 2)
    few = Tree((tree.clips[0], tree.clips[-1]), tree.lists)
    for workers in (1, 2):
        write_tree(tmp_path / str(workers), name, few, {}, workers)
    one, two = hashes(tmp_path / "1"), hashes(tmp_path / "2")
    assert one == two
    write_tree(tmp_path / "3", name, Tree(plan(name, RENDERED[name], 2, seed=1).clips[:1], {}), {}, 1)
    other = hashes(tmp_path / "3")
    shared = set(one) & set(other) - {NOTE}
    assert shared
    assert all(one[path] != other[path] for path in shared)


def test_a_rendered_face_is_a_face_before_nothing(tmp_path: Path) -> None:
    """CASIA-SURF: black outside the outline, relief of a head, and the same pixels in each modality."""
    tree = plan("casia-surf", 3)
    write_tree(tmp_path / "t", "casia-surf", Tree(tree.clips[:1], tree.lists), {}, 1)
    faces = load(open_dataset("casia-surf", tmp_path / "t", "paper")[0])
    assert faces["rgb"].shape[:2] == faces["ir"].shape == faces["depth"].shape
    assert all(picture[:4, :4].max() < 12 for picture in faces.values()), "JPEG rings a little"
    height, width = faces["depth"].shape
    middle = faces["depth"][height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]
    assert (middle > 0).mean() > 0.8
    assert 15 < np.ptp(np.percentile(middle[middle > 30], [5, 95])) < 60, "millimetres"


def test_own_captures_keep_the_cameras_geometry(tmp_path: Path) -> None:
    tree = plan("folder", 3)
    clips = [c for c in tree.clips if c.pai in ("bona_fide", "flat_print")][:4]
    rows = "".join(f"{clip.name},{clip.split.value}\n" for clip in clips)
    write_tree(tmp_path / "t", "folder", Tree(tuple(clips), {"captures.csv": f"folder,split\n{rows}"}), {}, 1)
    table = open_dataset("folder", tmp_path / "t")
    sample = table[0]
    assert (sample.device, sample.pai) == (f"SIM-{clips[0].episode.site}", clips[0].pai)
    (moment,) = load_frames(sample, 1)
    assert moment["depth"].dtype == np.uint16
    height, width = moment["depth"].shape
    middle = moment["depth"][height // 2 - 10 : height // 2 + 10, width // 2 - 10 : width // 2 + 10]
    assert abs(np.median(middle[middle > 0]) - clips[0].episode.distance_mm) < 80


def test_bench_v1_is_what_its_page_says() -> None:
    tree = bench.plan(bench.LAYOUT.default)
    frames = bench.bench().frames
    sizes = Counter((clip.split, clip.pai) for clip in tree.clips)
    tested = {pai: size * frames for (split, pai), size in sizes.items() if split is Split.TEST}
    assert tested.pop("bona_fide") >= 2000
    assert min(tested.values()) >= 500
    unseen = set(tested) - {pai for split, pai in sizes if split is not Split.TEST}
    assert unseen == {"cut_print", "flexible_mask", "mannequin"}
    for key in (lambda c: c.episode.subject, lambda c: c.episode.site):
        groups = [{key(clip) for clip in tree.clips if clip.split is split} for split in Split]
        assert len(set().union(*groups)) == sum(map(len, groups))


def test_no_condition_of_bench_v1_tells_the_label() -> None:
    """Each session and device of each split has bona fide and attacks."""
    rows = [row.split(",") for row in bench.plan(bench.LAYOUT.default).lists["captures.csv"].splitlines()]
    header, *rows = rows
    for name in ("session", "device"):
        column = header.index(name)
        for split in ("train", "dev", "test"):
            mine = {(row[column], row[1]) for row in rows if row[0] == split}
            values = {value for value, _ in mine}
            assert len(mine) == 2 * len(values), name
            assert 1 < len(values) <= 40, "evaluate shows no more"


def test_a_scaled_bench_is_sound(trees: dict[str, Path], run: Run) -> None:
    code, out, _ = run("data", "check", trees["bench-v1"], "--dataset", "folder")
    assert code == 0, out
    assert "cut_print" in out


def test_pictures_of_bench_v1_are_squares_around_the_face(tmp_path: Path) -> None:
    tree = bench.plan(bench.LAYOUT.default, scale=0.0001)
    (clip,) = (clip for clip in tree.clips if (clip.split, clip.pai) == (Split.TEST, "bona_fide"))
    lists = {"captures.csv": "\n".join(row for row in tree.lists["captures.csv"].splitlines() if clip.name in row)}
    lists["captures.csv"] = f"{','.join(bench.COLUMNS)}\n{lists['captures.csv']}"
    write_tree(tmp_path / "b", "bench-v1", Tree((clip,), lists), {}, 1)
    table = open_dataset("folder", tmp_path / "b")
    assert len(table) == bench.bench().frames
    pictures = load(table[0])
    assert {name: picture.shape[:2] for name, picture in pictures.items()} == dict.fromkeys(
        ("rgb", "ir", "depth"), (160, 160)
    )
    middle = pictures["depth"][60:100, 60:100]
    assert abs(np.median(middle[middle > 0]) - clip.episode.distance_mm) < 80


def test_a_crop_outside_the_picture_is_black() -> None:
    (clip, *_) = plan("casia-surf", 3).clips
    window = products.window_of(clip.episode, clip.frames)
    found = products.crop(clip.episode, 0, window, PixelBox(-40, -40, 60, 60))
    assert found.rgb[:40].max() == found.ir[:, :40].max() == found.depth_mm[:40].max() == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("casia-fasd", "oulu-npu")])
def test_rendered_trees_are_sound(tmp_path: Path, run: Run, name: str) -> None:
    words = ("--layout", name, "--subjects", SMALL[name], "--frames", 1, "--workers", 2)
    assert run("data", "synth", tmp_path / "t", *words)[0] == 0
    for protocol in DATASETS[name].protocols:
        assert run("data", "check", tmp_path / "t", "--dataset", name, "--protocol", protocol)[0] == 0
