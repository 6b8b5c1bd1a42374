"""A paper's table again: every row trained and judged by split test, stopped and gone on with, and written down."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from edgefas.contracts import ContractError
from edgefas.errors import UsageError
from edgefas.training.ablation import RESULT, SHIPPED, Ablation, load_ablation, recipe_of, size_of
from edgefas.training.recipe import DatasetData
from edgefas.training.run_folder import RECIPE as RECIPE_FILE
from edgefas.training.run_folder import RESUME
from tests.conftest import Run

NAMES = sorted(entry.name.removesuffix(".yaml") for entry in SHIPPED.iterdir())
RECIPE = {
    "model": "mobilenetv2",
    "model_options": {"modality": "depth", "size_px": 32},
    "data": {"kind": "dataset", "dataset": "folder"},
    "optimiser": {"learning_rate": 0.003},
    "epochs": 2,
    "batch_size": 8,
    "seed": 1,
}
TABLE: dict[str, Any] = {
    "title": "A table",
    "source": "a paper, percent",
    "columns": ["Patch"],
    "figures": {"BPCER": "BPCER", "HTER": "ACER", "parameters": "Params (M)", "TPR@FPR=0.0001": "TPR"},
    "rows": [
        {"cells": ["whole"], "paper": [1.5, 2.5, 3.5, 4.5]},
        {"cells": ["16x16"], "changes": {"model_options.patch_px": 16}},
    ],
    "notes": ["A note."],
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """Relief is alive, flat is not; one person per split."""
    root, rng = tmp_path / "captures", np.random.default_rng(0)
    root.mkdir()
    rows, cols = np.mgrid[-1:1:32j, -1:1:32j]
    lines = ["split,label,pai,subject,depth"]
    for split, count in (("train", 24), ("dev", 12), ("test", 12)):
        for number in range(count):
            alive = number % 2
            depth = 600 - 50 * alive * np.exp(-4 * (rows**2 + cols**2)) + rng.normal(0, 2, (32, 32))
            name = f"{split}{number}.png"
            cv2.imwrite(str(root / name), depth.astype(np.uint16))
            lines.append(f"{split},{'bona_fide,' if alive else 'attack,flat_print'},{split},{name}")
    (root / "captures.csv").write_text("\n".join(lines) + "\n")
    return root


def written(folder: Path, **changes: Any) -> Path:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    made = {**TABLE, "recipe": str(folder / "recipe.yaml"), **changes}
    (folder / "table.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    return folder / "table.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_row_is_a_recipe_of_a_network_that_there_is(name: str) -> None:
    ablation = load_ablation(name)
    recipes = [recipe_of(ablation, row, 2, ["data.root=somewhere", "epochs=3"]) for row in ablation.rows]
    for recipe in recipes:
        assert isinstance(recipe.data, DatasetData)
        assert (recipe.data.root, recipe.seed, recipe.epochs) == ("somewhere", 2, 3)
    assert len({recipe.to_json() for recipe in recipes}) == len(recipes), "two rows are the same run"


def test_parameters_are_those_the_paper_counts() -> None:
    """Infrared and depth have one channel here and three in the paper: up to 0.28 M less."""
    ablation = load_ablation("mm-fas-table2")
    for row in ablation.rows:
        params_m = size_of(recipe_of(ablation, row, 1, ["model_options.size_px=224"])) / 1e6
        assert params_m == pytest.approx(row.paper[0] - 0.14, abs=0.15 + 0.002 * row.paper[0])


def test_rows_are_trained_judged_and_written(captures: Path, tmp_path: Path, run: Run, root: Path) -> None:
    commit = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], cwd=root, text=True).strip()
    table, out = written(tmp_path), tmp_path / "out"
    words = ("train", "--ablation", table, f"data.root={captures}", "--out", out, "--workers", 0, "--seeds", 2)
    code, shown, _ = run(*words)
    assert code == 0, shown
    made = json.loads((out / "table.json").read_text())
    assert made["data"] == "folder captures"
    assert [row["cells"] for row in made["rows"]] == [{"Patch": "whole"}, {"Patch": "16x16"}]
    assert [[one["seed"] for one in row["runs"]] for row in made["rows"]] == [[1, 2], [1, 2]]
    assert made["rows"][0]["paper"] == {"BPCER": 1.5, "HTER": 2.5, "parameters": 3.5, "TPR@FPR=0.0001": 4.5}
    for number, row in enumerate(made["rows"], 1):
        for one in row["runs"]:
            folder = out / f"row-{number}" / f"seed-{one['seed']}"
            best = folder / "best.safetensors"
            code, told, _ = run("evaluate", best, "--data", captures, "--dataset", "folder", "--moments", 5, "--json")
            assert code == 0
            figures = json.loads(told)["runs"][0]["at_threshold"]
            assert one["figures"]["BPCER"] == pytest.approx(100 * figures["BPCER"]["value"])
            assert one["figures"]["HTER"] == pytest.approx(100 * figures["HTER"]["value"])
            assert one["figures"]["parameters"] == pytest.approx(2.224, abs=0.01)
            assert one["figures"]["TPR@FPR=0.0001"] is None, "six attacks cannot tell one in 10,000"
            metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            assert one["validation_loss"] == [line["validation_loss"] for line in metrics]
            assert one["best_epoch"] == 1 + int(np.argmin(one["validation_loss"]))
            assert one["commit"] == commit
    text = (out / "table.md").read_text()
    assert f"- commit: {commit} (4 runs)" in text
    assert "A note." in text
    first = next(line for line in text.splitlines() if line.startswith("| whole"))
    values = [one["figures"]["HTER"] for one in made["rows"][0]["runs"]]
    assert f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f} (2.5)" in first
    assert "n/a (4.5)" in first
    assert text in shown
    assert "<svg" in (out / "curves.svg").read_text()


def test_what_is_done_is_not_done_again(captures: Path, tmp_path: Path, run: Run) -> None:
    table, out = written(tmp_path), tmp_path / "out"
    words = ("train", "--ablation", table, f"data.root={captures}", "--out", out, "--workers", 0, "--json")
    code, first, _ = run(*words)
    assert code == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("best.safetensors")}
    assert len(before) == 2
    (out / "row-2" / "seed-1" / RESULT).unlink()  # judged again, not trained again
    code, second, _ = run(*words)
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert json.loads(first)["rows"][0] == json.loads(second)["rows"][0]
    figures = [json.loads(text)["rows"][1]["runs"][0]["figures"] for text in (first, second)]
    assert figures[0] == figures[1]

    for gone in (None, RESUME):
        for path in out.rglob(gone or "nothing"):
            path.unlink()
        code, _, told = run(*words, "epochs=3")
        assert code == 2
        assert "holds a run of another recipe: epochs was 2, is 3" in told

    further = written(tmp_path, figures={**TABLE["figures"], "EER": "EER"}, rows=[{"cells": ["whole"]}])
    code, third, told = run(*words)  # the same file, whose table has a column more
    assert code == 0, told
    (result,) = json.loads(third)["rows"][0]["runs"]
    assert further == table
    assert result["figures"]["EER"] is not None
    assert result["minutes"] is None, "it was trained before"
    assert "not known" in (out / "table.md").read_text()


def test_the_balance_of_gradients_is_a_figure(captures: Path, tmp_path: Path, run: Run) -> None:
    lines = (captures / "captures.csv").read_text().splitlines()
    for line in lines[1:]:
        name = line.rsplit(",", 1)[1]
        grey = np.full((32, 32), 90 + 60 * ("bona_fide" in line), np.uint8)
        cv2.imwrite(str(captures / f"ir-{name}"), grey)
        cv2.imwrite(str(captures / f"rgb-{name}"), np.dstack([grey] * 3))
    told = [f"{line},ir-{line.rsplit(',', 1)[1]},rgb-{line.rsplit(',', 1)[1]}" for line in lines[1:]]
    (captures / "captures.csv").write_text("\n".join([lines[0] + ",ir,rgb", *told]) + "\n")
    options = {"width": 0.25, "adapter": 4, "hidden": 8, "size_px": 32}
    table = written(
        tmp_path,
        changes={"model": "uadapter-fas", "model_options": options, "epochs": 1},
        figures={"gradient_balance": "Balance", "validation_loss": "Loss", "epochs_to_converge": "Epochs"},
        rows=[{"cells": ["with"]}],
    )
    code, shown, _ = run(
        "train", "--ablation", table, f"data.root={captures}", "--out", tmp_path / "out", "--workers", 0, "--json"
    )
    assert code == 0
    figures = json.loads(shown)["rows"][0]["runs"][0]["figures"]
    assert 0 < figures["gradient_balance"] <= 100
    assert figures["validation_loss"] == pytest.approx(json.loads(shown)["rows"][0]["runs"][0]["validation_loss"][0])
    assert figures["epochs_to_converge"] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"figures": {"ACCER": "x"}}, "'ACCER' is not known; known: APCER"),
        ({"rows": [{"cells": ["a", "b"]}]}, "has 2 cells, the table 1"),
        ({"rows": [{"cells": ["a"], "paper": [1]}]}, "has 1 figures, the table 4"),
        ({"rows": [{"cells": ["a"], "change": {}}]}, "did you mean 'changes'"),
    ],
)
def test_a_wrong_table_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=words):
        Ablation.from_dict({**TABLE, "recipe": "r", **changes})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ablation", "dah-fas-table3"], "did you mean 'dah-fas-table"),
        (["--ablation", "dah-fas-table2"], "where is folder? say it on the command line: data.root=FOLDER"),
        (["--ablation", "dah-fas-table2", "data.root=nowhere"], "nowhere"),
        (["--ablation", "dah-fas-table2", "epochz=3"], "did you mean 'epochs'"),
        (["--ablation", "dah-fas-table2", "--dry-run"], "--dry-run looks at one recipe"),
        (["--ablation", "dah-fas-table2", "--seeds", "2", "seed=7"], "say how many with --seeds"),
        (["dah-fas-lite-sim", "precision=16-mixed"], "16-mixed needs a GPU; without one: bf16-mixed"),
        (["dah-fas-lite-sim", "data=foo"], "valid dictionary"),
        (["dah-fas-lite-sim", "data.kind=foo"], "kind must be 'simulated' or 'dataset'"),
        (["dah-fas-lite-sim", "data.train.samples.bogus=5"], "'bogus'"),
        (["dah-fas-lite-sim", "data.train.samples={bona_fide: 5}"], "at least one attack"),
        (["dah-fas-lite-sim", "data.train.samples.bona_fide=0"], "greater than or equal to 1"),
        (["dah-fas-lite-sim", "start=a", "pretrained.rgb=b"], "give one of them"),
        (["dah-fas-lite-sim", "start=nowhere.safetensors"], "nowhere.safetensors cannot be read as a checkpoint"),
        (["dah-fas-lite-sim", "--seeds", "3"], "the seed is a key: seed=2"),
        ([], "give a RECIPE, or --ablation NAME"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str, tmp_path: Path, run: Run) -> None:
    code, _, told = run("train", *arguments, *(["--out", tmp_path / "out"] if arguments else []))
    assert code == (1 if "nowhere" in words else 2)
    assert words in " ".join(told.split())


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_split_of_one_class_is_refused(split: str, captures: Path, tmp_path: Path, run: Run) -> None:
    lines = (captures / "captures.csv").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{split},attack")]
    (captures / "captures.csv").write_text("\n".join(kept) + "\n")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    code, _, told = run("train", tmp_path / "recipe.yaml", f"data.root={captures}", "--out", tmp_path / "out")
    assert code == 3
    assert f"split {split} of folder captures has bona fide presentations only" in told


@pytest.mark.parametrize(("number", "when"), [(signal.SIGTERM, RECIPE_FILE), (signal.SIGINT, RESUME)])
def test_a_signal_to_the_readers_too_saves_and_stops(
    number: signal.Signals, when: str, captures: Path, tmp_path: Path
) -> None:
    """As a terminal's Ctrl-C and the end of a job reach all of a group; while readers start, and after an epoch."""
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "epochs": 1000}))
    out = tmp_path / "out"
    words = ["train", tmp_path / "recipe.yaml", f"data.root={captures}", "--out", out, "--workers", 2]
    with subprocess.Popen(
        [sys.executable, "-m", "edgefas", *map(str, words)], stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while not (out / when).exists():
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, number)
        told = process.communicate()[1].decode()
    broken = "Traceback" in told or "terminate called" in told
    assert (process.returncode, "and saved in" in told, broken) == (130, True, False), told
    assert load_file(out / RESUME)


