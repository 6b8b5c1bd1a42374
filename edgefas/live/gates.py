"""Quality gates: is this a picture of a face that a network can judge? Checked before any network runs.

They look at where the face is and how well it is seen, never at what it is: a print or a mask passes as a face does,
and darker skin as often as lighter (`python -m edgefas.benchmarks.quality_gates` measures both).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.contracts import FaceBox, InputSpec, IREncoding, Policy, QualityGates, Reason
from edgefas.faces.place import DARK_GREY, depth_to_color
from edgefas.preprocess import crop_box, inside_share
from edgefas.sensors.frame import Frame

U8 = npt.NDArray[np.uint8]
Pixel = TypeVar("Pixel", np.uint8, np.uint16)

RELIEF_POINTS = 24
"""Depth is read at so many columns and rows of the face."""
RELIEF_CLIP_MM = 120.0
"""Farther from the face's own distance is hair, wall or hand."""
TURN_OVER_YAW = 0.75
"""Slope of the relief over the head's yaw, measured on simulated heads; a flat thing's is 1."""
NOSE_OVER_EYES = 0.5
"""How far the nose's tip stands before the pupils, over the distance between these. A reconstruction."""
SHARPNESS_PX = 64
"""The face is scaled to this width, so that a number means the same at any distance."""
BLACK, WHITE = 4, 250
"""Grey levels up to and from which an infrared pixel says nothing."""


@dataclass(frozen=True)
class Quality:
    """How a face is seen."""

    z_mm: float
    inside_share: float
    """Of the crop, 0 to 1."""
    width_px: float
    off_centre: float
    """Distance of the face's middle from the picture's, the larger of x and y; 1 is the edge."""
    width_mm: float
    depth_share: float
    turn_deg: float | None
    """None: one half of the face has no depth."""
    ir_dark_share: float | None
    """None: the network takes no infrared."""
    ir_saturated_share: float | None
    sharpness: float | None
    """None: neither colour nor unlit infrared is bright enough to tell."""


def gate(frame: Frame, face: FaceBox, spec: InputSpec, policy: Policy) -> Reason | None:
    """The first quality gate that the face fails."""
    return failed(measure(frame, face, spec), policy.gates)


def failed(seen: Quality, gates: QualityGates) -> Reason | None:
    """The reasons in the order in which a person can act on them: place, then pose, then light."""
    checks = (
        (seen.z_mm < gates.min_distance_mm, Reason.FACE_TOO_NEAR),
        (seen.z_mm > gates.max_distance_mm, Reason.FACE_TOO_FAR),
        (seen.inside_share < gates.min_inside_share, Reason.FACE_OUT_OF_VIEW),
        (seen.width_px < gates.min_face_px, Reason.FACE_TOO_SMALL),
        (seen.off_centre > gates.max_off_centre, Reason.FACE_OFF_CENTRE),
        (not gates.min_face_mm <= seen.width_mm <= gates.max_face_mm, Reason.FACE_SIZE_IMPLAUSIBLE),
        (seen.depth_share < gates.min_depth_share or seen.turn_deg is None, Reason.DEPTH_HOLES),
        (seen.turn_deg is not None and seen.turn_deg > gates.max_turn_deg, Reason.FACE_TURNED),
        (_over(seen.ir_dark_share, gates.max_ir_dark_share), Reason.IR_UNDEREXPOSED),
        (_over(seen.ir_saturated_share, gates.max_ir_saturated_share), Reason.IR_OVEREXPOSED),
        (seen.sharpness is not None and seen.sharpness < gates.min_sharpness, Reason.FACE_BLURRED),
    )
    return next((reason for fails, reason in checks if fails), None)


def measure(frame: Frame, face: FaceBox, spec: InputSpec) -> Quality:
    """All that the gates ask about one face."""
    grid = frame.calibration.depth
    x, y = face.centre_px
    dark, saturated = _ir_shares(frame, face, spec)
    return Quality(
        z_mm=face.median_z_mm,
        inside_share=inside_share(crop_box(face, spec, grid), grid),
        width_px=face.width_px,
        off_centre=max(abs(2 * x / grid.width_px - 1), abs(2 * y / grid.height_px - 1)),
        width_mm=face.width_px * face.median_z_mm / grid.fx_px,
        depth_share=depth_share(frame, face),
        turn_deg=turn_deg(frame, face),
        ir_dark_share=dark,
        ir_saturated_share=saturated,
        sharpness=sharpness(frame, face),
    )


def depth_share(frame: Frame, face: FaceBox) -> float:
    """Share of the face box with a depth return, 0 to 1."""
    if frame.depth is None:
        return 0.0
    part = _part(frame.depth, face)
    return float(np.count_nonzero(part)) / part.size if part.size else 0.0


