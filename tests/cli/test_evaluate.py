"""`edgefas evaluate`: the tables, the document and every wrong argument."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Run

HEADER = "id,subject,label,pai,split,score,video"


def write(path: Path, seed: int = 0, shift: float = 1.5, splits: tuple[str, ...] = ("dev", "test")) -> Path:
    """Two splits of 400 frames, subjects apart, one in fifty without a score."""
    rng = np.random.default_rng(seed)
    lines = [HEADER]
    for split in splits:
        for number in range(400):
            pai = ("", "print", "mask [3d]")[number // 4 % 3]
            score = rng.normal() + (shift if not pai else -shift)
            video = f"{split}-{number // 4}"
            text = "" if rng.random() < 0.02 else f"{score:.3f}"
            label = "attack" if pai else "bona_fide"
            lines.append(f"{video}/{number},{split}{number // 40},{label},{pai},{split},{text},{video}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("scores") / "s.csv")


def test_the_document_names_every_figure(scores: Path, run: Run) -> None:
    code, out, err = run("evaluate", "--scores", scores, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["schema"] == "edgefas.evaluation/1"
    assert document["over_runs"] == {}
    (found,) = document["runs"]
    assert found["file"] == str(scores)
    assert (found["level"], found["nonresponse"]) == ("frame", "reject")
    assert found["presentations"] == {"train": 0, "dev": 400, "test": 400}
    assert found["subjects"] == 10
    assert (found["threshold"]["rule"], found["threshold"]["split"]) == ("dev-eer", "dev")
    assert set(found["dev"]) == {"APCER", "APCER_per_PAI", "BPCER"}
    assert set(found["PAI"]) == {"print", "mask [3d]"}
    assert found["PAI"]["print"]["APCER"]["attacks"] == found["PAI"]["print"]["presentations"] == 132
    assert set(found["at_threshold"]) == {
        "APCER", "APCER_mean", "APCER_pooled", "BPCER", "ACER", "HTER", "accuracy", "APNRR", "BPNRR",
    }  # fmt: skip
    assert set(found["curve"]) == {
        "EER", "AUC", "TPR@FPR=0.01", "TPR@FPR=0.001", "TPR@FPR=0.0001", "BPCER10", "BPCER20", "BPCER100",
        "APCER@BPCER=0.1", "APCER@BPCER=0.05", "APCER@BPCER=0.01", "accuracy@BPCER=0.01",
    }  # fmt: skip
    worst = max(found["PAI"], key=lambda name: found["PAI"][name]["APCER"]["value"])
    assert found["at_threshold"]["APCER"]["pai"] == worst
    assert found["at_threshold"]["APCER"]["value"] == found["PAI"][worst]["APCER"]["value"]
    for name in ("BPCER", "APCER_pooled"):
        figure = found["at_threshold"][name]
        assert figure["exact"][0] < figure["value"] < figure["exact"][1]
        assert figure["subjects"][0] < figure["value"] < figure["subjects"][1]
        assert figure["bona_fide"] + figure["attacks"] > 100
    assert found["curve"]["TPR@FPR=0.0001"]["value"] is None
    assert found["curve"]["TPR@FPR=0.0001"]["reason"] == "needs 10,000 attacks, there are 264"
    assert 0 < found["curve"]["TPR@FPR=0.01"]["achieved"] <= 0.01


def test_the_table_says_where_its_figures_come_from(scores: Path, run: Run) -> None:
    code, out, _ = run("evaluate", "--scores", scores)
    assert code == 0
    for words in ("mask [3d]", "95 % exact", "95 % subjects", "APNRR", "BPNRR", "chosen by dev-eer on split dev"):
        assert words in out
    assert "TPR@FPR=0.0001 is n/a: needs 10,000 attacks" in out
    assert "the worst species" in out
    assert max(len(line) for line in out.splitlines() if line[:1] in "┏┃┡│└") <= 80


@pytest.mark.parametrize("rule", ["dev-eer", "bpcer=0.1", "apcer=0.05", "fixed=0.5"])
def test_rules(rule: str, scores: Path, run: Run) -> None:
    code, out, _ = run("evaluate", "--scores", scores, "--threshold", rule, "--json")
    assert code == 0
    found = json.loads(out)["runs"][0]
    assert found["threshold"]["rule"] == rule
    assert found["threshold"]["split"] == (None if rule.startswith("fixed") else "dev")
    if rule == "bpcer=0.1":
        assert found["dev"]["BPCER"] <= 0.1
    if rule == "apcer=0.05":
        assert max(found["dev"]["APCER_per_PAI"].values()) <= 0.05


def test_videos_and_nonresponses(scores: Path, run: Run) -> None:
    code, out, _ = run("evaluate", "--scores", scores, "--level", "video", "--nonresponse", "exclude", "--json")
    assert code == 0
    found = json.loads(out)["runs"][0]
    assert (found["level"], found["nonresponse"], found["presentations"]["test"]) == ("video", "exclude", 100)
    code, _, err = run("evaluate", "--scores", scores, "--nonresponse", "error")
    assert code == 1
    assert "have no score" in err
    assert "--nonresponse reject" in err


def test_runs_are_averaged(scores: Path, tmp_path: Path, run: Run) -> None:
    more = [word for seed in (1, 2) for word in ("--scores", write(tmp_path / f"{seed}.csv", seed))]
    code, out, _ = run("evaluate", "--scores", scores, *more, "--json")
    assert code == 0
    document = json.loads(out)
    assert len(document["runs"]) == 3
    values = [found["at_threshold"]["ACER"]["value"] for found in document["runs"]]
    mean = document["over_runs"]["ACER"]
    assert (mean["runs"], mean["mean"]) == (3, pytest.approx(np.mean(values)))
    assert mean["low"] < mean["mean"] < mean["high"]
    code, out, _ = run("evaluate", "--scores", scores, *more)
    assert code == 0
    assert "over the runs" in out


def test_out_holds_the_document_and_the_curve(scores: Path, tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "new" / "out"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("stays")
    code, out, _ = run("evaluate", "--scores", scores, "--json", "--out", folder)
    assert code == 0
    assert json.loads((folder / "evaluation.json").read_text()) == json.loads(out)
    assert {path.name for path in folder.iterdir()} == {
        "evaluation.json", "curve.csv", "report.html", "mine.txt",
    }  # fmt: skip
    rows = list(csv.DictReader((folder / "curve.csv").read_text().splitlines()))
    assert [float(rows[n]["APCER"]) for n in (0, -1)] == [pytest.approx(1, abs=0.05), 0]
    assert float(rows[-1]["BPCER"]) == 1
    eer = json.loads(out)["runs"][0]["curve"]["EER"]
    at = next(row for row in rows if float(row["threshold"]) == eer["threshold"])
    assert (float(at["APCER_pooled"]) + float(at["BPCER"])) / 2 == pytest.approx(eer["value"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--threshold", "eer"], 2, "--threshold 'eer' is no rule; allowed are dev-eer"),
        (["--threshold", "bpcer=2"], 2, "a SHARE being between 0 and 1"),
        (["--nonresponse", "maybe"], 2, "--nonresponse"),
        (["--level", "pixel"], 2, "--level"),
        (["--threshold", "bpcer=0.001"], 1, "a BPCER of 0.001 is out of reach"),
    ],
)
def test_wrong_arguments(arguments: list[str], code: int, words: str, scores: Path, run: Run) -> None:
    found, out, err = run("evaluate", "--scores", scores, *arguments)
    assert (found, out) == (code, "")
    assert words in err


def test_wrong_files(tmp_path: Path, run: Run) -> None:
    assert run("evaluate")[0] == 2
    code, _, err = run("evaluate", "--scores", tmp_path / "none.csv")
    assert code == 1
    assert "none.csv is not there" in err
    code, _, err = run("evaluate", "--scores", write(tmp_path / "t.csv", splits=("test",)))
    assert code == 2
    assert "--threshold fixed=SCORE" in err
    assert run("evaluate", "--scores", tmp_path / "t.csv", "--threshold", "fixed=0")[0] == 0
    (tmp_path / "f").write_text("")
    code, _, err = run("evaluate", "--scores", tmp_path / "t.csv", "--threshold", "fixed=0", "--out", tmp_path / "f")
    assert code == 1
    assert "f" in err
