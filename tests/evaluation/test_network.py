"""A network over a data set: what it is shown, the order of scores, shards, flips, and the page."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgefas.contracts import FaceBox, InputSpec, IRInput, MetricCrop, Modality, RGBInput
from edgefas.contracts.input_spec import DepthInput
from edgefas.data import inputs, open_dataset
from edgefas.data.inputs import encoder
from edgefas.evaluation.run import BATCH, Shard
from edgefas.models import create_model, save_checkpoint
from tests.conftest import Run
from tests.data import rgb_trees, trees
from tests.live.browser import MISSING, Browser, find_browser

SIZE = {"height_px": 32, "width_px": 32}
ALL = InputSpec(
    crop=MetricCrop(width_mm=190, height_mm=190), rgb=RGBInput(**SIZE), ir=IRInput(**SIZE), depth=DepthInput(**SIZE)
)


def checkpoint(path: Path, modality: str) -> Path:
    """A small network of one modality with random weights."""
    torch.manual_seed(0)
    options = {"modality": modality, "size_px": 32}
    model = create_model("mobilenetv2", **options)
    save_checkpoint(path, "mobilenetv2", options, model.state_dict(), model.input_spec)
    return path


@pytest.fixture(scope="module")
def color_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("network") / "rgb.safetensors", "rgb")


@pytest.fixture(scope="module")
def surf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("surf")
    trees.casia_surf_challenge(root)
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_a_network_is_shown_of_a_cut_out_face(tmp_path: Path) -> None:
    """Grey pictures of known values, by hand: (value / 255 - mean) / std, and flat depth without relief."""
    trees.casia_surf_challenge(tmp_path)
    table = open_dataset("casia-surf", tmp_path, "challenge")
    (shown,) = encoder(table, ALL, 10)(table[0])
    assert shown is not None
    for channel, (mean, std) in enumerate(zip(ALL.rgb.mean, ALL.rgb.std, strict=True)):
        np.testing.assert_allclose(shown["rgb"][0, channel], (trees.GREY["color"] / 255 - mean) / std, rtol=1e-5)
    np.testing.assert_allclose(shown["ir"], (trees.GREY["ir"] / 255 - 0.5) / 0.25, rtol=1e-5)
    np.testing.assert_allclose(shown["depth"], 0, atol=1e-6)


def test_relief_and_holes_of_depth_pictures(tmp_path: Path) -> None:
    """16-bit depth: near is high, 0 is nothing; 8-bit depth of CASIA-SURF: bright is near, a millimetre a step."""
    trees.captures(tmp_path)
    near = np.full((6, 8), 600, np.uint16)
    near[:, :2], near[:, 6:] = 570, 0
    (tmp_path / "depth.png").write_bytes(cv2.imencode(".png", near)[1].tobytes())
    (tmp_path / "grey.png").write_bytes(cv2.imencode(".png", np.where(near == 0, 0, near - 500).astype(np.uint8))[1])
    lines = ["split,label,pai,depth"] + [f"{split},{label},,{name}" for split, label, name in [
        ("train", "bona_fide", "depth.png"), ("test", "bona_fide", "grey.png")]]  # fmt: skip
    (tmp_path / "plain.csv").write_text("\n".join(lines) + "\n")
    table = open_dataset("folder", tmp_path, "plain")
    encode = encoder(table, ALL.model_copy(update={"rgb": None, "ir": None}), 1)
    deep, grey = (encode(table[row])[0]["depth"][0, 0] for row in (0, 1))
    assert deep[16, 2] == pytest.approx(30 / 60, abs=1e-3)
    assert abs(deep[16, 16]) < 1e-3
    assert deep[16, 30] == -1
    assert grey[16, 2] == pytest.approx(-30 / 60, abs=1e-3)  # as bright is near, what is darker lies behind


def test_a_dropped_modality_is_shown_as_nothing(surf: Path) -> None:
    table = open_dataset("casia-surf", surf, "challenge")
    (shown,) = encoder(table, ALL, 1, frozenset({Modality.IR, Modality.DEPTH}))(table[0])
    assert not shown["ir"].any()
    assert (shown["depth"] == ALL.depth.no_return).all()
    assert shown["rgb"].any()


LAYOUTS = [
    ("casia-surf", None, trees.casia_surf_challenge),
    ("casia-surf", "paper", trees.casia_surf_paper),
    ("cefa", "4@1", trees.cefa_challenge),
    ("wmca", None, trees.wmca),
    ("hq-wmca", None, trees.hq_wmca),
    ("celeba-spoof", None, rgb_trees.celeba_spoof),
    ("msu-mfsd", None, rgb_trees.msu_mfsd),
    ("oulu-npu", None, rgb_trees.oulu_npu),
    ("folder", None, trees.captures),
]


@pytest.mark.parametrize(("name", "protocol", "plant"), LAYOUTS, ids=[f"{n} {p or ''}" for n, p, _ in LAYOUTS])
def test_every_layout_is_judged(
    name: str,
    protocol: str | None,
    plant: Callable[[Path], object],
    color_network: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In grey squares there is no face to find: of whole pictures every second has one in a fixed place."""
    found = itertools.cycle([(2.0, 1.0, 4.0, 4.0), None])
    monkeypatch.setattr(inputs, "largest_face", lambda rgb: next(found))
    face = FaceBox(x_px=2, y_px=1, width_px=4, height_px=4, median_z_mm=600)
    monkeypatch.setattr(inputs, "detect_faces", lambda frame: [face])
    plant(tmp_path / "data")
    words = ["evaluate", color_network, "--data", tmp_path / "data", "--dataset", name, "--moments", 2]
    words += ["--threshold", "fixed=0", "--out", tmp_path / "out", "--json"]
    code, out, err = run(*words, *(("--protocol", protocol) if protocol else ()))
    assert code == 0, err
    made = json.loads(out)
    assert made["network"]["dataset"] == name
    scores = rows(tmp_path / "out" / "scores.csv")
    assert {row["split"] for row in scores} == {"dev", "test"}
    assert made["runs"][0]["presentations"]["test"] == sum(row["split"] == "test" for row in scores)
    unseen = sum(row["score"] == "" for row in scores)
    assert unseen == (len(scores) // 2 if name in ("msu-mfsd", "oulu-npu") else 0)


def test_shards_make_the_whole(color_network: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "largest_face", lambda rgb: (2.0, 1.0, 4.0, 4.0))
    rgb_trees.msu_mfsd(tmp_path / "data")
    words = ("evaluate", color_network, "--data", tmp_path / "data", "--dataset", "msu-mfsd", "--moments", 3)
    words += ("--threshold", "fixed=0")
    code, _, err = run(*words, "--out", tmp_path / "whole", "--workers", 1)
    assert code == 0, err
    parts = [tmp_path / f"part {number}" for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        code, out, err = run(*words, "--shard", f"{number}/2", "--out", part, "--workers", 3)
        assert code == 0, err
        assert f"shard {number} of 2" in out
    merging = [word for part in reversed(parts) for word in ("--merge", part)]
    code, _, err = run("evaluate", *merging, "--threshold", "fixed=0", "--out", tmp_path / "merged")
    assert code == 0, err
    for name in ("scores.csv", "run.json", "curve.csv"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    code, _, err = run("evaluate", *merging[2:], "--threshold", "fixed=0")
    assert code == 2
    assert "shards [2] are missing" in err
    twice = json.loads((parts[0] / "run.json").read_text()) | {"model_sha256": "0" * 64}
    (parts[0] / "run.json").write_text(json.dumps(twice))
    code, _, err = run("evaluate", *merging, "--threshold", "fixed=0")
    assert code == 2
    assert "is of another run" in err
    assert "model_sha256" in err


@pytest.mark.parametrize(("samples", "shards"), [(0, 1), (1, 3), (16, 2), (100, 3), (161, 7)])
def test_parts_begin_with_a_batch_and_miss_nothing(samples: int, shards: int) -> None:
    rows = np.arange(samples)
    parts = [Shard(number, shards).of_rows(rows) for number in range(1, shards + 1)]
    assert np.concatenate(parts).tolist() == rows.tolist()
    assert all(part[0] % BATCH == 0 for part in parts if len(part))


def test_flips_are_counted_per_species(tmp_path: Path, run: Run) -> None:
    head = "id,subject,label,pai,split,score"
    old = ["a,1,bona_fide,,test,1", "b,2,bona_fide,,test,-1", "c,3,attack,print,test,-1", "d,4,attack,mask,test,"]
    new = ["d,4,attack,mask,test,2", "c,3,attack,print,test,-2", "b,2,bona_fide,,test,1", "a,1,bona_fide,,test,-1"]
    (tmp_path / "old.csv").write_text("\n".join([head, *old]) + "\n")
    (tmp_path / "new.csv").write_text("\n".join([head, *new]) + "\n")
    words = ("evaluate", "--scores", tmp_path / "new.csv", "--against", tmp_path / "old.csv", "--threshold", "fixed=0")
    code, out, err = run(*words, "--json")
    assert code == 0, err
    assert json.loads(out)["flips"] == [
        {"pai": "bona_fide", "presentations": 2, "now_accepted": 1, "now_rejected": 1},
        {"pai": "mask", "presentations": 1, "now_accepted": 1, "now_rejected": 0},
        {"pai": "print", "presentations": 1, "now_accepted": 0, "now_rejected": 0},
    ]
    assert "now accepted" in run(*words)[1]
    (tmp_path / "old.csv").write_text("\n".join([head, *old[1:]]) + "\n")
    code, _, err = run(*words)
    assert (code, "differ in 1 presentations, the first is a" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data", "DATA", "--dataset", "casia-surf", "--drop-modality", "rgb"], 2, "keep at least one"),
        (["--data", "DATA", "--dataset", "casia-surf", "--drop-modality", "ir"], 2, "looks at rgb only"),
        (["--data", "DATA", "--dataset", "casia-surf", "--shard", "4/3"], 2, "expected i/n"),
        (["--data", "DATA", "--dataset", "casia-surf", "--shard", "1/3"], 2, "is empty; at most 1 are of use"),
        (["--data", "DATA", "--dataset", "casia-surf", "--shard", "2/2"], 2, "--shard needs --out"),
        (["--data", "DATA"], 2, "--dataset NAME"),
        (["--data", "DATA", "--dataset", "casia-surf", "--merge", "DATA"], 2, "give one of"),
        (["--data", "DATA", "--dataset", "casia-surv"], 2, "did you mean 'casia-surf'?"),
    ],
)
def test_wrong_arguments(words: list[str], code: int, message: str, color_network: Path, surf: Path, run: Run) -> None:
    got, _, err = run("evaluate", color_network, *(surf if word == "DATA" else word for word in words))
    assert got == code
    assert message in err


def test_a_network_of_other_modalities_is_refused(tmp_path: Path, run: Run) -> None:
    rgb_trees.celeba_spoof(tmp_path / "data")
    network = checkpoint(tmp_path / "ir.safetensors", "ir")
    code, _, err = run("evaluate", network, "--data", tmp_path / "data", "--dataset", "celeba-spoof")
    assert code == 2
    assert "celeba-spoof has no ir" in err
    assert "--drop-modality ir" in err


def test_a_leak_stops_it_until_it_is_allowed(color_network: Path, tmp_path: Path, run: Run) -> None:
    trees.casia_surf_challenge(tmp_path)
    lines = (tmp_path / "val_private_list.txt").read_text()
    test = tmp_path / "test_private_list.txt"
    test.write_text(test.read_text() + lines)
    words = ("evaluate", color_network, "--data", tmp_path, "--dataset", "casia-surf", "--threshold", "fixed=0")
    code, _, err = run(*words)
    assert code == 3
    assert "leaks" in err
    code, _, err = run(*words, "--allow", "shared_paths", "--out", tmp_path / "out")
    assert code == 0, err
    assert sum(row["id"].startswith("dev: Val/") for row in rows(tmp_path / "out" / "scores.csv")) == 3


def test_an_unreadable_picture_is_named(color_network: Path, tmp_path: Path, run: Run) -> None:
    trees.casia_surf_challenge(tmp_path)
    broken = next((tmp_path / "Testing").rglob("*-color.jpg"))
    broken.write_bytes(broken.read_bytes()[:100])
    code, _, err = run("evaluate", color_network, "--data", tmp_path, "--dataset", "casia-surf")
    assert code == 1
    assert broken.name in err


@pytest.mark.skipif(find_browser() is None, reason=MISSING)
def test_the_page_shows_curves_worst_errors_and_a_look_inside(tmp_path: Path, color_network: Path, run: Run) -> None:
    data = tmp_path / "data"
    rng = np.random.default_rng(0)
    lines = ["split,label,pai,subject,session,device,rgb"]
    (data / "a b").mkdir(parents=True)
    for number in range(36):
        split, attack = ("train", "dev", "test")[number % 3], number // 3 % 2
        name = f"a b/{number}.png"
        picture = rng.integers(0, 256, (48, 48, 3), np.uint8)
        (data / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        where = f"s{number // 6 % 2},d{number // 12 % 2}"
        lines.append(
            f"{split},{'attack' if attack else 'bona_fide'},{'print' if attack else ''},{number},{where},{name}"
        )
    (data / "captures.csv").write_text("\n".join(lines) + "\n")
    code, _, err = run("evaluate", color_network, "--data", data, "--dataset", "folder", "--out", tmp_path / "out")
    assert code == 0, err
    page = tmp_path / "out" / "report.html"
    assert "<script" not in page.read_text()
    browser = find_browser()
    assert browser is not None
    with Browser(browser) as tab:
        tab.open(page.as_uri())
        tab.wait("document.querySelectorAll('.curves svg').length === 5")
        assert tab.value("[...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().width > 200)")
        assert tab.value("document.querySelectorAll('.case').length") > 0
        assert tab.value("[...document.querySelectorAll('.case img')].every(i => i.naturalWidth > 0)")
        assert tab.value("[...document.querySelectorAll('.case img')].some(i => i.alt.includes('Grad-CAM'))")
        text = tab.value("document.body.innerText")
        for words in ("ROC", "DET", "session s0", "device d1", "t-SNE", "By condition"):
            assert words in text
        assert tab.console == []