def turn_deg(frame: Frame, face: FaceBox) -> float | None:
    """How far the face is turned to a side, 0 to 90 degrees; None where one side has no depth.

    The median depth of the right third of the box less that of the left, over the distance between them: about
    `TURN_OVER_YAW` of a head's yaw. Landmarks, where a detector has them, are asked too; the larger angle counts.
    """
    if frame.depth is None:
        return None
    cols = _places(face.x_px + 0.1 * face.width_px, 0.8 * face.width_px, frame.depth.shape[1])
    rows = _places(face.y_px + 0.2 * face.height_px, 0.7 * face.height_px, frame.depth.shape[0])
    z_mm = frame.depth[np.ix_(rows, cols)] * (frame.depth_scale_m * 1000)
    of_face = np.abs(z_mm - face.median_z_mm) < RELIEF_CLIP_MM
    third = RELIEF_POINTS // 3
    left, right = z_mm[:, :third][of_face[:, :third]], z_mm[:, -third:][of_face[:, -third:]]
    if min(left.size, right.size) < RELIEF_POINTS:
        return None
    between_mm = 0.8 * 2 / 3 * face.width_px * face.median_z_mm / frame.calibration.depth.fx_px
    relief = np.degrees(np.arctan2(abs(float(np.median(right)) - float(np.median(left))), between_mm))
    return max(float(relief), _turn_of(face.landmarks_px))


def sharpness(frame: Frame, face: FaceBox) -> float | None:
    """Variance of the Laplacian over the variance of the picture, the face scaled to `SHARPNESS_PX`.

    The ratio does not know how much light or contrast there is, so neither darker skin nor a dim room is called
    blurred. Dots are sharp on any face: lit infrared is not asked.
    """
    picture = frame.color
    corners = np.array([[face.x_px, face.y_px], [face.x_px + face.width_px, face.y_px + face.height_px]])
    part: U8 | None = None
    if picture is not None:
        (x0, y0), (x1, y1) = depth_to_color(frame.calibration, corners, face.median_z_mm).clip(0).astype(int)
        inside = picture[y0:y1, x0:x1]
        part = cv2.cvtColor(inside, cv2.COLOR_RGB2GRAY) if inside.size else None
    if (part is None or part.size == 0 or cv2.mean(part)[0] < DARK_GREY) and frame.ir_unlit is not None:
        part = _part(frame.ir_unlit, face)
    if part is None or part.size == 0 or cv2.mean(part)[0] < DARK_GREY:
        return None
    height = max(8, round(SHARPNESS_PX * part.shape[0] / part.shape[1]))
    small = cv2.resize(part, (SHARPNESS_PX, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    spread = _variance(small)
    return _variance(cv2.Laplacian(small, cv2.CV_32F)) / spread if spread > 0 else 0.0


def _ir_shares(frame: Frame, face: FaceBox, spec: InputSpec) -> tuple[float | None, float | None]:
    """Black and white shares of the infrared that the network sees, in the middle of the face.

    Unlit infrared is black in the dark and rightly so: for the active picture only the lit one must not be.
    """
    if spec.ir is None:
        return None, None
    picture = frame.ir_unlit if spec.ir.encoding is IREncoding.UNLIT else frame.ir_lit
    part = None if picture is None else _part(picture, face)
    if part is None or part.size == 0:
        return None, None
    saturated = _share(part >= WHITE)
    if spec.ir.encoding is IREncoding.ACTIVE and frame.ir_unlit is not None:
        saturated = max(saturated, _share(_part(frame.ir_unlit, face) >= WHITE))
    return _share(part <= BLACK), saturated


def _turn_of(landmarks: tuple[tuple[float, float], ...] | None) -> float:
    """From where the nose stands between the eyes; 0 without landmarks. In the relief's measure."""
    if landmarks is None or len(landmarks) < 3:
        return 0.0
    right, left, nose = (np.array(point) for point in landmarks[:3])
    eyes = left - right
    apart = float(eyes @ eyes)
    if apart <= 0:
        return 90.0
    off = abs(float((nose - (left + right) / 2) @ eyes)) / apart
    return TURN_OVER_YAW * float(np.degrees(np.arctan(off / NOSE_OVER_EYES)))


def _places(start: float, length: float, size: int) -> npt.NDArray[np.int64]:
    """`RELIEF_POINTS` whole pixels along a side, those outside the picture moved to its edge."""
    return np.clip(np.rint(np.linspace(start, start + length, RELIEF_POINTS)), 0, size - 1).astype(np.int64)


def _part(picture: npt.NDArray[Pixel], face: FaceBox) -> npt.NDArray[Pixel]:
    """The face box's pixels; empty where it lies outside."""
    x0, y0 = max(0, round(face.x_px)), max(0, round(face.y_px))
    return picture[y0 : max(0, round(face.y_px + face.height_px)), x0 : max(0, round(face.x_px + face.width_px))]


def _share(mask: npt.NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(mask)) / mask.size


def _variance(picture: npt.NDArray[np.float32]) -> float:
    """numpy's own takes three times as long on pictures this small."""
    return float(cv2.meanStdDev(picture)[1][0, 0]) ** 2


def _over(share: float | None, most: float) -> bool:
    return share is not None and share > most
