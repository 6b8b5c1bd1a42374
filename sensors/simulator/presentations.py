"""How each presentation is made: a person, a print in a hand, a lit screen in a hand, a mask on a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from edgefas.sensors.frame import Intrinsics
from edgefas.sensors.simulator.episode import Episode, Presentation, sample_episode
from edgefas.sensors.simulator.identity import Identity, identity
from edgefas.sensors.simulator.light import key_direction
from edgefas.sensors.simulator.motion import Pose, pose
from edgefas.sensors.simulator.person import head_surface, torso_surface
from edgefas.sensors.simulator.rig import F32, View
from edgefas.sensors.simulator.room import room_surface, wall_distance_mm
from edgefas.sensors.simulator.scene import Layers, Lit, lit, nothing, paint
from edgefas.sensors.simulator.skin import noise
from edgefas.sensors.simulator.surface import MISS_MM, Surface

FACE_MM = (-75.0, -70.0, 75.0, 80.0)
"""(left, top, right, bottom) of a live face about its middle, as a frontal Haar detector frames it."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What stands before the camera in an episode."""

    room: Lit
    room_pose: Pose
    turning: Lit | None
    """Moves with `motion.pose`: a head, a print, a screen."""
    swaying: Lit | None
    """A body, which follows without turning."""
    face_mm: tuple[float, float, float, float]
    """The face on the presented thing."""
    scatter_spread: float
    """Of the light in skin or mask, relative to mean skin."""


@lru_cache(maxsize=2)
def build(episode: Episode) -> Scene:
    """Everything of an episode that does not change from frame to frame."""
    rng = np.random.default_rng([101, episode.seed, episode.subject])
    who, start = identity(episode.subject), pose(episode, 0)
    wall = Pose(np.eye(3), np.array([0.0, 0.0, wall_distance_mm(episode)]))
    room = lit(room_surface(episode), wall, episode)
    turning: Surface | None = None
    swaying: Surface | None = None
    face, spread = FACE_MM, float(rng.uniform(0.65, 1.4))
    match episode.presentation:
        case Presentation.BONA_FIDE:
            turning, swaying = head_surface(who, _catchlight(episode)), torso_surface(who, episode.seed)
        case Presentation.FLAT_PRINT:
            turning, face = flat_print(episode, rng)
        case Presentation.PHONE_REPLAY:
            turning, face = screen(episode, rng)
        case Presentation.RIGID_MASK:
            wearer = identity(episode.subject + 100_003)
            turning = rigid_mask(who, wearer, episode, rng)
            swaying = torso_surface(wearer, episode.seed)
        case Presentation.EMPTY:
            pass
    texel = 0.85 * episode.distance_mm / 614.6
    still = Pose(np.eye(3), start.position_mm)
    return Scene(
        room,
        wall,
        None if turning is None else lit(_at(turning, texel), start, episode),
        None if swaying is None else lit(_under_chin(swaying), still, episode),
        face,
        spread,
    )


def _at(surface: Surface, texel_mm: float) -> Surface:
    return surface if texel_mm <= surface.step_mm * 1.1 else surface.resized(texel_mm)


def _under_chin(torso: Surface) -> Surface:
    """The head's shadow on the neck, which the torso alone does not know of."""
    h = torso.height_mm.shape[0]
    y = torso.y0_mm + np.arange(h) * torso.step_mm
    dim = np.interp(y, [70, 95, 150], [0.35, 0.45, 1.0]).astype(np.float32)
    return replace(torso, albedo=torso.albedo * dim[:, None, None])


def _catchlight(episode: Episode) -> tuple[float, float]:
    light = key_direction(episode)
    return float(light[0] * 2.6), float(light[1] * 2.6)


