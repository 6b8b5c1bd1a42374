"""Fleets and words for boards: whatever is written there, a board or a short error; nothing odd gets into a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgefas.deploy.fleet import BoardStatus, with_drift
from edgefas.deploy.inventory import Board, boards_of, chosen, read_fleet
from edgefas.errors import UsageError

FLEET = """
common: {user: edgefas, port: 2222}
boards:
  door-1: {host: 10.0.0.11}
  door-2: {host: "fe80::1", port: 22, root: /srv/edgefas}
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_what_boards_have_in_common_is_said_once(tmp_path: Path) -> None:
    boards = read_fleet(write(tmp_path / "f.yaml", FLEET))
    assert boards["door-1"] == Board(host="10.0.0.11", port=2222, user="edgefas")
    assert boards["door-2"] == Board(host="fe80::1", user="edgefas", root="/srv/edgefas")
    assert list(chosen(boards, ["door-2"])) == ["door-2"]
    with pytest.raises(UsageError, match="door-1, door-2"):
        chosen(boards, ["door-3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mapping"),
        ("[1]", "mapping"),
        ("a: [", "no YAML"),
        ("boards: {}", "boards"),
        ("bords: {x: {host: y}}", "did you mean 'boards'"),
        ("boards: {x: {hots: y}}", "board x: .*did you mean 'host'"),
        ("boards: {x: {host: 'a b'}}", "board x: .*host"),
        ("boards: {x: {host: y, port: 0}}", "port"),
        ("boards: {x: {host: y, edgefas: 'rm -rf /;'}}", "edgefas"),
        ("boards: {x: {host: y, root: relative}}", "root"),
        ("boards: {'../x': {host: y}}", "boards"),
        ("boards: {x: {host: y, user: '-oProxyCommand=x'}}", "user"),
        ("boards: {x: {host: '-oProxyCommand=x'}}", "host"),
        ("x: !!python/object/apply:os.system ['true']", "no YAML"),
        ("&a [" + "*a," * 9 + "]", "mapping|no YAML"),
    ],
)
def test_a_wrong_file_names_the_board_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_fleet(write(tmp_path / "f.yaml", text))


def test_a_missing_or_huge_file_is_a_short_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_fleet(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="more than"):
        read_fleet(write(tmp_path / "f.yaml", "#" * (9 * 2**20)))


@pytest.mark.parametrize(
    ("word", "board"),
    [
        ("door", Board(host="door")),
        ("me@door", Board(host="door", user="me")),
        ("me@10.0.0.1:2222", Board(host="10.0.0.1", user="me", port=2222)),
        ("[fe80::1]:2222", Board(host="fe80::1", port=2222)),
    ],
)
def test_words(word: str, board: Board) -> None:
    assert boards_of([word]) == {word: board}


@given(st.text(max_size=40))
def test_any_word_is_a_board_or_a_short_error(word: str) -> None:
    try:
        (board,) = boards_of([word]).values()
    except UsageError:
        return
    assert re.fullmatch(r"[A-Za-z0-9.:-]+", board.host)
    assert not board.host.startswith("-")


KEYS = st.sampled_from(["boards", "common", "x", "host", "port", "user"])
LEAVES = st.none() | st.integers() | st.text(max_size=8)


@given(st.recursive(LEAVES, lambda leaf: st.lists(leaf, max_size=3) | st.dictionaries(KEYS, leaf, max_size=4)))
def test_any_yaml_is_a_fleet_or_a_short_error(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = write(tmp_path_factory.mktemp("f") / "f.yaml", yaml.safe_dump(content))
    try:
        boards = read_fleet(path)
    except UsageError:
        return
    assert all(board.host for board in boards.values())


def test_drift_is_what_most_have_not() -> None:
    found = [
        BoardStatus("a", release="door 7", threshold=1.0),
        BoardStatus("b", release="door 7", threshold=1.0),
        BoardStatus("c", release="door 6", threshold=1.0),
        BoardStatus("d", release="door 7", threshold=0.5),
        BoardStatus("e", problem="unreachable"),
    ]
    assert [status.drift for status in with_drift(found)] == ["", "", "release door 6", "threshold 0.5", ""]
    assert with_drift([BoardStatus("e", problem="x")])[0].drift == ""
