"""The window of a desktop: three pictures and one line of words, drawn by a thread of its own, newest wins."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.contracts import Verdict
from edgefas.errors import EdgefasError
from edgefas.live.line import DecisionLine
from edgefas.live.view.pictures import pictures
from edgefas.live.view.words import say
from edgefas.sensors.frame import Frame

log = logging.getLogger(__name__)

U8 = npt.NDArray[np.uint8]
COLOURS: Final = {Verdict.BONA_FIDE: (90, 200, 80), Verdict.ATTACK: (80, 80, 235), Verdict.NO_DECISION: (60, 190, 235)}
"""BGR."""
TITLE: Final = "edgefas live"
TILE_PX: Final = 400
BAR_PX: Final = 64
PAUSE_MS: Final = 40
END_S: Final = 2.0
_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")


class WindowError(EdgefasError):
    """No window can be opened here."""


class WindowView:
    """An `Observer`; closing its window or Esc ends the view, not the decisions."""

    def __init__(self) -> None:
        """Open on the first line.

        Raises:
            WindowError: no display, or an OpenCV without windows.
        """
        check_windows()
        self._slot: tuple[Frame | None, DecisionLine] | None = None
        self._news = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="edgefas window", daemon=True)
        self._thread.start()

    def update(self, frame: Frame | None, line: DecisionLine) -> None:
        """See `Observer`."""
        self._slot = (frame, line)
        self._news.set()

    def close(self) -> None:
        """See `Observer`."""
        self._ending = True
        self._news.set()
        self._thread.join(END_S)

    def summary(self) -> None:
        """See `Observer`."""

    def _run(self) -> None:  # every call of OpenCV's windows is made here: they belong to one thread
        try:
            self._news.wait()
            if not self._ending:
                cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE)
            while not self._ending:
                if self._news.is_set() and self._slot is not None:
                    self._news.clear()
                    cv2.imshow(TITLE, draw(*self._slot))
                if cv2.waitKey(PAUSE_MS) == 27 or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
                    log.warning("the window was closed; decisions go on, Ctrl-C ends them")
                    break
            cv2.destroyAllWindows()
        except Exception:  # OpenCV raises its own when the display goes away; decisions need no window
            log.exception("the window failed; decisions go on")


def check_windows() -> None:
    """Whether OpenCV can show a window here.

    Raises:
        WindowError: it cannot; the text says what to do.
    """
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
        raise WindowError("--view window: no display (DISPLAY and WAYLAND_DISPLAY are not set); use --view web")
    if not cv2.currentUIFramework():
        raise WindowError(
            "--view window: this OpenCV has no windows (opencv-python-headless); use --view web, or\n"
            "pip uninstall opencv-python-headless && pip install 'opencv-python>=4.10,<5'"
        )


def draw(frame: Frame | None, line: DecisionLine) -> U8:
    """One picture: colour, infrared and depth side by side, and the words under them. (H, W, 3) uint8 BGR."""
    tiles = _tiles(frame, line)
    bar = np.full((BAR_PX, tiles.shape[1], 3), 24, np.uint8)
    said, colour = say(line), COLOURS[line.state.decision]
    score = "" if line.score is None else f"   score {line.score:+.2f}"
    _write(bar, f"{said.headline}{score}   {line.timing.total_ms:.0f} ms", (12, 26), 0.75, colour, 2)
    _write(bar, ". ".join(text for text in (said.why, said.todo) if text), (12, 52), 0.55, (220, 220, 220))
    return np.vstack([tiles, bar])


def _tiles(frame: Frame | None, line: DecisionLine) -> U8:
    if frame is None:
        blank = np.zeros((TILE_PX * 3 // 4, TILE_PX * 3, 3), np.uint8)
        _write(blank, "no picture", (12, 30), 0.75, (160, 160, 160))
        return blank
    found = pictures(frame, TILE_PX)
    shown = [found.color, found.ir, found.depth]
    shape = next((tile.shape for tile in shown if tile is not None), (TILE_PX * 3 // 4, TILE_PX, 3))
    tiles = [np.zeros(shape, np.uint8) if tile is None else tile for tile in shown]
    if line.face is not None:
        box, colour = line.face, COLOURS[line.decision]
        corners = (box.x_px, box.y_px, box.x_px + box.width_px, box.y_px + box.height_px)
        x0, y0, x1, y1 = (round(side * found.scale) for side in corners)
        for tile in tiles if found.aligned else tiles[1:]:
            cv2.rectangle(tile, (x0, y0), (x1, y1), colour, 2)
    return np.hstack(tiles)


def _write(
    picture: U8, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int], thick: int = 1
) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick, cv2.LINE_AA)
