"""`edgefas flash` onto real OpenSSH servers: what it brings, refuses, takes up again, and when it stops."""

from __future__ import annotations

import asyncio
import csv
import gc
import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

import edgefas.deploy.serve as serve
from edgefas.cli import main as cli
from edgefas.demo.loopback import LoopbackBoard, NoServer, find_sshd, loopback_boards
from edgefas.deploy.flash import Plan, Result, flash, in_batches, roll_back
from edgefas.deploy.health import Window
from edgefas.deploy.keys import public_path_of
from edgefas.deploy.serve import Service
from edgefas.deploy.slots import Slots, commit, rollback
from edgefas.deploy.trust import trust_key
from tests.conftest import Run
from tests.deploy.releases import Office, open_office
from tests.deploy.slow_link import SlowLink
from tests.deploy.test_serve import STAND_IN


def has_sshd() -> bool:
    try:
        return bool(find_sshd())
    except NoServer:
        return False


needs_sshd = pytest.mark.skipif(not has_sshd(), reason="needs sshd: apt install openssh-server")
pytestmark = needs_sshd
Boards = dict[str, LoopbackBoard]
QUICK = Window(seconds=0.6, deadline_s=3.0, max_silence_s=0.4)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return open_office(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, office: Office) -> Iterator[Boards]:
    with loopback_boards(tmp_path_factory.mktemp("boards"), ["door-1", "door-2"]) as boards:
        for board in boards.values():
            office.trusted_in(board.trust)
        yield boards


