"""A fixed box for kiosks that hold the face in place: no search, only the distance of what is in the box."""

from __future__ import annotations

from collections.abc import Sequence

from edgefas.contracts import FaceBox
from edgefas.errors import UsageError
from edgefas.faces.place import face_at
from edgefas.sensors.frame import Frame

MIN_SIDE_PX = 16


class FixedBox:
    """A detector that always looks at the same place; whether a face is there, only the gates and the network say."""

    def __init__(self, text: str) -> None:
        """Parse "X,Y,W,H": whole pixels of the depth/IR grid, the box brows to chin and ear to ear.

        Raises:
            UsageError: not four whole numbers, a negative corner, or sides under 16 px.
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
            raise UsageError(f"face box {text!r}: write X,Y,W,H in whole pixels of the depth grid, as 250,160,140,140")
        x, y, w, h = (int(part) for part in parts)
        if min(w, h) < MIN_SIDE_PX:
            raise UsageError(f"face box {text!r}: width and height must be {MIN_SIDE_PX} px or more")
        self._box = (x, y, w, h)

    def __call__(self, frame: Frame, near: Sequence[FaceBox], /) -> list[FaceBox]:
        """The box, if enough of it returned depth within reach.

        Raises:
            UsageError: the box leaves the picture.
        """
        x, y, w, h = self._box
        grid = frame.calibration.depth
        if x + w > grid.width_px or y + h > grid.height_px:
            raise UsageError(
                f"face box {x},{y},{w},{h} leaves the depth picture, which is {grid.width_px}x{grid.height_px} px"
            )
        face = face_at(self._box, frame, any_size=True)
        return [] if face is None else [face]
