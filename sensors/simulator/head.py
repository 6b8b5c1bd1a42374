"""The shape of heads: a heightfield through measured landmarks, with eyes, nose, lips, ears and hair.

Lengths follow the ANSUR 1988 headboard landmarks (depth relative to the sellion, height below it); what lies
between landmarks is modelled by eye, and asymmetric per subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from edgefas.sensors.simulator.identity import Identity
from edgefas.sensors.simulator.rig import F32

STEP_MM = 0.6
X0_MM, Y0_MM = -132.0, -175.0
SIZE = (440, 680)
"""(width, height) of the head's grid; its origin is the sellion."""
FACE_MIDDLE_MM = (0.0, 45.0, -8.0)
"""x, y and height of the object's origin: the middle of the face, near its median depth."""
FLOOR_MM = -118.0

# midline without nose, from crinion to menton: mm below the sellion, mm towards the camera
_PROFILE = np.array(
    [
        [-118, -112], [-112, -84], [-103, -58], [-88, -31], [-70, -13.6], [-50, -3.5], [-32, 1.5], [-16, 2.7],
        [-6, 0.5], [0, -1.5], [20, -1.5], [40, 2.5], [50, 4.5], [62, 3.5], [74, 1.0], [88, -5.5], [98, -4.5],
        [104, -4.5], [112, -8.0], [119, -15.5], [124, -27], [128, -45], [131, -75], [134, -115],
    ]
)  # fmt: skip
# half breadth of the head's outline (zygion 71 mm at the template's size) and roundness of the horizontal section
_OUTLINE = np.array(
    [
        [-118, 10, 2.3], [-112, 33, 2.3], [-100, 52, 2.4], [-80, 66, 2.6], [-50, 74, 2.8], [-20, 75, 2.7],
        [0, 74.5, 2.3], [20, 74, 2.1], [40, 71.5, 2.0], [60, 68, 2.0], [78, 63.5, 2.1], [92, 57.5, 2.2],
        [104, 49, 2.3], [114, 39, 2.3], [121, 28, 2.3], [127, 17, 2.2], [132, 8, 2.0],
    ]
)  # fmt: skip
_NOSE = np.array(
    [[-4, 0], [4, 1.2], [10, 4.0], [20, 9.5], [30, 15.5], [36, 19], [40, 20.4], [43, 19], [46, 14], [48.5, 7.5],
     [51, 2], [54, 0]]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plan:
    """The head's grid in template coordinates: the subject's own x, y mapped to those of the mean male face."""

    x_mm: F32
    y_mm: F32
    eye_x: F32
    """From the nearer eye's centre, + is away from the nose."""
    eye_y: F32
    side: F32
    """-1 on the picture's left, 1 on its right."""


@lru_cache(maxsize=4)
def plan(who: Identity) -> Plan:
    """Where every grid point lies on the mean face; a smooth warp makes the halves differ by about a millimetre."""
    rng = np.random.default_rng([31, who.texture_seed])
    w, h = SIZE
    x, y = np.meshgrid(X0_MM + (np.arange(w) + 0.5) * STEP_MM, Y0_MM + (np.arange(h) + 0.5) * STEP_MM)
    warp = [cv2.resize(rng.normal(0, 0.8, (7, 5)), (w, h), interpolation=cv2.INTER_CUBIC) for _ in range(2)]
    x, y = x + warp[0], y + warp[1]
    tx = x / (who.face_breadth / 142.6)
    ty = np.where(y > 0, y / (who.face_length / 122.6), y / (who.forehead / 68.2))
    jaw = np.interp(ty, [40, 95], [1.0, who.jaw])
    side = np.where(x < 0, -1.0, 1.0)
    ex, ey = np.abs(x) - who.eye_distance / 2, y - 6.0
    return Plan(*(np.asarray(a, np.float32) for a in (tx / jaw, ty, ex, ey + who.eye_tilt * ex, side)))


def skull(p: Plan, swell_mm: float = 0.0) -> F32:
    """The head without features; `swell_mm` makes it larger all round, for hair."""
    grow = 1 + swell_mm / 75
    y = np.where(p.y_mm < 0, p.y_mm / (1 + swell_mm / 112), p.y_mm)
    profile = np.interp(y, _PROFILE[:, 0], _PROFILE[:, 1], -200, -200)
    half = np.interp(y, _OUTLINE[:, 0], _OUTLINE[:, 1], 1, 1) * grow
    power = np.interp(y, _OUTLINE[:, 0], _OUTLINE[:, 2])
    share = np.minimum(np.abs(p.x_mm) / half, 1.0) ** power
    drop = 105 * (1 - np.sqrt(1 - share)) + np.maximum(np.abs(p.x_mm) - half, 0) * 6
    return np.asarray(cv2.GaussianBlur((profile - drop + swell_mm).astype(np.float32), (0, 0), 2.4), np.float32)


def face_height(who: Identity, p: Plan) -> F32:
    """Height of skin and eyes in mm relative to the sellion (hair is added by `hair`)."""
    x, y, ax = p.x_mm, p.y_mm, np.abs(p.x_mm)
    base = skull(p)

    def bump(cx: float, cy: float, sx: float, sy: float) -> F32:
        """Gaussian on both sides of the midline."""
        return np.asarray(np.exp(-0.5 * (((ax - cx) / sx) ** 2 + ((y - cy) / sy) ** 2)), np.float32)

    def mid(cy: float, sx: float, sy: float) -> F32:
        return np.asarray(np.exp(-0.5 * ((x / sx) ** 2 + ((y - cy) / sy) ** 2)), np.float32)

    strong = 1.25 if who.male else 0.7
    h = base + strong * 2.6 * bump(24, -12, 18, 6) - 6.5 * bump(15.5, 7, 6.5, 10)  # brow ridge, inner corners
    h -= 8.5 * np.exp(-0.5 * ((p.eye_x / 14.5) ** 2 + (p.eye_y / 10) ** 2))  # orbits
    h += 2.5 * bump(44, 28, 16, 12) - 1.8 * bump(46, 66, 14, 14) - 2.5 * bump(62, -8, 9, 14)  # cheek, hollow, temple
    h += _nose(who, p)
    fold = 17.5 + (y - 44) * 0.42
    h -= 1.3 * np.exp(-0.5 * (((ax - fold) / 2.8) ** 2 + ((y - 58) / 11) ** 2))  # nasolabial fold
    h -= 1.0 * mid(58.5, 2.2, 4.0) - 0.7 * bump(4.6, 59, 1.8, 4.5)  # philtrum
    if who.mouth_open:
        h -= 9.0 * mouth_gap(who, p)
    h += _lips(who, p) - 2.0 * mid(89, 17, 3.6) + (3.2 if who.male else 2.2) * mid(104, 13, 8)  # mentolabial fold, chin
    h += _eyeballs(who, p)
    return np.asarray(np.maximum(h, _ears(p)), np.float32)


def _nose(who: Identity, p: Plan) -> F32:
    x, y = p.x_mm, p.y_mm
    wide = who.nose_breadth / 36.0
    ridge = np.interp(y, _NOSE[:, 0], _NOSE[:, 1]) * who.nose_protrusion / 21.0
    sigma = np.interp(y, [0, 20, 34, 42, 50], [5.2, 6.0, 6.8, 8.2, 9.0]) * wide
    # between a Gaussian and a tent: flanks are straight, the back is round
    flank = np.exp(-0.5 * (np.abs(x) / sigma) ** 1.75)
    ax = np.abs(x)
    ala = 8.0 * np.exp(-0.5 * (((ax - 12.3 * wide) / (4.0 * wide)) ** 2 + ((y - 42.5) / 4.6) ** 2) ** 1.4)
    nostril = 3.5 * np.exp(-0.5 * (((ax - 6.8 * wide) / 3.0) ** 2 + ((y - 48.0) / 1.8) ** 2))
    crease = 1.6 * np.exp(-0.5 * (((ax - 18.2 * wide) / 1.8) ** 2 + ((y - 43.0) / 5.5) ** 2))
    nose = np.maximum(ridge * flank, 0) + ala * (1 - 0.55 * flank) - nostril - crease
    return np.asarray(cv2.GaussianBlur(nose.astype(np.float32), (0, 0), 1.2), np.float32)


def mouth_shape(who: Identity, p: Plan) -> tuple[F32, F32, F32]:
    """(upper edge, mouth line, lower edge) as signed mm below each curve, and narrowing to the corners.

    An open mouth moves line and lower lip down; what lies between the lips is `mouth_gap`.
    """
    half = who.lip_length / 2
    u = np.clip(np.abs(p.x_mm) / half, 0, 1.2)
    full = who.lip_fullness
    taper = np.sqrt(np.maximum(1 - u**2, 0))
    line = 74.4 - 0.9 * u**2 + 0.9 * np.exp(-((p.x_mm / 5.0) ** 2))
    bow = 1.1 * np.exp(-((p.x_mm / 3.2) ** 2)) - 0.7 * np.exp(-(((np.abs(p.x_mm) - 6.0) / 4.0) ** 2))
    upper = line - 6.8 * full * taper * (1 - 0.25 * u) + bow * taper
    line = line + who.mouth_open * taper
    lower = line + 8.8 * full * taper * (1 - 0.12 * u)
    return tuple(np.asarray(p.y_mm - edge, np.float32) for edge in (upper, line, lower))  # type: ignore[return-value]


def mouth_gap(who: Identity, p: Plan) -> F32:
    """1 where an open mouth shows its inside, soft over a millimetre."""
    _, line, _ = mouth_shape(who, p)
    half = who.lip_length / 2
    taper = np.sqrt(np.maximum(1 - np.clip(np.abs(p.x_mm) / half, 0, 1) ** 2, 0))
    return np.asarray(np.clip(np.minimum(-line, line + who.mouth_open * taper) + 0.5, 0, 1), np.float32)


def _lips(who: Identity, p: Plan) -> F32:
    upper, line, lower = mouth_shape(who, p)
    inside = np.abs(p.x_mm) < who.lip_length / 2
    up = np.clip(upper / np.maximum(upper - line, 0.5), 0, 1) * (line < 0)
    low = np.clip(line / np.maximum(line - lower, 0.5), 0, 1) * (line >= 0)
    round_lip = np.sin(np.pi * np.clip(up, 0, 1)) * 2.0 + np.sin(np.pi * np.clip(low, 0, 1)) * 2.8
    groove = 1.7 * np.exp(-0.5 * ((line / 0.9) ** 2)) * (np.abs(p.x_mm) < who.lip_length / 2 + 1)
    corner = 1.8 * np.exp(
        -0.5 * (((np.abs(p.x_mm) - who.lip_length / 2 - 1) / 3.0) ** 2 + ((p.y_mm - 75.5) / 3.0) ** 2)
    )
    return np.asarray(
        cv2.GaussianBlur((round_lip * inside - groove - corner).astype(np.float32), (0, 0), 1.0), np.float32
    )


@lru_cache(maxsize=4)  # height and colour both ask several times
def lid_edges(who: Identity, p: Plan) -> tuple[F32, F32]:
    """(upper, lower) eyelid margins as height over the eye's axis in mm; NaN-free, meeting in the corners."""
    # palpebral fissure about 30 mm long; the upper arc peaks towards the nose, the lower one away from it
    half = 14.6
    u = np.clip(p.eye_x / half, -1, 1)
    arc = np.maximum(1 - u**2, 0)
    upper = -5.0 * who.eye_opening * arc**0.72 * (1 - 0.16 * u)
    lower = 3.9 * who.eye_opening * arc**0.85 * (1 + 0.22 * u)
    return np.asarray(upper, np.float32), np.asarray(lower, np.float32)


@lru_cache(maxsize=4)
def eye_inside(who: Identity, p: Plan) -> F32:
    """1 between the lids, 0 outside, soft over half a millimetre."""
    upper, lower = lid_edges(who, p)
    inside = np.minimum(p.eye_y - upper, lower - p.eye_y)
    inside = np.minimum(inside, (14.6 - np.abs(p.eye_x)) * 0.5)
    return np.asarray(np.clip(inside / 0.6 + 0.5, 0, 1), np.float32)


def _eyeballs(who: Identity, p: Plan) -> F32:
    """Globe of 12 mm radius with lids over it: the lids stand 1 mm out and are creased above."""
    upper, _ = lid_edges(who, p)
    r2 = (p.eye_x / 15.5) ** 2 + (p.eye_y / 11.0) ** 2
    globe = 7.0 * np.sqrt(np.maximum(1 - r2, 0))
    lid = 1.3 * (1 - eye_inside(who, p)) * np.clip(1.15 - r2, 0, 1) ** 0.5
    crease = 1.3 * np.exp(-0.5 * ((p.eye_y - upper * 1.15 + 3.8) / 1.1) ** 2) * np.exp(-0.5 * (p.eye_x / 11) ** 2)
    bag = 0.6 * np.exp(-0.5 * (((p.eye_y - 10.5) / 1.6) ** 2 + (p.eye_x / 9) ** 2))
    return np.asarray(cv2.GaussianBlur((globe + lid - crease - bag).astype(np.float32), (0, 0), 0.9), np.float32)


def _ears(p: Plan) -> F32:
    """Auricles behind the cheeks (tragion 98 mm behind the sellion), rim higher than bowl."""
    ax = np.abs(p.x_mm)
    u = (ax - 77.5 - 0.10 * (22 - p.y_mm)) / 10.0
    v = (p.y_mm - 22) / 30.0
    v = v * np.where(p.y_mm > 22, 1.0 + 0.12 * np.clip(-u, -1, 1), 1.0)
    r = np.sqrt(u**2 + v**2)
    rim = 5.0 * np.exp(-0.5 * ((r - 0.82) / 0.11) ** 2)
    inner = 3.5 * np.exp(-0.5 * (((r - 0.48) / 0.10) ** 2)) * (u > -0.4)
    ear = -95.0 + rim + inner - 4.0 * np.exp(-0.5 * (r / 0.35) ** 2) - np.maximum(r - 0.95, 0) * 260 + 8 * u
    return np.asarray(cv2.GaussianBlur(np.where(r < 1.3, ear, -200).astype(np.float32), (0, 0), 1.0), np.float32)
