"""Which boards there are: a YAML file of the fleet, or `USER@HOST:PORT` on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from edgefas.contracts import Contract, ContractError
from edgefas.deploy.slots import DEFAULT_ROOT
from edgefas.errors import UsageError
from edgefas.files import read_at_most

MAX_BOARDS = 10_000
MAX_FILE_BYTES = 8 * 2**20
_HOST = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$|^[0-9A-Fa-f:]{2,39}$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_USER = r"^[a-z_][a-z0-9_-]{0,31}$"
_PATH = r"^/[A-Za-z0-9._/+-]{0,200}$"
_WORD = re.compile(r"(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^:@]*)(?::(?P<port>\d{1,5}))?")


class Board(Contract):
    """How to reach a board, and where its things are. Whatever ends up in a command there is restricted here."""

    host: str = Field(pattern=_HOST)
    port: int = Field(22, ge=1, le=65535)
    user: str | None = Field(None, pattern=_USER, description="None: yours")
    key: Path | None = Field(None, description="private SSH key; None: those ssh would take")
    known_hosts: Path | None = Field(None, description="None: ~/.ssh/known_hosts; a host that is not in it is refused")
    root: str = Field(str(DEFAULT_ROOT), pattern=_PATH, description="of the slots, on the board")
    edgefas: str = Field("/opt/edgefas/bin/edgefas", pattern=_PATH, description="the command, on the board")


class Fleet(Contract):
    """A fleet's file: boards by name, and what they have in common."""

    common: dict[str, object] = Field(default_factory=dict, description="fields of a board, for all that lack them")
    boards: Annotated[
        dict[Annotated[str, Field(pattern=_NAME)], dict[str, object]], Field(min_length=1, max_length=MAX_BOARDS)
    ]


def read_fleet(path: Path) -> dict[str, Board]:
    """Boards by name.

    Raises:
        UsageError: missing, no YAML, an unknown key or a value out of range; the board is named.
    """
    try:
        content = yaml.safe_load(read_at_most(path, MAX_FILE_BYTES))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; docs/flash.md shows such a file") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a mapping with the key boards is wanted; see docs/flash.md")
    try:
        fleet = Fleet.from_dict(content)
    except ContractError as error:
        raise UsageError(f"{path}: {error}") from None
    boards = {}
    for name, fields in fleet.boards.items():
        try:
            boards[name] = Board.from_dict({**fleet.common, **fields})
        except ContractError as error:
            raise UsageError(f"{path}: board {name}: {error}") from None
    return boards


def boards_of(words: Sequence[str], common: Board | None = None) -> dict[str, Board]:
    """Boards named as `[USER@]HOST[:PORT]`; an IPv6 address stands in brackets.

    Raises:
        UsageError: a word is none of these.
    """
    boards = {}
    for word in words:
        match = _WORD.fullmatch(word)
        fields = {key: value for key, value in match.groupdict().items() if value is not None} if match else {}
        fields["host"] = fields.get("host", "").strip("[]")
        try:
            boards[word] = Board.from_dict({**(common.model_dump() if common else {}), **fields})
        except ContractError:
            raise UsageError(
                f"{word!r} is no board; write [USER@]HOST[:PORT], or name them in an --inventory"
            ) from None
    return boards


def chosen(boards: dict[str, Board], only: Sequence[str]) -> dict[str, Board]:
    """Those named; all if none is.

    Raises:
        UsageError: one is not there.
    """
    missing = [name for name in only if name not in boards]
    if missing:
        raise UsageError(f"no board {missing[0]!r} in the inventory; it has: {', '.join(sorted(boards)[:20])}")
    return {name: board for name, board in boards.items() if not only or name in only}
