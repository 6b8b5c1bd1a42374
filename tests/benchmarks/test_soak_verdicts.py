"""What the soak calls a failure: each rule of the table broken once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgefas.benchmarks.soak.faults import FAULTS, Fault
from edgefas.benchmarks.soak.script import _JUMP_NS, _MAKERS
from edgefas.benchmarks.soak.verdicts import Event, Heard, accepted_faulty, decided_old, result_of
from edgefas.benchmarks.soak.world import World, device_time_ns, key_of
from edgefas.contracts import Verdict
from edgefas.live.line import DecisionLine, Timing
from tests.live import lines
from tests.sensors.scenes import moment
from tests.sensors.soft_camera import soft_rig

BLIND = Fault("blind", "no decision", 2.0)
LIMP = Fault("limp", "goes on", 2.0)
BEGIN, END = 100.0, 102.0
ALIVE, NOTHING, ATTACK = Verdict.BONA_FIDE, Verdict.NO_DECISION, Verdict.ATTACK


def line(decision: Verdict, state: Verdict, number: int = 1, age_ms: float = 20.0) -> DecisionLine:
    return lines.line(number, decision, state, device_ns=number * 10, timing=Timing(age_ms=age_ms))


def heard(rule: Callable[[float], tuple[Verdict, Verdict]]) -> list[Heard]:
    """30 lines a second from a second before the fault until 5 s after it."""
    times = [99 + n / 30 for n in range(240)]
    return [Heard(at_s, line(*rule(at_s))) for at_s in times]


def blind_from(undecided: float, forgotten: float, back: float) -> Callable[[float], tuple[Verdict, Verdict]]:
    return lambda at_s: (
        NOTHING if BEGIN + undecided <= at_s < END else ALIVE,
        NOTHING if BEGIN + forgotten <= at_s < END + back else ALIVE,
    )


def problem(fault: Fault, rule: Callable[[float], tuple[Verdict, Verdict]]) -> str | None:
    return result_of(Event(fault, BEGIN, END), heard(rule)).problem


def test_as_the_table_says() -> None:
    result = result_of(Event(BLIND, BEGIN, END), heard(blind_from(0.1, 0.25, 0.5)))
    assert (result.problem, result.reasons) == (None, ("no_face",))
    assert result.no_decision_s == pytest.approx(0.1, abs=0.04)
    assert result.recovery_s == pytest.approx(0.5, abs=0.04)
    assert problem(LIMP, lambda at_s: (ALIVE, ALIVE)) is None


@pytest.mark.parametrize(
    ("fault", "rule", "words"),
    [
        (BLIND, blind_from(0.4, 0.2, 0.5), "first undecided"),
        (BLIND, blind_from(0.1, 0.5, 0.5), "bona fide later than 0.3 s"),
        (BLIND, blind_from(0.1, 0.2, 3.5), "recovered only after"),
        (BLIND, blind_from(0.1, 0.2, 99), "never recovered"),
        (LIMP, lambda at_s: (NOTHING if 100.2 < at_s < 101.5 else ALIVE, ALIVE), "no accepted frame"),
        (LIMP, lambda at_s: (ALIVE, ATTACK if at_s < END else ALIVE), "attack"),
    ],
)
def test_each_rule_can_be_broken(fault: Fault, rule: Callable[[float], tuple[Verdict, Verdict]], words: str) -> None:
    assert words in str(problem(fault, rule))


def test_silence_of_the_pipeline_itself_is_a_failure() -> None:
    lines = [h for h in heard(blind_from(0.1, 0.2, 0.5)) if not 100.5 < h.at_s < 101.8]
    assert "no line" in str(result_of(Event(BLIND, BEGIN, END), lines).problem)


def test_only_what_was_faulty_or_old_counts() -> None:
    lines = [Heard(0, line(ALIVE, ALIVE, 1)), Heard(0, line(NOTHING, ALIVE, 2)), Heard(0, line(ALIVE, ALIVE, 3, 350))]
    assert len(accepted_faulty(lines, {(1, 10), (2, 20), (3, 31)}, {}).faulty) == 1
    assert decided_old(lines) == 1


def test_a_frozen_picture_is_a_fault_when_it_is_shown_a_second_time() -> None:
    copies = {(2, 20): (1, 10), (3, 30): (1, 10)}

    def judged(*rows: tuple[Verdict, int]) -> tuple[int, int]:
        found = accepted_faulty([Heard(0, line(decision, ALIVE, number)) for decision, number in rows], set(), copies)
        return len(found.faulty), found.first_copies

    assert judged((ALIVE, 1), (NOTHING, 2), (NOTHING, 3)) == (0, 0)
    assert judged((ALIVE, 1), (ALIVE, 2)) == (1, 0)
    assert judged((NOTHING, 1), (ALIVE, 2)) == (1, 0)  # seen is seen, accepted or not
    assert judged((ALIVE, 2), (NOTHING, 3)) == (0, 1)
    assert judged((ALIVE, 2), (ALIVE, 3)) == (1, 1)


@pytest.mark.parametrize("jumps", [0, 1, 30, 60])
def test_a_frameset_has_one_name_however_far_the_clock_has_jumped(jumps: int) -> None:
    """As the staged camera writes it down, and as its frame has it, through librealsense and the driver."""
    world = World(jump_ns=jumps * _JUMP_NS)
    names = {key_of(7, device_time_ns(7, plugged, world)) for plugged in range(200)}
    assert len(names) == 200, "two plugs of one camera are told apart"
    with soft_rig() as rig:
        still, device_ns = moment(1), device_time_ns(7, 123, world)
        rig.camera.push(7, device_ns, depth=still.depth, ir=still.ir_lit, color=still.color, lit=True)
        frame = rig.source.read(10)
    assert (frame.number, frame.device_ns) == key_of(7, device_ns)


def test_every_fault_can_be_made() -> None:
    assert set(_MAKERS) == {fault.name for fault in FAULTS}
