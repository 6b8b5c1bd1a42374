"""`edgefas calibrate --scores`: from a table to a policy, its page, `live` and `bundle create`; every wrong table."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefas.contracts import Policy
from edgefas.deploy.pack import network_digest_of
from tests.bundles import SPEC, write_quantised, write_small_bundle
from tests.calibration import transcription as naive
from tests.conftest import Run
from tests.live.browser import MISSING, Browser, find_browser

HEADER = "id,subject,label,pai,split,score,video"
PEOPLE = 40


def table() -> list[str]:
    """People and attacks of 1 to 6 frames, a little overlap; split test is nonsense that nothing may look at."""
    rng = np.random.default_rng(6)
    lines = []
    for person in range(PEOPLE):
        for label, pai, mean in (("bona_fide", "", 2.0), ("attack", ("print", "mask")[person % 2], -2.0)):
            for frame in range(rng.integers(1, 7)):
                score = repr(mean + 1.2 * rng.normal())
                lines.append(f"{label}{person}/{frame},p{person},{label},{pai},dev,{score},{label}{person}")
                lines.append(f"t{label}{person}/{frame},t{person},{label},{pai},test,{-99 * mean},t{label}{person}")
    return lines


def recordings(lines: list[str]) -> list[naive.Recording]:
    found: dict[str, tuple[str, str, list[float]]] = {}
    for line in lines:
        _, _, label, pai, split, score, video = line.split(",")
        if split == "dev" and score:
            found.setdefault(video, (label, pai, []))[2].append(float(score))
    return list(found.values())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.efas")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    path.write_text("\n".join([HEADER, *table()]) + "\n")
    return path


@pytest.fixture
def calibrate(run: Run, bundle: Path) -> Run:
    def calibrated(*words: object) -> tuple[int, str, str]:
        return run("calibrate", "--model", bundle, "--allow-unsigned", *words)

    return calibrated


def test_a_table_gives_the_threshold_of_its_definition(calibrate: Run, scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    code, said, err = calibrate("--scores", scores, "--target-bpcer", 0.05, "-o", out, "--json")
    assert code == 0, err
    rows, made = recordings(table()), json.loads(said)
    policy = Policy.from_json(out.read_bytes())
    assert policy.threshold == naive.threshold_at_bpcer(rows, "0.05")
    assert made["rates"]["bpcer"]["share"] == pytest.approx(float(naive.bpcer(rows, policy.threshold)))
    assert made["rates"]["bpcer"]["share"] <= 0.05
    worst = max(rate["share"] for rate in made["rates"]["apcer"].values())
    assert worst == pytest.approx(float(naive.max_apcer(rows, policy.threshold)))
    low, high = made["threshold_interval"]
    assert low < policy.threshold < high
    assert made["drawn"] == "subjects"
    assert policy.calibration is not None
    assert policy.calibration.data_sha256 == hashlib.sha256(
        f"{hashlib.sha256(scores.read_bytes()).hexdigest()}\n".encode()
    ).hexdigest()  # fmt: skip
    assert (policy.calibration.bona_fide_episodes, policy.calibration.attack_episodes) == (PEOPLE, PEOPLE)
    assert policy.calibration.frames == sum(len(scores) for _, _, scores in rows)
    goal = made["goals"][0]
    observed = goal["observed"]
    assert observed == made["held_out"]["rates"]["bpcer"]["share"]
    needed = naive.captures_needed(0.05, observed, 2000) if observed < 0.05 else None
    assert goal["needed_as_observed"] == (None if needed is None else {"recordings": needed[0], "errors": needed[1]})
    assert goal["needed_without_errors"] == {"recordings": 59, "errors": 0}


def test_held_out_quality_is_told(calibrate: Run, scores: Path, tmp_path: Path) -> None:
    made = json.loads(calibrate("--scores", scores, "-o", tmp_path / "p.json", "--json")[1])
    before, after = made["held_out"]["uncalibrated"], made["held_out"]["calibrated"]
    rows = recordings(table())
    assert before["nll"] == pytest.approx(naive.loss(rows, [scores for _, _, scores in rows]))
    assert before["ece"] == pytest.approx(naive.calibration_error(rows, [scores for _, _, scores in rows], 10))
    fitted = made["calibration"]
    same = [[fitted["slope"] * score + fitted["offset"] for score in scores] for _, _, scores in rows]
    assert naive.loss(rows, same) < after["nll"] < before["nll"], "held out it is worse than on what it was fitted to"


def test_where_the_correlation_comes_from_is_never_silent(
    run: Run, calibrate: Run, scores: Path, tmp_path: Path
) -> None:
    code, said, _ = calibrate("--scores", scores, "-o", tmp_path / "p.json")
    assert code == 0
    assert "frames correlated over 10000 ms: assumed, as a table of scores tells no times" in said
    assert "door" not in said.split("next:")[0].replace("at the door", ""), "no door can be played without times"
    first = Policy.from_json((tmp_path / "p.json").read_bytes())
    assert first.calibration is not None
    assert first.calibration.correlation_from == "assumed"

    folder = write_quantised(tmp_path / "net")
    measured = first.calibration.model_copy(
        update={
            "model_sha256": network_digest_of(folder),
            "correlation_from": "recordings",
            "correlation_ms": 777,
        }
    )
    (tmp_path / "site.json").write_text(first.model_copy(update={"calibration": measured}).to_json())
    door = tmp_path / "door.efas"
    words = ("--release", 1, "--trained-on", "nothing", "--policy", tmp_path / "site.json")
    assert run("bundle", "create", folder, "-o", door, *words)[0] == 0
    before = door.read_bytes()
    code, said, err = run(
        "calibrate", "--model", door, "--allow-unsigned", "--scores", scores, "-o", tmp_path / "again.json"
    )
    assert code == 0, err
    assert "frames correlated over 777 ms: kept from the model's policy" in said
    again = Policy.from_json((tmp_path / "again.json").read_bytes()).calibration
    assert again is not None
    assert (again.correlation_ms, again.correlation_from) == (777, "start_policy")
    assert door.read_bytes() == before


def test_live_and_bundle_take_the_policy(run: Run, scores: Path, tmp_path: Path) -> None:
    folder = write_quantised(tmp_path / "net")
    site = tmp_path / "site.json"
    code, _, err = run(
        "calibrate", "--scores", scores, "--model", folder, "--allow-unsigned", "--target-bpcer", 0.05, "-o", site
    )
    assert code == 0, err
    words = ("live", "--camera", "simulated:frames=2", "--frames", 2, "--allow-unsigned", "--json", "--policy", site)
    code, out, err = run(*words, "--model", folder)
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["state"]["rule"] for line in lines] == ["sprt", "sprt"]
    assert "frames vote" not in err
    door = tmp_path / "door.efas"
    words = ("--release", 1, "--trained-on", "nothing", "--policy", site)
    code, _, err = run("bundle", "create", folder, "-o", door, *words)
    assert code == 0, err
    shown = json.loads(run("bundle", "show", door, "--allow-unsigned", "--json")[1])
    assert shown["policy"] == json.loads(site.read_bytes())
    assert shown["policy"]["calibration"]["data_sha256"]


def test_what_evaluate_wrote_is_held_against_its_network(run: Run, tmp_path: Path) -> None:
    """Depth with a bump, large for bona fide: the mean tells them. Folder and bundle of a network are one network."""
    spec = SPEC.model_copy(update={"rgb": None, "ir": None})
    folder = write_quantised(tmp_path / "net", spec)
    data = tmp_path / "data"
    data.mkdir()
    lines = ["split,label,pai,subject,depth"]
    for number in range(24):
        split, alive = ("train", "dev", "dev")[number % 3], number // 3 % 2
        picture = np.full((32, 32), 600, np.uint16)
        picture[:, : 2 + 8 * alive + number % 2] = 570
        (data / f"{number}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        lines.append(f"{split},{'bona_fide,' if alive else 'attack,print'},{number},{number}.png")
    (data / "captures.csv").write_text("\n".join([*lines, *_tested(data)]) + "\n")
    door = tmp_path / "door.efas"
    assert run("bundle", "create", folder, "-o", door, "--release", 1, "--trained-on", "nothing")[0] == 0
    for number, network in enumerate((folder, door)):
        judged = tmp_path / f"judged{number}"
        code, _, err = run("evaluate", network, "--data", data, "--dataset", "folder", "--out", judged, "--json")
        assert code == 0, err
        for model in (folder, door):
            words = ("--scores", judged / "scores.csv", "--model", model, "--allow-unsigned")
            code, _, err = run("calibrate", *words, "-o", tmp_path / "p.json")
            assert code == 0, err
            assert "nobody can check" not in err
    other = write_small_bundle(tmp_path / "other.efas")
    words = ("--scores", judged / "scores.csv", "--allow-unsigned", "-o", tmp_path / "never.json")
    code, _, err = run("calibrate", *words, "--model", other)
    assert code == 1
    assert f"holds scores of door.efas ({network_digest_of(folder)[:12]}…), --model is small" in err
    made = json.loads((judged / "run.json").read_text()) | {"dropped": ["depth"]}
    (judged / "run.json").write_text(json.dumps(made))
    code, _, err = run("calibrate", *words, "--model", door)
    assert code == 1
    assert "was shown nothing of depth" in err
    (judged / "run.json").write_text("{}")
    code, _, err = run("calibrate", *words, "--model", door)
    assert code == 1
    assert "run.json" in err
    assert not (tmp_path / "never.json").exists()


def _tested(data: Path) -> list[str]:
    """Split test must have both classes for `edgefas evaluate`."""
    for name, near in (("a", 4), ("b", 8)):
        picture = np.full((32, 32), 600, np.uint16)
        picture[:, :near] = 560
        (data / f"{name}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return ["test,attack,print,100,a.png", "test,bona_fide,,101,b.png"]


def changed(change: Callable[[list[str]], list[str]]) -> Callable[[Path], list[object]]:
    """Arguments for a table that was changed."""

    def made(folder: Path) -> list[object]:
        path = folder / "scores.csv"
        path.write_text("\n".join([HEADER, *change(table())]) + "\n")
        return ["--scores", path]

    return made


WRONG: dict[str, tuple[Callable[[Path], list[object]], int, str]] = {
    "no dev": (
        changed(lambda rows: [row for row in rows if ",test," in row]),
        1, "has no rows of split dev (0 of train, ",
    ),
    "train only": (
        changed(lambda rows: [row.replace(",dev,", ",train,") for row in rows if ",dev," in row]), 1, "0 of test",
    ),
    "one class": (
        changed(lambda rows: [row for row in rows if ",attack," in row]), 1, "0 bona_fide, 40 attack recordings",
    ),
    "nan": (changed(lambda rows: [re.sub(r"dev,[^,]*", "dev,nan", rows[0]), *rows[1:]]), 1, "line 2: score 'nan'"),
    "infinite": (changed(lambda rows: [re.sub(r"dev,[^,]*", "dev,inf", rows[0]), *rows[1:]]), 1, "line 2: score 'inf'"),
    "videos that disagree": (
        changed(lambda rows: [*rows, "x,p9,bona_fide,,dev,1,attack0"]), 1, "video attack0 has more than one",
    ),
    "mixed up labels": (
        changed(lambda rows: [re.sub("dev,(-?)", lambda m: "dev," + ("" if m[1] else "-"), row) for row in rows]),
        1, "labels are mixed up",
    ),
    "not there": (lambda folder: ["--scores", folder / "none.csv"], 1, "none.csv is not there"),
    "no table": (lambda folder: ["--scores", Path(__file__)], 1, "no column"),
    "recordings, too": (lambda folder: [*changed(list)(folder), "--bona-fide", "simulated"], 2, "give one of them"),
    "twice": (lambda folder: changed(list)(folder) * 2, 2, "is given twice"),
    "no share": (lambda folder: [*changed(list)(folder), "--target-bpcer", "1"], 2, "target-bpcer"),
    "nan share": (lambda folder: [*changed(list)(folder), "--target-bpcer", "nan"], 2, "target-bpcer"),
    "zero share": (lambda folder: [*changed(list)(folder), "--target-apcer", "0"], 2, "target-apcer"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_tables(calibrate: Run, tmp_path: Path, name: str) -> None:
    arguments, code, words = WRONG[name]
    found, out, err = calibrate(*arguments(tmp_path), "-o", tmp_path / "never.json")
    assert (found, out) == (code, "")
    assert words in err
    assert not (tmp_path / "never.json").exists()


def test_a_copy_counts_once_and_a_table_needs_its_network(
    run: Run, calibrate: Run, scores: Path, tmp_path: Path
) -> None:
    (tmp_path / "copy.csv").write_bytes(scores.read_bytes())
    code, _, err = calibrate("--scores", scores, "--scores", tmp_path / "copy.csv", "-o", tmp_path / "never.json")
    assert code == 2
    assert "are the same, byte for byte" in err
    code, _, err = run("calibrate", "--scores", scores, "-o", tmp_path / "never.json")
    assert code == 2
    assert "--scores needs --model" in err


def test_rows_without_a_video_are_recordings_and_those_without_a_score_are_told(calibrate: Run, tmp_path: Path) -> None:
    rows = [row.rpartition(",")[0] for row in table()]
    silent = re.sub(r"dev,.*", "dev,", rows[0])
    (tmp_path / "s.csv").write_text("\n".join([HEADER.removesuffix(",video"), silent, *rows[1:]]) + "\n")
    code, said, err = calibrate("--scores", tmp_path / "s.csv", "-o", tmp_path / "p.json", "--json")
    assert code == 0, err
    made = json.loads(said)
    dev = sum(",dev," in row for row in rows)
    assert f"1 of {dev} rows of split dev have no score and are left out" in err
    assert made["left_out"] == [f"{tmp_path / 's.csv'}: bona_fide0/0 (0 of 1 frames scored)"]
    assert made["calibration"]["bona_fide_episodes"] + made["calibration"]["attack_episodes"] == dev - 1
    assert any("nobody can check" in note for note in made["notes"])
    assert any("left out, fewer than 1 frames with a score" in note for note in made["notes"])


def test_targets_that_exclude_each_other_are_told(calibrate: Run, scores: Path, tmp_path: Path) -> None:
    words = ("--target-bpcer", 0.01, "--target-apcer", 0.001, "-o", tmp_path / "p.json")
    code, said, err = calibrate("--scores", scores, *words)
    assert code == 0
    assert "no threshold meets both targets" in err
    assert "0.10% were asked for" in err
    assert "cannot show 1.00% with 95 % certainty; it takes 299 without an error" in said
    assert "cannot show 0.10% with 95 % certainty; it takes 2995 without an error" in said


def test_a_page_that_cannot_be_drawn_or_written_loses_nothing(
    calibrate: Run, scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = calibrate("--scores", scores, "-o", tmp_path / "p.json", "--report", tmp_path / "no" / "r.html")
    assert code == 1
    assert "cannot write" in err
    assert (tmp_path / "p.json").exists()
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    code, said, err = calibrate("--scores", scores, "-o", tmp_path / "q.json", "--report", tmp_path / "r.html")
    assert code == 0
    assert "pip install 'edgefas[report]'" in err
    assert "next: edgefas live" in said
    assert (tmp_path / "q.json").read_bytes() == (tmp_path / "p.json").read_bytes()
    assert not (tmp_path / "r.html").exists()


@pytest.mark.skipif(find_browser() is None, reason=MISSING)
def test_the_page_in_a_browser(calibrate: Run, scores: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    words = ("--target-bpcer", 0.05, "-o", tmp_path / "p.json", "--report", page)
    code, _, err = calibrate("--scores", scores, *words)
    assert code == 0, err
    assert "<script" not in page.read_text()
    assert "http" not in re.sub(
        r"http://www\.w3\.org/\S+|https?://(purl|creativecommons)\.org/\S+", "", page.read_text()
    )
    browser = find_browser()
    assert browser is not None
    with Browser(browser) as tab:
        tab.open(page.as_uri())
        tab.wait("document.querySelectorAll('.curves svg').length === 2")
        assert tab.value("[...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().width > 200)")
        text = tab.value("document.body.innerText")
        for words_on_it in (
            "Reliability where held out", "Scores", "APCER of mask", "nobody can check", "59 without an error",
            "assumed, as a table of scores tells no times", "small, sha256",
        ):  # fmt: skip
            assert words_on_it in text
        assert tab.console == []
