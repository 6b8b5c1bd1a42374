"""The base of all contracts: a frozen pydantic model whose errors name the field, its value and what is allowed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from edgefas.errors import EdgefasError

T = TypeVar("T", bound="Contract")


class ContractError(EdgefasError):
    """A file or message does not keep its contract."""


class Contract(BaseModel):
    """Frozen, strict about unknown fields, free of NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")

    def to_json(self, *, indent: int | None = None) -> str:
        """Serialise; `from_json` gives back an equal object."""
        return self.model_dump_json(indent=indent)

    @classmethod
    def from_json(cls: type[T], text: str | bytes) -> T:
        """Parse JSON text.

        Raises:
            ContractError: not JSON, an unknown field, or a value out of range; every offending field is named.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ContractError(explain(cls, error)) from None

    @classmethod
    def from_dict(cls: type[T], data: dict[str, Any]) -> T:
        """As `from_json`, from parsed YAML or JSON."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ContractError(explain(cls, error)) from None


def explain(model: type[BaseModel], error: ValidationError) -> str:
    """One line per offending field: where, what is wrong, the value, and a suggestion for a misspelt key."""
    return f"{model.__name__}: " + "; ".join(explain_item(model, item) for item in error.errors(include_url=False))


def explain_item(model: type[BaseModel], item: ErrorDetails) -> str:
    """`explain` for one of `error.errors()`."""
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = list(_fields_at(model, item["loc"][:-1]))
        close = get_close_matches(str(item["loc"][-1]), known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(sorted(known))}"
        return f"{where}: unknown field; {hint}"
    given = f"(got {item['input']!r:.80})"
    if item["type"] != "value_error":
        return f"{where}: {item['msg']} {given}".removeprefix(": ")
    told = str(item["ctx"]["error"])
    return f"{where}: {told} {given}" if where else told  # a rule between fields names them; given are all of them


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the sub-model at `path`, for suggestions."""
    current: Any = model
    for part in path:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            continue  # a tag of a union
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        current = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), current)
    return list(getattr(current, "model_fields", {}))
