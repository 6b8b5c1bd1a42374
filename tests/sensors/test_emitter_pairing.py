"""Lit and unlit pictures through the real librealsense: every one under its own name, or under none."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from edgefas.benchmarks.emitter_pairing import Case, is_right, mark, push, read_mark
from edgefas.sensors.frame import Flaw, Frame
from edgefas.sensors.open import open_source
from edgefas.sensors.source import CameraTimeout
from edgefas.sensors.specks import speck_share
from tests.sensors.scenes import SMALL, moment, unlit
from tests.sensors.soft_camera import soft_rig, wait_until

CLIP = [moment(number, alternate=True) for number in range(1, 6)]
FRAMESETS = 60


def _run(case: Case, framesets: int, record_to: Path) -> tuple[list[Frame], dict[str, int]]:
    """Push one by one, each when the one before has been seen; gives every frame that a reader saw."""
    with soft_rig(emitter="alternate", record_to=record_to) as rig:
        seen: list[Frame] = []
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                try:
                    seen.append(rig.source.read(0.1))
                except CameraTimeout:
                    continue

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(1, framesets + 1):
            if not case.lost(number):
                push(rig.camera, CLIP[number % len(CLIP)], number, case)
                assert wait_until(lambda number=number: rig.source._builder.last_number == number)
                if case.again(number):  # what came before comes again
                    push(rig.camera, CLIP[(number - 1) % len(CLIP)], number - 1, case)
        done.set()
        reader.join()
        stats = rig.source.stats()
    return seen, {"corrected": stats.emitter_corrected, "unknown": stats.emitter_unknown, "wrong": 0}


def _fickle(number: int, lit: bool) -> bool:
    return [lit, not lit, True][number // 20 % 3]


@pytest.mark.parametrize(
    ("flag", "both_from", "corrected"),
    [
        (lambda number, lit: lit, 2, 0),
        (lambda number, lit: not lit, 4, FRAMESETS - 2),
        (lambda number, lit: None, 2, FRAMESETS - 1),
        (_fickle, 2, None),
    ],
    ids=["right", "inverted", "absent", "fickle"],
)
def test_alternating_pictures_are_put_where_they_belong(tmp_path, flag, both_from, corrected):
    case = Case("", flag)
    live, counts = _run(case, FRAMESETS, tmp_path / "a.db3")
    with open_source(str(tmp_path / "a.db3")) as source:
        played = list(source)
    assert all(is_right(frame) for frame in [*live, *played])
    assert Counter(frame.ir_lit is None for frame in live)[False] > FRAMESETS // 4
    complete = [frame.number for frame in played if frame.ir_lit is not None and frame.ir_unlit is not None]
    expected = [number for number in range(both_from, FRAMESETS + 1) if number % 2 == 0]
    if flag is not _fickle:
        assert complete == expected
    else:  # at most four framesets are left out after each change
        assert [number for number in expected if not 0 <= number % 20 < 5] == [n for n in complete if n % 20 >= 5]
    if corrected is not None:
        assert corrected - 2 <= counts["corrected"] <= corrected
    assert counts["unknown"] <= 10


def test_half_rate_gaps_and_repetitions(tmp_path):
    def lost(number: int) -> bool:
        return (
            number % 7 == 0
            or number == 15
            or (20 < number <= 40 and number % 2 == 1)
            or (number > 40 and number % 2 == 0)
        )

    case = Case("", lambda number, lit: not lit, lost=lost, again=lambda number: number % 5 == 0 and number > 5)
    live, _ = _run(case, FRAMESETS, tmp_path / "a.db3")
    with open_source(str(tmp_path / "a.db3")) as source:
        played = list(source)
    for frames in (live, played):
        assert all(is_right(frame) for frame in frames)
        kinds = Counter((frame.ir_lit is not None, frame.ir_unlit is not None) for frame in frames if frame.number > 3)
        assert set(kinds) <= {(True, True), (True, False), (False, True)}
        numbers = [frame.number for frame in frames]
        assert numbers == sorted(set(numbers))
    assert [f.number for f in played if f.ir_lit is not None and f.number > 20] == [22, 24, 26, 30, 32, 34, 36, 38, 40]
    assert [f.number for f in played if f.ir_lit is None and f.number > 45] == [47, 51, 53, 55, 57, 59]


def test_an_old_bag_with_inverted_metadata():
    path = Path(__file__).with_name("fixtures") / "alternating_inverted.bag"
    with open_source(str(path)) as source:
        got = list(source)
    complete = [frame for frame in got if frame.ir_lit is not None and frame.ir_unlit is not None]
    assert all(is_right(frame) for frame in got)
    assert len(complete) >= 8
    assert path.stat().st_size <= 500_000


def test_the_unlit_picture_is_left_out_when_the_scene_moved():
    with soft_rig(emitter="alternate") as rig:
        shape = (SMALL.depth.height_px, SMALL.depth.width_px)
        unlit_picture = np.where(np.arange(shape[1]) < 80, 120, 5).astype(np.uint8) + unlit(1)
        dots = moment(1).ir_lit - unlit(1)
        rig.push(1, lit=False, ir=unlit_picture)
        rig.push(2, lit=True, ir=unlit_picture + dots // 4)
        assert rig.source.read(10).ir_unlit is not None
        rig.push(3, lit=False, ir=unlit_picture)
        rig.push(4, lit=True, ir=np.roll(unlit_picture, 8, axis=1) + dots // 4)
        got = rig.source.read(10)
        assert got.number == 4
        assert got.ir_lit is not None
        assert got.ir_unlit is None
        assert rig.source.stats().unlit_moved == 1


@pytest.mark.parametrize("leap_ns", [-(10**9), 50 * 10**9])
def test_pictures_on_both_sides_of_a_clock_jump_are_no_pair(leap_ns):
    with soft_rig(emitter="alternate") as rig:
        assert rig.camera is not None
        for number in range(1, 9):
            rig.push(number, lit=number % 2 == 0, ir=moment(number).ir_lit if number % 2 == 0 else unlit(number))
        assert rig.source.read(10).ir_unlit is not None
        late, after = moment(9), moment(10)
        rig.push(9, lit=False, ir=unlit(9))
        rig.camera.push(10, late.device_ns + leap_ns, depth=after.depth, ir=after.ir_lit, color=after.color, lit=True)
        got = rig.source.read(10)
    assert got.number == 10
    assert got.ir_lit is not None
    assert got.ir_unlit is None


def test_a_picture_nobody_knows_of_is_under_no_name_and_counted():
    """Sunlight: metadata alternate, and no dots are seen to confirm them."""
    with soft_rig(emitter="alternate") as rig:
        for number in range(1, 31):
            rig.push(number, lit=number % 2 == 0, ir=unlit(number))
        got = rig.source.read(10)
        assert wait_until(lambda: rig.source.stats().emitter_unknown == 30)
    assert got.depth is not None
    assert got.ir_lit is None
    assert got.ir_unlit is None


@pytest.mark.parametrize("inverted", [False, True])
def test_black_pictures_alone_are_blank_and_every_second_one_is_a_dark_room(inverted):
    black = np.zeros((SMALL.depth.height_px, SMALL.depth.width_px), np.uint8)
    with soft_rig(emitter="alternate") as rig:

        def frame_after(numbers: range, *, covered: bool) -> Frame:
            for number in numbers:
                rig.push(number, lit=inverted, ir=black)
                rig.push(number + 1, lit=not inverted, ir=black if covered else moment(number).ir_lit)
            return rig.source.read(10)

        room = frame_after(range(1, 40, 2), covered=False)
        assert room.flaws == ()
        assert np.array_equal(room.ir_unlit, black)
        assert frame_after(range(41, 49, 2), covered=True).flaws == (Flaw.BLANK,)
        assert frame_after(range(49, 60, 2), covered=False).flaws == ()


def test_without_metadata_and_dots_the_switch_says_lit():
    with soft_rig() as rig:
        for number in range(1, 12):
            rig.push(number, lit=None, ir=unlit(number))
        assert wait_until(lambda: rig.source._builder.last_number == 11)
        assert np.array_equal(rig.source.read(10).ir_lit, unlit(11))


def test_marks_are_read_back_and_are_not_specks():
    for number, lit in zip(count(1, 997), [True, False] * 8, strict=False):
        marked = mark(unlit(number), number, lit)
        assert read_mark(marked) == (number, lit)
        assert speck_share(marked) == 0.0
    assert not is_right(moment(1))