@pytest.fixture
def boards(servers: Boards, office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Boards:
    """Two boards with empty slots, each with a root of its own in this test."""
    office.trusted_in(tmp_path / "controller")
    monkeypatch.setenv("EDGEFAS_TRUST", str(tmp_path / "controller"))
    monkeypatch.setattr(serve, "BACK_OFF_S", (0.0,))
    fresh = {}
    for name, board in servers.items():
        root = tmp_path / name
        fresh[name] = LoopbackBoard(board.board.model_copy(update={"root": str(root)}), Slots(root), board.trust)
    return fresh


@contextmanager
def served(boards: Boards) -> Iterator[None]:
    """The service of each board, in threads."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=Service(board.slots, (), QUICK, None, STAND_IN).run, args=(stop.is_set,))
        for board in boards.values()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)


def put(boards: Boards, bundle: Path, plan: Plan | None = None, **options: bool) -> list[Result]:
    known = {name: board.board for name, board in boards.items()}
    return asyncio.run(flash(known, bundle, plan or Plan(), **options))


def test_two_boards_get_it_and_find_it_good(boards: Boards, office: Office) -> None:
    with served(boards):
        done = put(boards, office.release(1))
        assert [(result.name, result.status) for result in done] == [("door-1", "installed"), ("door-2", "installed")]
        again = put(boards, office.release(1))
    assert [result.status for result in again] == ["already", "already"]
    for board in boards.values():
        state = board.slots.read()
        assert (state.on_trial, state.highest) == (False, 1)
        assert list((board.slots.root / "incoming").iterdir()) == []
    assert set(done[0].seconds) == {"connect", "preflight", "upload", "install"}


def test_a_canary_that_takes_it_back_stops_the_rest(boards: Boards, office: Office) -> None:
    with served(boards):
        put(boards, office.release(1, name="good"))
        done = put(boards, office.release(2, name="faulty"))
    assert [result.status for result in done] == ["rolled back", "not tried"]
    assert "engine_failed" in done[0].detail
    assert "1 failed" in done[1].detail
    for board in boards.values():
        active = board.slots.read().active
        assert active is not None
        assert active.name == "good"


def test_wrong_golden_scores_are_a_failure_and_change_nothing(boards: Boards, office: Office) -> None:
    (failed, skipped) = put(boards, office.release(3, off_by=1.0))
    assert (failed.status, skipped.status) == ("failed", "not tried")
    assert "golden frame" in failed.detail
    assert boards["door-1"].slots.read().active is None


def test_a_dry_run_changes_nothing(boards: Boards, office: Office) -> None:
    done = put(boards, office.release(1), dry_run=True)
    assert [result.status for result in done] == ["ready", "ready"]
    assert not any((board.slots.root / "state.json").exists() for board in boards.values())


def test_back_to_the_release_before(boards: Boards, office: Office) -> None:
    one = {"door-1": boards["door-1"]}
    for number in (1, 2):
        put(one, office.release(number))
        one["door-1"].slots.change(commit)
    (done,) = asyncio.run(roll_back({"door-1": one["door-1"].board}, "odd; rm -rf /"))
    assert done.status == "rolled back"
    state = one["door-1"].slots.read()
    assert state.active is not None
    assert state.active.number == 1
    assert "odd; rm -rf /" in state.last


def changed(board: LoopbackBoard, **fields: object) -> Boards:
    return {"door-1": LoopbackBoard(board.board.model_copy(update=fields), board.slots, board.trust)}


def test_what_cannot_be_reached_or_trusted_says_what_to_do(
    boards: Boards, office: Office, tmp_path: Path, servers: Boards
) -> None:
    bundle, board = office.release(1), boards["door-1"]

    def fails(what: Boards, text: str) -> None:
        (result,) = put(what, bundle)
        assert result.status == "failed"
        assert text in result.detail, result.detail

    (tmp_path / "empty").write_text("")
    fails(changed(board, known_hosts=tmp_path / "empty"), "ssh-keyscan")
    fails(changed(board, known_hosts=tmp_path / "none"), "No such file")
    fails(changed(board, key=office.key), "ssh-copy-id")
    fails(changed(board, port=1), "127.0.0.1:1")
    fails(changed(board, edgefas="/none/edgefas"), "has no /none/edgefas")
    fails(changed(board, root="/proc/none"), "/proc/none")


def test_a_signer_that_a_board_does_not_trust_is_found_before_anything_is_sent(boards: Boards, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = open_office(tmp_path / "other")
    trust_key(public_path_of(other.key), tmp_path / "controller", "other")
    done = put(boards, other.release(1))
    assert "does not trust the key" in done[0].detail
    assert list((boards["door-1"].slots.root).glob("incoming/*")) == []


def test_a_cut_upload_goes_on_where_it_was_cut(
    boards: Boards, office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = office.release(1, card=bytes(3_000_000))
    board = boards["door-1"].board
    with SlowLink(board.port, cut_at=2_000_000) as link:
        known = tmp_path / "known"
        lines = board.known_hosts.read_text() if board.known_hosts else ""
        known.write_text(lines.replace(f":{board.port} ", f":{link.port} "))
        through = changed(boards["door-1"], port=link.port, known_hosts=known)
        (first,) = put(through, bundle)
        assert first.status == "failed"
        gc.collect()  # what was left behind is told when it goes
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        (part,) = (boards["door-1"].slots.root / "incoming").iterdir()
        arrived = part.stat().st_size
        assert 1_000_000 < arrived < 2_000_000
        link.cut_at = None
        sent = link.sent
        (second,) = put(through, bundle)
        assert second.status == "installed", second.detail
        assert link.sent - sent < 3_100_000 - arrived + 200_000


def test_a_part_that_is_not_ours_is_sent_again_whole(boards: Boards, office: Office) -> None:
    bundle = office.release(1)
    incoming = boards["door-1"].slots.root / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"{hashlib.sha256(bundle.read_bytes()).hexdigest()}.efas.part").write_bytes(b"rubbish")
    (done,) = put({"door-1": boards["door-1"]}, bundle)
    assert done.status == "installed", done.detail


def test_two_flashes_at_once(boards: Boards, office: Office) -> None:
    one = {"door-1": boards["door-1"].board}
    bundle = office.release(1, card=bytes(1_000_000))

    async def both() -> list[Result]:
        first, second = await asyncio.gather(flash(one, bundle, Plan()), flash(one, bundle, Plan()))
        return first + second

    done = asyncio.run(both())
    assert "installed" in {result.status for result in done}
    for result in done:
        if result.status == "failed":  # the other one was quicker at the lock, or took the upload away
            assert "another installation" in result.detail or "incoming" in result.detail, result.detail
    state = boards["door-1"].slots.read()
    assert state.active is not None
    assert state.active.number == 1
    (again,) = put({"door-1": boards["door-1"]}, bundle)
    assert again.status in ("already", "installed"), again.detail


def test_from_the_command_line(boards: Boards, office: Office, tmp_path: Path, run: Run) -> None:
    inventory = tmp_path / "fleet.yaml"
    fields = {name: json.loads(board.board.to_json()) for name, board in boards.items()}
    inventory.write_text(yaml.safe_dump({"boards": fields}))
    code, out, err = run("flash", "--inventory", inventory, "--bundle", office.release(1), "--json")
    assert code == 0, err
    assert [board["status"] for board in json.loads(out)["boards"]] == ["installed", "installed"]
    assert "door-1: upload" in err
    assert "still on trial" in err
    records = ("--records", tmp_path / "records", "--record-key", office.key)
    code, _, err = run("flash", "--inventory", inventory, "--bundle", office.release(1), *records)
    assert code == 0, err
    status = ("fleet", "status", "--inventory", inventory, "--records", tmp_path / "records")
    assert run(*status)[0] == 0
    boards["door-2"].slots.change(lambda state: rollback(state, "by somebody"))
    code, out, _ = run(*status, "--json")
    assert code == 3
    assert "recorded: door 1" in json.loads(out)["boards"][1]["drift"]
    code, out, err = run("deploy", "door-2", "--inventory", inventory, "--bundle", office.release(2, off_by=1))
    assert code == 1
    assert "golden frame" in err
    assert run("flash", "door-3", "--inventory", inventory, "--bundle", office.release(2))[0] == 2
    assert run("flash", "--bundle", office.release(2))[0] == 2
    assert run("flash", "x", "--bundle", office.release(2), "--records", tmp_path)[0] == 2
    assert run("flash", "x", "--bundle", office.release(2), "--rollback")[0] == 2


@pytest.mark.parametrize(
    ("plan", "failing", "tried"),
    [
        (Plan(canary=1, batch=2), set(), 7),
        (Plan(canary=1, batch=2), {0}, 1),
        (Plan(canary=1, batch=2, max_failures=9), {0}, 1),
        (Plan(canary=1, batch=2), {1}, 3),
        (Plan(canary=1, batch=2, max_failures=1), {1}, 7),
        (Plan(canary=1, batch=2, max_failures=1), {1, 2}, 3),
        (Plan(canary=1, batch=2, max_failures=1), {1, 4}, 5),
        (Plan(canary=0, batch=3, max_failures=1), {0}, 7),
        (Plan(canary=0, batch=3), {0}, 3),
        (Plan(canary=20, batch=3), set(), 7),
    ],
)
def test_when_it_stops(plan: Plan, failing: set[int], tried: int) -> None:
    asked: list[str] = []

    async def one(name: str) -> Result:
        asked.append(name)
        return Result(name, "failed" if int(name) in failing else "installed")

    done = asyncio.run(in_batches([str(n) for n in range(7)], plan, one))
    assert [result.name for result in done] == [str(n) for n in range(7)]
    assert len(asked) == tried
    assert [result.status for result in done[tried:]] == ["not tried"] * (7 - tried)


def test_fleet_status_tells_what_runs_where(
    boards: Boards, office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put({"door-1": boards["door-1"]}, office.release(1))
    boards["door-1"].slots.change(commit)
    gone = boards["door-2"].board.model_copy(update={"port": 1})
    inventory = tmp_path / "fleet.yaml"
    known = {**{name: board.board for name, board in boards.items()}, "gone": gone}
    inventory.write_text(yaml.safe_dump({"boards": {n: json.loads(b.to_json()) for n, b in known.items()}}))
    code = cli.run(["fleet", "status", "--inventory", str(inventory), "--csv", str(tmp_path / "f.csv"), "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["boards"]}
    assert code == 3
    assert (rows["door-1"]["release"], rows["door-1"]["threshold"], rows["door-1"]["signer"]) == (
        "door 1",
        0.0,
        "office",
    )
    assert rows["door-2"]["release"] is None
    assert "127.0.0.1:1" in rows["gone"]["problem"]
    with (tmp_path / "f.csv").open(newline="") as file:
        assert [row["release"] for row in csv.DictReader(file)] == ["door 1", "", ""]
