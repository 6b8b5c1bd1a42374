"""YAML that comes with edgefas, or from the user: by name, or by path."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from edgefas.errors import UsageError

if TYPE_CHECKING:
    from importlib.abc import Traversable


def read_mapping(what: str, name: str, shipped: Traversable) -> dict[str, Any]:
    """A mapping of keys to values.

    Args:
        what: it is, for errors: "recipe".
        name: of a file in `shipped` without its suffix, or a path that ends in .yaml.

    Raises:
        UsageError: no such file, or it is no YAML mapping.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UsageError(f"there is no {what} file {name}")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{name} cannot be read as text: {error}") from None
    else:
        known = sorted(entry.name.removesuffix(".yaml") for entry in shipped.iterdir())
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"shipped: {', '.join(known)}."
            raise UsageError(f"there is no {what} {name!r}; {hint} A path must end in .yaml")
        text = shipped.joinpath(f"{name}.yaml").read_text()
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{name} holds {type(data).__name__}, the {what} should be a mapping of keys to values")
    return data