def test_a_binary_recipe_is_refused(tmp_path: Path, run: Run) -> None:
    (tmp_path / "recipe.yaml").write_bytes(bytes(range(128, 256)))
    code, _, told = run("train", tmp_path / "recipe.yaml")
    assert code == 2
    assert "cannot be read as text" in told


def test_a_forgotten_folder_is_told_and_then_given(captures: Path, tmp_path: Path, run: Run) -> None:
    words = ("train", "--ablation", written(tmp_path), "--out", tmp_path / "out", "--workers", 0, "epochs=1")
    code, _, told = run(*words)
    assert code == 2
    assert "data.root=FOLDER" in told
    code, _, told = run(*words, f"data.root={captures}")
    assert code == 0, told


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"model_options.patch_px": 64}, 1, "patch_px 64 is larger than size_px 32"),
        ({"model_options.modality": "rgb"}, 2, "folder has no rgb"),
        ({"data.root": "nowhere"}, 1, "nowhere"),
    ],
)
def test_the_last_row_is_looked_at_before_the_first_is_trained(
    change: dict[str, Any], code: int, words: str, captures: Path, tmp_path: Path, run: Run
) -> None:
    rows = [TABLE["rows"][0], {"cells": ["wrong"], "changes": change}]
    table = written(tmp_path, rows=rows, changes={"data.root": str(captures)})
    found, _, told = run("train", "--ablation", table, "--out", tmp_path / "out")
    assert (found, words in " ".join(told.split())) == (code, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_picture_is_named_by_whoever_reads_it(workers: int, captures: Path, tmp_path: Path, run: Run) -> None:
    (captures / "train7.png").write_bytes(b"no picture")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    words = ("train", tmp_path / "recipe.yaml", f"data.root={captures}", "--out", tmp_path / "out")
    code, _, told = run(*words, "--workers", workers)
    assert code == 1
    assert "train7.png" in told
    assert "worker" not in told
    assert not multiprocessing.active_children(), "readers end with the training, also where it failed"


def test_simulated_splits_have_no_table(tmp_path: Path) -> None:
    ablation = load_ablation("dah-fas-table2")
    plain = ablation.model_copy(update={"changes": {}})
    with pytest.raises(UsageError, match="its recipe needs data"):
        recipe_of(plain, plain.rows[0], 1, [])