def portrait(subject: int, seed: int, width_px: int, height_px: int, width_mm: float) -> F32:
    """The picture an attacker has: frontal, linear (h, w, 3), white = 1; `width_mm` across at the face."""
    photo = sample_episode(
        Presentation.BONA_FIDE,
        subject,
        seed % 2,
        seed + 500_000,
        distance_mm=1100,
        yaw_deg=0,
        pitch_deg=0,
        light_azimuth_deg=float(np.random.default_rng([102, seed]).uniform(-30, 30)),
        light_elevation_deg=35,
        fill_share=0.5,
        light="led",
    )
    focal = width_px / width_mm * 1100
    view = View(
        Intrinsics(width_px, height_px, focal, focal, width_px / 2, height_px * 0.46),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        (0.0, 0.0, 0.0),
    )
    who = identity(subject)
    place = Pose(np.eye(3), np.array([0.0, 0.0, 1100.0]))
    seen = nothing(view, Layers.COLOR)
    shade = np.linspace(0.75, 0.5, height_px, dtype=np.float32)[:, None, None]
    seen.layers[:] = photo.illuminance_lx * shade * np.random.default_rng([103, seed]).uniform(0.5, 1.0, 3)
    for surface in (torso_surface(who, seed), head_surface(who, _catchlight(photo))):
        paint(seen, lit(surface, place, photo), place, view)
    picture = seen.layers
    middle = picture[height_px // 4 : height_px * 2 // 3, width_px // 3 : width_px * 2 // 3]
    return np.asarray(np.clip(picture * (0.30 / float(middle.mean())), 0, 1) ** 0.95, np.float32)


def flat_print(episode: Episode, rng: np.random.Generator) -> tuple[Surface, tuple[float, float, float, float]]:
    """An A4 colour print of the subject in a hand.

    Dye blacks reflect .55-.85 of paper at 850 nm and the picture fades; toner black stays [M].
    """
    width, height, step = 210.0, 297.0, 0.7
    across = float(rng.uniform(215, 265))  # mm of the scene over the sheet: the printed face is about life size
    w, h = int(width / step), int(height / step)
    picture = portrait(episode.subject, episode.seed, w, h, across)
    ink = 1 - picture
    visible = 0.86 - (0.86 - 0.035) * ink + 0.004 * noise(rng, (h, w), 1.2)[..., None]
    brightest = picture.max(-1)
    black = np.clip((0.22 - brightest) / 0.20, 0, 1) * float(rng.uniform(0.6, 1.0))
    color_ink = (1 - brightest) * (1 - float(rng.uniform(0.75, 0.90)))
    black_nir = float(rng.uniform(0.55, 0.85) if episode.ink == "dye" else rng.uniform(0.03, 0.08))
    paper_nir = float(rng.uniform(0.85, 0.92))
    nir = paper_nir * (1 - color_ink) * (1 - black) + paper_nir * black * black_nir
    border = int(5 / step)
    albedo = np.full((h, w, 4), paper_nir, np.float32)
    albedo[..., :3] = 0.86
    inner = (slice(border, h - border), slice(border, w - border))
    albedo[inner] = np.concatenate([visible, nir[..., None]], -1)[inner]
    bend = float(rng.normal(0, 1.5))
    u = np.linspace(-1, 1, w, dtype=np.float32)[None]
    sheet = np.broadcast_to(bend * u**2, (h, w)).astype(np.float32)
    gloss = float(rng.choice([0.15, 0.8]))
    surface = _in_hand(sheet, albedo, step, gloss, 0.25, None, None, episode, rng)
    scale = width / across
    return surface, _face_on(width, height, scale)


def screen(episode: Episode, rng: np.random.Generator) -> tuple[Surface, tuple[float, float, float, float]]:
    """A phone or tablet in a hand, showing the subject: it emits, hardly reflects diffusely, and mirrors the room.

    Display white 150-450 cd/m2; less than .5 % of its light is above 750 nm [M].
    """
    tablet = episode.device == "tablet"
    width, height = (
        (rng.uniform(155, 180), rng.uniform(230, 250)) if tablet else (rng.uniform(65, 71), rng.uniform(140, 155))
    )
    step = 0.6 if tablet else 0.35
    w, h = int(width / step), int(height / step)
    across = float(rng.uniform(195, 240) if tablet else rng.uniform(180, 215))
    picture = portrait(episode.subject, episode.seed, w, h, across)
    side, end = (10.0, 12.0) if tablet else (2.5, 5.0)
    y, x = np.mgrid[:h, :w]
    inset = np.minimum(np.minimum(x, w - 1 - x) * step - side, np.minimum(y, h - 1 - y) * step - end)
    on = np.clip(inset / step + 0.5, 0, 1).astype(np.float32)
    white = float(rng.uniform(150, 450)) * np.pi
    reflection = np.linspace(0.05, 0.015, h, dtype=np.float32)[:, None] * (1 + 0.3 * noise(rng, (h, w), w / 3))
    emission = np.zeros((h, w, 4), np.float32)
    emission[..., :3] = white * on[..., None] * picture * np.array([0.97, 1.0, 1.06], np.float32)
    emission += episode.illuminance_lx * np.clip(reflection, 0, 1)[..., None]
    albedo = np.full((h, w, 4), 0.02, np.float32)
    albedo[..., 3] = float(rng.uniform(0.02, 0.15))
    chance = float(rng.uniform(0.10, 0.60))  # holes 10-60 % [M]
    holes = np.clip(chance + 0.15 * noise(rng, (h, w), 25 / step), 0, 0.49)
    holes = (holes * (0.25 + 0.75 * on)).astype(np.float32)
    surface = _in_hand(np.zeros((h, w), np.float32), albedo, step, 1.2, 0.06, emission, holes, episode, rng)
    return surface, _face_on(width, height, width / across)


def _face_on(width: float, height: float, scale: float) -> tuple[float, float, float, float]:
    """The printed or displayed face about the middle of the sheet or screen (`portrait` puts it at 46 % height)."""
    down = -0.04 * height
    left, top, right, bottom = (side * scale for side in FACE_MM)
    return left, top + down, right, bottom + down


def _in_hand(
    sheet: F32,
    albedo: F32,
    step: float,
    gloss: float,
    roughness: float,
    emission: F32 | None,
    holes: F32 | None,
    episode: Episode,
    rng: np.random.Generator,
) -> Surface:
    """A flat thing held at its lower edge: a thumb in front, the fist under it, a sleeve down to the picture's edge."""
    h, w = sheet.shape
    pad, below = int(90 / step), int((0.62 * episode.distance_mm) / step)
    full_h, full_w = h + below, w + 2 * pad
    holder = identity(episode.subject + 200_003)
    x = (np.arange(full_w) - full_w / 2) * step
    y = (np.arange(full_h) - h) * step  # below the sheet's lower edge
    x, y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    side = float(rng.choice([-1.0, 1.0]))
    hold = side * float(rng.uniform(0.25, 0.6)) * w * step / 2
    # a thumb lies slantwise over the edge, from the hand inwards
    root, tip = np.array([hold + side * 30, 26.0]), np.array([hold + side * 2, -15.0])
    t = np.clip(((x - root[0]) * (tip - root)[0] + (y - root[1]) * (tip - root)[1]) / ((tip - root) ** 2).sum(), 0, 1)
    off = np.hypot(x - root[0] - t * (tip - root)[0], y - root[1] - t * (tip - root)[1])
    thick = 10.5 - 2.0 * t
    thumb = 12.0 * np.sqrt(np.maximum(1 - (off / thick) ** 2, 0))
    nail = (np.hypot(x - tip[0] - side * 2, y - tip[1] - 1) < 5.0) & (off < 6)
    palm = np.hypot((x - hold - side * 12) / 40, (y - 30) / 36)
    fist = -26 + 26 * np.sqrt(np.maximum(1 - palm**2, 0)) + 1.5 * np.cos((y + 0.4 * x) / 3.0)
    arm_r = 34 + 0.10 * np.maximum(y - 60, 0)
    arm = -30 + 30 * np.sqrt(np.maximum(1 - ((x - hold - side * (12 + 0.25 * (y - 60))) / arm_r) ** 2, 0))
    is_arm = (np.abs(x - hold - side * (12 + 0.25 * (y - 60))) < arm_r) & (y > 62)
    is_fist = (palm < 1) & (y > 0)
    is_thumb = thumb > 0.1
    height = np.full((full_h, full_w), MISS_MM, np.float32)
    height[is_arm], height[is_fist] = arm[is_arm], fist[is_fist]
    color = np.zeros((full_h, full_w, 4), np.float32)
    color[:] = np.array(holder.skin, np.float32)
    color[is_arm] = rng.uniform(0.05, 0.5, 4)
    inner = (slice(0, h), slice(pad, pad + w))
    height[inner], color[inner] = sheet, albedo
    finish = np.zeros((full_h, full_w, 3), np.float32)
    finish[..., 0], finish[..., 2] = 1.0, 1.0
    finish[inner] = np.array([gloss, 0, 0], np.float32)
    finish[is_arm & (y > 62)] = 0
    light = np.zeros_like(color)
    hole = np.zeros((full_h, full_w), np.float32)
    if emission is not None and holes is not None:
        light[inner], hole[inner] = emission, holes
    height[is_thumb] = np.maximum(thumb[is_thumb], height[is_thumb])
    color[is_thumb] = np.array(holder.skin, np.float32)
    color[nail] = np.array(holder.skin, np.float32) ** 0.8
    finish[is_thumb], light[is_thumb], hole[is_thumb] = 1.0, 0.0, 0.0
    return Surface(
        -full_w / 2 * step,
        -h / 2 * step,
        step,
        height,
        -60.0,
        color,
        finish,
        roughness,
        10.0,
        None if emission is None else light,
        hole,
    )


def rigid_mask(who: Identity, wearer: Identity, episode: Episode, rng: np.random.Generator) -> Surface:
    """A painted resin face of the subject before another head: rim, painted eyes, gloss, no light inside.

    Painted resin .50-.80 at 850 nm, flat; r50 of its scattering .3 mm against 1.5 mm of skin [M].
    """
    behind, face = (
        head_surface(wearer, _catchlight(episode)),
        head_surface(replace(who, stubble=0.0, freckles=0.0), (0.0, 0.0)),
    )
    h, w = face.height_mm.shape
    x = face.x0_mm + (np.arange(w) + 0.5) * face.step_mm
    y = face.y0_mm + (np.arange(h) + 0.5) * face.step_mm
    x, y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    half = np.interp(y, [-105, -95, -60, 0, 40, 65, 78], [10, 42, 61, 67, 58, 42, 12])
    on = np.abs(x) < half
    on &= (y > -103) & (y < 77)
    smooth = cv2.GaussianBlur(face.height_mm, (0, 0), 1.5 / face.step_mm) + float(rng.uniform(9, 14))
    height = np.where(on, np.maximum(smooth, behind.height_mm + 2), behind.height_mm)
    paint_tone = face.albedo * np.array([1.06, 1.0, 0.95, 1.0], np.float32) ** 0.8
    middle = paint_tone[(np.abs(y) < 40) & (np.abs(x) < 45)].mean(0)
    flat = cv2.GaussianBlur(0.35 * middle + 0.65 * paint_tone, (0, 0), 0.7)
    paint_nir = float(rng.uniform(0.50, 0.80))
    dark = np.clip(flat[..., 1] / max(float(middle[1]), 1e-3), 0.2, 1.2) ** 0.35
    flat[..., 3] = paint_nir * dark
    albedo = np.where(on[..., None], flat, behind.albedo)
    rim = np.clip(np.abs(np.abs(x) - half) / 1.5, 0.45, 1)
    albedo = albedo * np.where(on, rim, 1)[..., None]
    finish = np.where(on[..., None], np.array([float(rng.uniform(1.5, 3.0)), 0, 0.12], np.float32), behind.finish)
    assert behind.depth_holes is not None
    holes = np.where(on, 0, behind.depth_holes)
    return replace(
        behind,
        height_mm=height.astype(np.float32),
        albedo=albedo.astype(np.float32),
        finish=finish.astype(np.float32),
        depth_holes=holes.astype(np.float32),
        roughness=float(rng.uniform(0.16, 0.28)),
    )
