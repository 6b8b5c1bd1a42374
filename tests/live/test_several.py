"""Several faces: who is judged, what is said of all of them, and that nobody inherits another's frames."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from edgefas.contracts import Decision, FaceBox, Policy, Reason, Verdict
from edgefas.faces import Track, Tracks
from edgefas.live.line import DecisionLine
from edgefas.live.loop import decide_stream
from edgefas.live.several import Judged, chosen, together
from edgefas.sensors.frame import Frame
from tests.live.test_loop import Constant, Script
from tests.scenes import noise_frame, spec

ALIVE, SPOOF, DOUBT = Decision.from_score(2, 0), Decision.from_score(-2, 0), Decision.none(Reason.DEPTH_HOLES)


def box(place: int, z_mm: float = 500, side: float = 110) -> FaceBox:
    """In the left, middle or right third (0, 1, 2) of the picture."""
    return FaceBox(x_px=60 + 200 * place, y_px=180, width_px=side, height_px=side, median_z_mm=z_mm)


def seen(*faces: FaceBox) -> Tracks:
    return Tracks(tuple(Track(number, face, 7) for number, face in enumerate(faces, 1)), 7)


def ids(tracks: tuple[Track, ...]) -> list[int]:
    return [track.id for track in tracks]


def test_nearest_and_largest() -> None:
    tracks = seen(box(0, 700, 130), box(1, 500, 110))
    assert (ids(chosen(tracks, Policy())[0]), ids(chosen(tracks, Policy(faces="largest"))[0])) == ([2], [1])
    assert chosen(tracks, Policy())[1] is None


@pytest.mark.parametrize("faces", ["nearest", "largest"])
def test_two_alike_cannot_be_told_apart(faces: str) -> None:
    assert chosen(seen(box(0, 500), box(1, 530)), Policy(faces=faces))[1] is Reason.SEVERAL_FACES
    assert chosen(seen(box(0, 500, 110), box(1, 560, 90)), Policy(faces=faces))[1] is None


def test_all_leaves_out_passers_by_and_has_a_limit() -> None:
    policy = Policy(faces="all", max_faces=2)
    assert ids(chosen(seen(box(0, 500), box(1, 700), box(2, 1200)), policy)[0]) == [1, 2]
    assert chosen(seen(box(0, 500), box(1, 700), box(2, 900)), policy)[1] is Reason.SEVERAL_FACES
    assert ids(chosen(seen(box(0, 1200), box(1, 1300)), policy)[0]) == [1]  # so that it can be told to come closer
    assert chosen(Tracks(), policy) == ((), None)


@pytest.mark.parametrize("decisions", list(product([ALIVE, SPOOF, DOUBT], repeat=3)))
def test_bona_fide_only_if_everyone_is(decisions: tuple[Decision, ...]) -> None:
    frame = together(tuple(Judged(n, box(n), decision) for n, decision in enumerate(decisions)))
    if SPOOF in decisions:
        assert frame == SPOOF
    elif DOUBT in decisions:
        assert frame == DOUBT
    else:
        assert frame == ALIVE


class ByRelief(Constant):
    """A face without any relief is an attack."""

    def __init__(self) -> None:
        super().__init__(0.0, spec())

    def _run(self, inputs: dict[str, np.ndarray], outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
        return {"score": np.array([2.0 if np.median(np.abs(inputs["depth"])) > 0 else -2.0], np.float32)}


def shown(number: int, faces: list[FaceBox], flat: tuple[int, ...] = ()) -> Frame:
    """Each third of the picture at its face's distance; those named in `flat` have no relief at all."""
    frame = noise_frame(number, seed=number)
    depth = frame.depth.astype(np.int64)
    for face in faces:
        place = round((face.x_px - 60) / 200)
        part = (slice(None), slice(210 * place, 210 * (place + 1) + 10))
        z_mm = round(face.median_z_mm)
        depth[part] = z_mm if place in flat else np.where(depth[part] > 0, depth[part] - 500 + z_mm, 0)
    return noise_frame(number, seed=number, depth=depth.astype(np.uint16))


def lines_of(moments: list[tuple[list[FaceBox], tuple[int, ...]]], policy: Policy) -> list[DecisionLine]:
    frames = [shown(number, *moment) for number, moment in enumerate(moments, 1)]
    found = {frame.number: faces for frame, (faces, _) in zip(frames, moments, strict=True)}
    detect = lambda frame, near: found[frame.number]  # noqa: E731
    return [line for _, line in decide_stream(Script(list(frames)), ByRelief(), policy, "unsigned", detect)]


def test_all_reports_each_face_and_decides_by_the_worst() -> None:
    both = ([box(0, 500), box(2, 560)], (2,))
    line = lines_of([both], Policy(faces="all"))[0]
    assert (line.faces, len(line.each)) == (2, 2)
    assert [each.decision for each in line.each] == [Verdict.BONA_FIDE, Verdict.ATTACK]
    assert (line.decision, line.score) == (Verdict.ATTACK, -2.0)
    assert line.face is not None
    assert line.face.id == 1
    nearest = lines_of([both], Policy())[0]
    assert (nearest.decision, nearest.faces, nearest.each) == (Verdict.BONA_FIDE, 2, ())


def test_one_doubtful_face_is_no_decision_for_all() -> None:
    line = lines_of([([box(0, 500), box(2, 560, side=200)], ())], Policy(faces="all"))[0]
    assert (line.decision, line.reason, line.score) == (Verdict.NO_DECISION, Reason.FACE_SIZE_IMPLAUSIBLE, None)


def test_equally_near_faces_are_several() -> None:
    line = lines_of([([box(0, 500), box(2, 510)], ())], Policy())[0]
    assert (line.decision, line.reason, line.faces) == (Verdict.NO_DECISION, Reason.SEVERAL_FACES, 2)


def test_a_newcomer_starts_again_under_all() -> None:
    alone, both = ([box(0)], ()), ([box(0), box(2, 560)], ())
    states = [line.state.decision for line in lines_of([alone] * 6 + [both] * 6, Policy(faces="all"))]
    assert states[5] is Verdict.BONA_FIDE
    assert states[6:10] == [Verdict.NO_DECISION] * 4
    assert states[10] is Verdict.BONA_FIDE


def test_a_moment_out_of_sight_does_not_start_again_under_all() -> None:
    alone, both = ([box(0)], ()), ([box(0), box(2, 560)], ())
    states = [line.state.decision for line in lines_of([both] * 6 + [alone] + [both] * 2, Policy(faces="all"))]
    assert states[5:] == [Verdict.BONA_FIDE] * 4


def test_who_steps_before_another_inherits_nothing() -> None:
    """At the same place of the picture, so that only the depth tells them apart."""
    far, near = ([box(1, 750, 90)], ()), ([box(1, 500, 90)], ())
    states = [line.state.decision for line in lines_of([far] * 6 + [near] * 2, Policy())]
    assert states[5:] == [Verdict.BONA_FIDE, Verdict.NO_DECISION, Verdict.NO_DECISION]
