"""`edgefas models`: the list for machines, the table, and the page that quotes it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from edgefas.cli.main import run
from edgefas.models import list_models

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    from edgefas.cli.models import _row

    return [_row(entry) for entry in list_models()]


def test_json_has_the_figures(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]]) -> None:
    assert run(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == json.loads(json.dumps(rows))
    assert all(set(row) == {"name", "params", "macs", "flops", "inputs", "paper"} for row in listed)
    assert all(row["flops"] == 2 * row["macs"] for row in listed)
    full = next(row for row in listed if row["name"] == "dah-fas")
    assert full["inputs"] == {"rgb": [3, 112, 112], "ir": [1, 112, 112], "depth": [1, 112, 112]}
    assert full["paper"]["params_deviation_percent"] == round((full["params"] / 29.6e6 - 1) * 100, 2)
    mobile = next(row for row in listed if row["name"] == "mobilenetv2")
    assert mobile["paper"]["macs_deviation_percent"] is None  # published at 224x224 with 1000 classes


def test_table_names_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    shown = capsys.readouterr().out
    assert [entry.name for entry in list_models() if entry.name not in shown] == []


def test_the_page_quotes_what_the_command_says(rows: list[dict[str, Any]]) -> None:
    page = DOCS.read_text()
    for row in rows:
        figures = f"| {row['params'] / 1e6:.2f} | {row['macs'] / 1e9:.3f} | {row['flops'] / 1e9:.3f} |"
        assert any(line.startswith(f"| `{row['name']}` |") and figures in line for line in page.splitlines()), row[
            "name"
        ]


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # makes the import fail
    assert run(["models"]) == 1
    assert "pip install 'edgefas[train]'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["dah-fas", "mm-fas", "uadapter-fas", "eca-fas"])
def test_one_network_says_what_its_paper_leaves_open(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", name, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert "**reconstruction**" in row["about"]
    assert row["options"]["size_px"] == {"default": row["inputs"]["rgb"][1], "description": ""}
    assert run(["models", name]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in row["options"])
    assert "reconstruction" in shown


def test_an_unknown_network_suggests(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "mmfas"]) == 2
    assert "did you mean 'mm-fas'" in capsys.readouterr().err
