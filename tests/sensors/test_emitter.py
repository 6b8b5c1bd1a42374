"""Lit or unlit, told by metadata and dots: the vote on scripted numbers, then through the real librealsense."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from edgefas.benchmarks.emitter_pairing import Case, is_right, mark, push, read_mark
from edgefas.sensors.frame import Exposure, Flaw, Frame
from edgefas.sensors.open import open_source
from edgefas.sensors.realsense.emitter import EmitterJudge, exposure_ratio, moved_between
from edgefas.sensors.source import CameraTimeout
from edgefas.sensors.specks import speck_share
from tests.sensors.scenes import SMALL, moment, unlit
from tests.sensors.soft_camera import soft_rig, wait_until

DOTS, BARE = 0.05, 0.0006

Script = Callable[[int], tuple[float, bool | None]]
"""Frameset number -> (share of specks, metadata)."""


def _lit(number: int) -> bool:
    return number % 2 == 0


def _share(number: int) -> float:
    return DOTS if _lit(number) else BARE


def _judge(
    script: Script,
    numbers: range | list[int],
    *,
    alternating: bool = True,
    switchable: bool = True,
    judge: EmitterJudge | None = None,
) -> tuple[dict[int, bool | None], EmitterJudge]:
    """What it says of every frameset, as the frameset after it leaves it."""
    judge = judge or EmitterJudge("TEST", alternating=alternating, switchable=switchable)
    told: dict[int, bool | None] = {}
    before = None
    for number in numbers:
        told[number], earlier = judge.judge(number, *script(number))
        if before is not None and told[before] is None:
            told[before] = earlier
        before = number
    return told, judge


@pytest.mark.parametrize(
    ("metadata", "trust", "known_from"),
    [
        (_lit, "metadata", 1),
        (lambda number: not _lit(number), "inverted", 3),
        (lambda number: None, "undecided", 1),
        (lambda number: True, "picture", 3),
        (lambda number: False, "picture", 3),
    ],
    ids=["right", "inverted", "absent", "stuck on", "stuck off"],
)
def test_every_frameset_is_told_right_after_a_few(metadata, trust, known_from):
    told, judge = _judge(lambda number: (_share(number), metadata(number)), range(1, 60))
    assert judge.trust == trust
    assert all(told[number] is _lit(number) for number in told if number >= known_from)
    assert all(told[number] in (None, _lit(number)) for number in told)


@pytest.mark.parametrize(("lit", "bare"), [(0.28, 0.0), (0.0169, 0.00009), (0.0056, 0.00006), (0.0072, 0.0014)])
def test_strong_and_faint_dots_are_told_from_a_textured_scene(lit, bare):
    """Shares of rendered pictures: the dark, a person at 400 and 900 mm, daylight, a print full of detail."""
    told, judge = _judge(lambda number: (lit if _lit(number) else bare, not _lit(number)), range(1, 30))
    assert judge.trust == "inverted"
    assert all(told[number] is _lit(number) for number in range(3, 29))


def test_metadata_that_change_their_mind_cost_a_few_framesets_and_no_wrong_one():
    def flag(number: int) -> bool | None:
        return [_lit(number), not _lit(number), True, not _lit(number), None, False, _lit(number)][number // 40 % 7]

    told, judge = _judge(lambda number: (_share(number), flag(number)), range(280))
    assert all(told[number] in (None, _lit(number)) for number in told)
    unknown = [number for number in told if told[number] is None]
    assert len(unknown) <= 15
    assert all(number % 40 < 5 for number in unknown)
    assert judge.trust == "metadata"


def test_one_wrong_flag_is_nobody_knows_and_not_a_new_belief():
    told, judge = _judge(lambda number: (_share(number), _lit(number) != (number == 31)), range(1, 60))
    assert [number for number in told if told[number] is not _lit(number)] == [31]
    assert told[31] is None
    assert judge.trust == "metadata"


def test_while_dots_fade_the_last_belief_stands():
    def script(number: int) -> tuple[float, bool | None]:
        fading = 0.7 ** max(0, number - 20)  # somebody walks away
        return BARE + (DOTS * fading if _lit(number) else 0), not _lit(number)

    told, judge = _judge(script, range(1, 200))
    assert judge.trust == "inverted"
    assert all(told[number] in (None, _lit(number)) for number in told)
    assert all(told[number] is _lit(number) for number in [*range(4, 25), *range(160, 199)])


def test_dots_that_vanish_at_once_are_a_doubt_until_they_are_seen_again():
    def script(number: int) -> tuple[float, bool | None]:
        return (0.0001 if 20 <= number < 60 else _share(number)), not _lit(number)

    told, judge = _judge(script, range(1, 100))
    assert judge.trust == "inverted"
    assert all(told[number] in (None, _lit(number)) for number in told)
    assert {told[number] for number in range(22, 59)} == {None}
    assert all(told[number] is _lit(number) for number in range(64, 99))


def test_alternating_metadata_that_no_picture_confirms_are_not_believed():
    for alternating in (True, False):  # a recording does not always say
        told, judge = _judge(lambda number: (0.0001, _lit(number)), range(2, 60), alternating=alternating)
        assert set(told.values()) == {None}
        assert "no picture has shown dots" in judge.why()


def test_steady_metadata_of_a_steady_emitter_are_believed_in_sunlight():
    for flag in (True, False):
        told, _ = _judge(lambda number, flag=flag: (0.0001, flag), range(1, 30), alternating=False)
        assert set(list(told.values())[1:]) == {flag}


def test_metadata_stuck_on_an_alternating_camera_in_sunlight_are_not_believed():
    told, _ = _judge(lambda number: (0.0001, True), range(1, 60))
    assert set(told.values()) == {None}


def test_without_metadata_the_switch_is_believed_once_it_has_settled():
    def script(number: int) -> tuple[float, bool | None]:
        return 0.0001, None

    told, judge = _judge(script, range(1, 20), alternating=False)
    assert set(list(told.values())[5:]) == {True}
    judge.switched(False)
    told, _ = _judge(script, range(20, 40), judge=judge)
    assert [told[20], told[39]] == [None, False]
    assert set(told.values()) == {None, False}
    told, _ = _judge(script, range(1, 20), alternating=False, switchable=False)
    assert set(told.values()) == {None}


def test_a_switched_off_emitter_is_unlit_whatever_the_metadata_were_worth():
    def on(number: int) -> tuple[float, bool | None]:
        return _share(number), not _lit(number)

    def off(number: int) -> tuple[float, bool | None]:
        return BARE, False

    _, judge = _judge(on, range(1, 40))
    judge.switched(False)
    told, _ = _judge(off, range(40, 140), judge=judge)
    assert all(value in (None, False) for value in told.values())
    assert all(told[number] is False for number in range(45, 139))
    judge.switched(True)
    told, _ = _judge(on, range(140, 200), judge=judge)
    assert all(told[number] in (None, _lit(number)) for number in told)
    assert all(told[number] is _lit(number) for number in range(145, 199))


def test_a_covered_lens_is_nobody_knows():
    def script(number: int) -> tuple[float, bool | None]:
        return (0.0 if 20 <= number < 45 else DOTS), True

    told, judge = _judge(script, range(1, 60), alternating=False)
    assert judge.trust == "metadata"
    assert {number for number in told if told[number] is None} == set(range(20, 45))


@pytest.mark.parametrize("kept", [0, 1], ids=["lit ones", "unlit ones"])
def test_half_the_rate_leaves_one_kind(kept):
    numbers = [*range(1, 31), *(n for n in range(31, 300) if n % 2 == kept)]
    told, _ = _judge(lambda number: (_share(number), not _lit(number)), numbers)
    assert all(told[number] is _lit(number) for number in told if number > 3)


def test_gaps_of_any_length_do_not_mix_up_the_kinds():
    rng = np.random.default_rng(3)
    numbers = [int(n) for n in np.cumsum(rng.integers(1, 6, 300))]
    told, _ = _judge(lambda number: (_share(number), not _lit(number)), numbers)
    assert all(told[number] in (None, _lit(number)) for number in told)
    assert sum(value is None for value in told.values()) < 10


@pytest.mark.parametrize("gap", [4, 5, 6, 7, 20, 61])
def test_metadata_that_turn_over_in_a_gap_are_not_believed(gap):
    numbers = [*range(1, 41), *range(40 + gap, 160)]
    told, _ = _judge(lambda number: (_share(number), _lit(number) == (number <= 40)), numbers)
    assert all(told[number] in (None, _lit(number)) for number in told)
    assert all(told[number] is _lit(number) for number in range(50 + gap, 159))


def test_noise_says_nothing():
    told, judge = _judge(lambda number: (0.42, _lit(number)), range(1, 30))
    assert judge.trust == "undecided"
    assert set(told.values()) == {None}


# --- may the unlit picture be subtracted? ---


def _scene(shift_px: float = 0.0) -> np.ndarray:
    """(240, 320) float: a bright disc of 60 px before stripes that stand still."""
    y, x = np.mgrid[0:240, 0:320].astype(float)
    room = 60 + 20 * np.sin(x / 15)
    edge = np.clip(61 - np.hypot(x - 160 - shift_px, y - 120), 0, 1)
    return room * (1 - edge) + 130 * edge


def _picture(light: np.ndarray, gain: float = 1.0, dots: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(5)
    pattern = dots * (rng.random(light.shape) < 0.06)
    return np.clip(np.rint(gain * light + pattern + rng.normal(0, 2, light.shape)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("dots", [0.0, 15.0, 120.0])
def test_a_still_scene_has_not_moved(dots):
    assert not moved_between(_picture(_scene(), dots=dots), _picture(_scene()), (None, None))


@pytest.mark.parametrize("shift_px", [4.0, -4.0, 15.0])
@pytest.mark.parametrize("dots", [15.0, 120.0])
def test_a_head_that_moves_by_its_edge_has_moved(shift_px, dots):
    assert moved_between(_picture(_scene(shift_px), dots=dots), _picture(_scene()), (None, None))


def test_exposure_is_matched_before_the_two_are_compared():
    lit, bright = _picture(_scene(), 0.5, dots=60), _picture(_scene())
    assert moved_between(lit, bright, (None, None))
    assert not moved_between(lit, bright, (Exposure(4000, 16), Exposure(8000, 16)))
    assert not moved_between(lit, bright, (Exposure(8000, 16), Exposure(8000, 32)))
    assert exposure_ratio((Exposure(4000, 16), Exposure(8000, 16))) == 0.5
    assert exposure_ratio((Exposure(4000, 16), Exposure(0, 16))) == 1.0


def test_the_flicker_of_lamps_is_no_movement_and_the_dark_shows_none():
    assert not moved_between(_picture(_scene(), 0.9, dots=60), _picture(_scene()), (None, None))
    assert not moved_between(_picture(0 * _scene(), dots=200), _picture(0 * _scene()), (None, None))


# --- through librealsense ---

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
