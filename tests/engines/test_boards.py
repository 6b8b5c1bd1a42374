"""Board profiles: each keeps its contract, is found by what a board says of itself, and names its sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefas.contracts import ContractError
from edgefas.engines.boards import BoardProfile, board_name, board_names, find_board, load_board
from edgefas.errors import UsageError
from tests.engines.tensorrt_fake import RELEASES

CORES_PER_MULTIPROCESSOR = 128
"""Of Ampere's compute capability 8.7 and of Blackwell's 11.0."""


@pytest.mark.parametrize("name", board_names())
def test_a_profile_is_consistent(name: str) -> None:
    board = load_board(name)
    assert board.cuda_cores == CORES_PER_MULTIPROCESSOR * board.multiprocessors
    assert {"3.10" if s.jetpack.startswith("6.") else "3.12" for s in board.software} == {
        s.python for s in board.software
    }
    assert all(s.tensorrt in RELEASES for s in board.software), "a TensorRT the tests do not know"
    assert [s.l4t.split(".")[0] == "36" for s in board.software] == [s.jetpack[0] == "6" for s in board.software]
    assert len({mode.name for mode in board.power_modes}) == len(board.power_modes)
    assert all((mode.watts is None) == mode.name.startswith("MAXN") for mode in board.power_modes)


def test_the_boards_are_those_promised() -> None:
    assert board_names() == [
        "agx-orin-32gb", "agx-orin-64gb", "orin-nano", "orin-nano-super", "orin-nx-16gb", "orin-nx-8gb", "thor"
    ]  # fmt: skip
    assert {load_board(name).compute_capability for name in board_names() if "orin" in name} == {"8.7"}
    assert load_board("thor").compute_capability == "11.0"


@pytest.mark.parametrize(
    ("model", "memory_gb", "name"),
    [
        ("NVIDIA Jetson Orin Nano Developer Kit", 7.6, "orin-nano"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", 7.6, "orin-nano-super"),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", 7.4, "orin-nx-8gb"),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super", 15.6, "orin-nx-16gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 30.0, "agx-orin-32gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 61.4, "agx-orin-64gb"),
        ("NVIDIA Jetson AGX Thor Developer Kit", 122.8, "thor"),
        ("NVIDIA Jetson Nano Developer Kit", 4.0, None),
    ],
)
def test_a_board_is_found_by_its_own_words(model: str, memory_gb: float, name: str | None) -> None:
    found = find_board(model, memory_gb)
    assert (found and found.name) == name


def test_a_misspelt_key_is_named() -> None:
    data = load_board("thor").model_dump()
    data["peak_top"] = data.pop("peak_tops")
    with pytest.raises(ContractError, match="did you mean 'peak_tops'"):
        BoardProfile.from_dict(data)


def test_an_unknown_board_lists_the_known() -> None:
    with pytest.raises(UsageError, match="no board 'xavier'; there are: agx-orin-32gb"):
        load_board("xavier")


def test_the_board_says_who_it_is(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson AGX Orin Developer Kit\0")
    assert board_name(tmp_path / "model") == "NVIDIA Jetson AGX Orin Developer Kit"
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B\0")
    assert board_name(tmp_path / "model") is None
    assert board_name(tmp_path / "absent") is None


def test_the_page_lists_every_board(root: Path) -> None:
    page = (root / "docs" / "boards.md").read_text()
    for name in board_names():
        board = load_board(name)
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        cells = [cell.strip() for cell in row.split("|")[2:-1]]
        assert cells[:5] == [
            board.title,
            board.compute_capability,
            str(board.multiprocessors),
            f"{board.peak_tops:g}",
            f"{board.memory_bandwidth_gb_s:g}",
        ]
    assert "DLA" in page
