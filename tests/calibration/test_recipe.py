"""Recipes: the shipped ones load and name real layers; a misspelt key is met with the right one."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from edgefas.calibration.recipe import Recipe, load_recipe, recipe_names
from edgefas.contracts import ContractError
from edgefas.errors import UsageError


def test_every_registered_network_has_a_recipe() -> None:
    from edgefas.models import list_models

    assert {entry.name for entry in list_models()} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipe_names_layers_that_exist(name: str) -> None:
    from edgefas.models import create_model

    recipe = load_recipe(name)
    names = list(create_model(name).state_dict())
    assert "Conv" in recipe.quantize
    assert all(any(fnmatchcase(n, pattern) for n in names) for pattern in recipe.float_weights)


def test_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("method: entropy\nquantize: [Conv]\nfloat_weights: ['stem.*']\n")
    assert load_recipe(str(path)) == Recipe(method="entropy", quantize=("Conv",), float_weights=("stem.*",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("methd: minmax", "did you mean 'method'"),
        ("method: median", "method"),
        ("quantize: [Softmax]", "quantize"),
        ("float_first_convs: -1", "float_first_convs"),
    ],
)
def test_wrong_keys_and_values_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ContractError, match=words):
        load_recipe(str(path))


@pytest.mark.parametrize("text", ["- a list", "a: [", "", "\x00"])
def test_files_that_are_no_recipes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"is not YAML|must hold keys"):
        load_recipe(str(path))


@pytest.mark.parametrize("name", ["dah-fass", "../recipes/dah-fas", ""])
def test_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(UsageError, match=r"no recipe.*dah-fas, dah-fas-lite"):
        load_recipe(name)
