"""The contact sheet: per episode colour, infrared and depth with the face box, score and decision."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.contracts import Verdict
from edgefas.demo.episodes import Outcome
from edgefas.live.line import DecisionLine
from edgefas.live.view.pictures import depth_picture
from edgefas.sensors.alignment import align
from edgefas.sensors.frame import Frame

U8 = npt.NDArray[np.uint8]

TILE_PX = (240, 240)
"""Height and width of one picture: the middle of the depth grid, half size."""
CAPTION_PX = 40
COLUMNS = 4
COLOURS = {Verdict.BONA_FIDE: (60, 200, 60), Verdict.ATTACK: (60, 60, 230), Verdict.NO_DECISION: (0, 190, 230)}
"""BGR."""


def contact_sheet(shown: list[tuple[Frame, DecisionLine, Outcome]], accept_within_s: float) -> U8:
    """All episodes as one picture, (H, W, 3) uint8 BGR."""
    tiles = [_tile(frame, line, found, accept_within_s) for frame, line, found in shown]
    blank = np.full_like(tiles[0], 24)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    return np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])


def _tile(frame: Frame, line: DecisionLine, found: Outcome, accept_within_s: float) -> U8:
    aligned = align(frame)
    ir = aligned.ir_lit if aligned.ir_lit is not None else aligned.ir_unlit
    pictures = [
        _black(frame) if aligned.rgb is None else cv2.cvtColor(aligned.rgb, cv2.COLOR_RGB2BGR),
        _black(frame) if ir is None else cv2.cvtColor(ir, cv2.COLOR_GRAY2BGR),
        depth_picture(aligned.depth_mm),
    ]
    row = np.hstack([_shrink(_boxed(picture, line)) for picture in pictures])
    caption = np.full((CAPTION_PX, row.shape[1], 3), 24, np.uint8)
    episode, good = found.episode, found.as_wanted(accept_within_s)
    score = "no score" if found.score is None else f"log-odds {found.score:+.1f}"
    _write(caption, f"{episode.species}  subject {episode.subject}  seed {episode.seed}", 15, (220, 220, 220))
    text = f"{found.verdict.value}  {score}  {'' if good else 'NOT AS WANTED'}"
    _write(caption, text, 33, COLOURS[found.verdict] if good else (255, 60, 255))
    return cv2.copyMakeBorder(np.vstack([row, caption]), 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=(60, 60, 60)).astype(
        np.uint8
    )


def _boxed(picture: U8, line: DecisionLine) -> U8:
    if line.face is None:
        return picture
    box, colour = line.face, COLOURS[line.decision]
    first = (round(box.x_px), round(box.y_px))
    last = (round(box.x_px + box.width_px), round(box.y_px + box.height_px))
    return cv2.rectangle(picture.copy(), first, last, colour, 3).astype(np.uint8)


def _shrink(picture: U8) -> U8:
    h, w = picture.shape[:2]
    side = min(h, w)
    middle = picture[(h - side) // 2 : (h + side) // 2, (w - side) // 2 : (w + side) // 2]
    return cv2.resize(middle, TILE_PX[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8)


def _black(frame: Frame) -> U8:
    grid = frame.calibration.depth
    return np.zeros((grid.height_px, grid.width_px, 3), np.uint8)


def _write(picture: U8, text: str, y: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, (6, y), cv2.FONT_HERSHEY_SIMPLEX, 0.48, colour, 1, cv2.LINE_AA)
