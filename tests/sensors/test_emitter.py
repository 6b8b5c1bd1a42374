"""Lit or unlit, told by metadata and dots, and whether the unlit picture may be subtracted: on scripted numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgefas.sensors.frame import Exposure
from edgefas.sensors.realsense.emitter import EmitterJudge, exposure_ratio, moved_between

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
