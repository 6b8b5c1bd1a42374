"""Recipes: the shipped ones load, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefas.errors import UsageError
from edgefas.training.recipe import SHIPPED, Recipe, load_recipe


@pytest.mark.parametrize("name", sorted(entry.name for entry in SHIPPED.iterdir() if entry.name.endswith(".yaml")))
def test_shipped_recipes_load_and_round_trip(name: str) -> None:
    recipe = load_recipe(name.removesuffix(".yaml"))
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_unknown_name_suggests() -> None:
    with pytest.raises(UsageError, match="did you mean 'dah-fas-lite-sim'"):
        load_recipe("dah-fas-light-sim")


def test_unknown_key_is_named_with_a_suggestion(tmp_path: Path) -> None:
    text = SHIPPED.joinpath("dah-fas-lite-sim.yaml").read_text().replace("batch_size", "batchsize")
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UsageError, match="batchsize: unknown field; did you mean 'batch_size'"):
        load_recipe(str(tmp_path / "r.yaml"))


def test_a_shared_subject_is_refused(tmp_path: Path) -> None:
    text = SHIPPED.joinpath("dah-fas-lite-sim.yaml").read_text().replace("first_subject: 200", "first_subject: 100")
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UsageError, match="leak"):
        load_recipe(str(tmp_path / "r.yaml"))


@pytest.mark.parametrize(("text", "words"), [("- a\n", "mapping"), ("a: [", "not valid YAML"), ("", "mapping")])
def test_no_mapping_is_a_short_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UsageError, match=words):
        load_recipe(str(tmp_path / "r.yaml"))


def test_missing_file_is_a_short_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recipe file"):
        load_recipe(str(tmp_path / "none.yaml"))
