"""The one preprocessing function: frame + face + InputSpec -> the network's inputs.

Training, evaluation, calibration, the live pipeline and the golden vectors all call `preprocess`; there is no second
way to make an input, so a network never meets a picture in the field that was made differently from its training's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.contracts import (
    DepthInput,
    FaceBox,
    InputSpec,
    IREncoding,
    IRInput,
    MetricCrop,
    Modality,
    RGBInput,
)
from edgefas.errors import EdgefasError
from edgefas.sensors.alignment import Aligned, PixelBox, align
from edgefas.sensors.frame import Exposure, Frame, Intrinsics

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Pixel = TypeVar("Pixel", np.uint8, np.float32)

DOT_PITCH_RAD = 9.2 / 424
"""Mean pitch of the D4xx projector's dots: 9.2 px where fx is 424 px, the same angle at any distance."""


class MissingModality(EdgefasError):
    """The frame lacks a stream that the InputSpec needs; never replaced by a black picture."""


def preprocess(frame: Frame, face: FaceBox, spec: InputSpec) -> dict[str, F32]:
    """Cut out the face and encode each modality.

    Returns:
        By modality name, (1, C, H, W) float32 as the spec says. Where the crop reaches outside the picture, colour
        and infrared are black and depth is `no_return`.

    Raises:
        MissingModality: see `missing_modalities`.
    """
    missing = missing_modalities(frame, spec)
    if missing:
        names = ", ".join(m.value for m in missing)
        raise MissingModality(f"frame {frame.number} has no {names}, which this network needs")
    box = crop_box(face, spec, frame.calibration.depth)
    inside = _inside(box, frame.calibration.depth)
    if inside is None:
        raise EdgefasError(f"the face's crop {box} lies outside the picture of frame {frame.number}")
    aligned = align(frame, inside)
    margins = _margins(box, inside)

    inputs: dict[str, F32] = {}
    if spec.rgb is not None and aligned.rgb is not None:
        inputs[Modality.RGB.value] = _encode_rgb(_pad(aligned.rgb, margins), spec.rgb, spec)
    if spec.ir is not None:
        picture = _pad(_ir_picture(aligned, frame, spec.ir.encoding), margins)
        inputs[Modality.IR.value] = _encode_ir(picture, spec.ir, spec)
    if spec.depth is not None:
        depth_mm = _pad(aligned.depth_mm, margins)
        inputs[Modality.DEPTH.value] = _encode_depth(face.median_z_mm - depth_mm, depth_mm > 0, spec.depth, spec)
    return inputs


@dataclass(frozen=True, eq=False)
class Cropped:
    """A face that somebody else cut out, as data sets give it: it enters after the crop step."""

    rgb: U8 | None = None
    """(H, W, 3)."""
    ir: U8 | None = None
    """(H, W), taken for whatever encoding of infrared the network was trained with."""
    relief_mm: F32 | None = None
    """(H, W) towards the camera, relative to the face's median depth; NaN where nothing returned."""


def encode_cropped(crop: Cropped, spec: InputSpec) -> dict[str, F32]:
    """What `preprocess` gives, of a face already cut out: sizes may differ between modalities.

    Raises:
        MissingModality: the crop lacks what the spec needs.
    """
    given = {Modality.RGB: crop.rgb, Modality.IR: crop.ir, Modality.DEPTH: crop.relief_mm}
    missing = [modality.value for modality in spec.modalities if given[modality] is None]
    if missing:
        raise MissingModality(f"the picture has no {', '.join(missing)}, which this network needs")
    inputs: dict[str, F32] = {}
    if spec.rgb is not None and crop.rgb is not None:
        inputs[Modality.RGB.value] = _encode_rgb(crop.rgb, spec.rgb, spec)
    if spec.ir is not None and crop.ir is not None:
        inputs[Modality.IR.value] = _encode_ir(crop.ir, spec.ir, spec)
    if spec.depth is not None and crop.relief_mm is not None:
        returned = np.isfinite(crop.relief_mm)
        relief_mm = np.where(returned, crop.relief_mm, np.float32(0))
        inputs[Modality.DEPTH.value] = _encode_depth(relief_mm, returned, spec.depth, spec)
    return inputs


def missing_modalities(frame: Frame, spec: InputSpec) -> tuple[Modality, ...]:
    """What the spec needs and the frame lacks. Depth is always needed: it places the face and warps colour."""
    missing = []
    if spec.rgb is not None and frame.color is None:
        missing.append(Modality.RGB)
    if spec.ir is not None:
        needs_lit = spec.ir.encoding is not IREncoding.UNLIT
        needs_unlit = spec.ir.encoding is not IREncoding.LIT
        if (needs_lit and frame.ir_lit is None) or (needs_unlit and frame.ir_unlit is None):
            missing.append(Modality.IR)
    if frame.depth is None:
        missing.append(Modality.DEPTH)
    return tuple(missing)


def crop_box(face: FaceBox, spec: InputSpec, grid: Intrinsics) -> PixelBox:
    """The crop in whole pixels of the depth grid; it may reach outside the picture."""
    x, y = face.centre_px
    if isinstance(spec.crop, MetricCrop):
        px_per_mm = grid.fx_px / face.median_z_mm
        w, h = spec.crop.width_mm * px_per_mm, spec.crop.height_mm * px_per_mm
        y += spec.crop.shift_down_mm * px_per_mm
    else:
        w, h = face.width_px * spec.crop.scale, face.height_px * spec.crop.scale
    x0, y0 = round(x - w / 2), round(y - h / 2)
    return PixelBox(x0, y0, max(2, round(w)), max(2, round(h)))


def cut_out(picture: npt.NDArray[Pixel], box: PixelBox) -> npt.NDArray[Pixel]:
    """What a box shows of a picture (h, w[, c]); zeros where it reaches outside.

    Raises:
        EdgefasError: all of it lies outside.
    """
    height_px, width_px = picture.shape[:2]
    inside = _inside(box, Intrinsics(width_px, height_px, 1.0, 1.0, 0.0, 0.0))
    if inside is None:
        raise EdgefasError(f"the face's crop {box} lies outside the picture of {width_px}x{height_px}")
    part = picture[inside.y_px : inside.y_px + inside.height_px, inside.x_px : inside.x_px + inside.width_px]
    return _pad(part, _margins(box, inside))


def inside_share(box: PixelBox, grid: Intrinsics) -> float:
    """Which share of the crop's area the picture holds, 0 to 1."""
    inside = _inside(box, grid)
    if inside is None:
        return 0.0
    return inside.width_px * inside.height_px / (box.width_px * box.height_px)


def active_ir(lit: U8, unlit: U8, exposures: tuple[Exposure | None, Exposure | None], fx_px: float) -> U8:
    """What the projector alone adds: lit minus exposure-matched unlit, smoothed over the dots.

    Args:
        lit, unlit: (h, w) uint8 of one moment.
        exposures: of lit and of unlit; where one is unknown both are taken as equal.
        fx_px: focal length of the grid; the dot pitch is a fixed angle.
    """
    ratio = 1.0
    if exposures[0] is not None and exposures[1] is not None:
        ratio = exposures[0].time_us * exposures[0].gain / (exposures[1].time_us * exposures[1].gain)
    added = cv2.addWeighted(lit, 1.0, unlit, -ratio, 0.0, dtype=cv2.CV_32F)
    # Smoothed before the clip at 0: clipping first would lift dark regions by their noise.
    smooth = cv2.GaussianBlur(added, (0, 0), 0.5 * DOT_PITCH_RAD * fx_px)
    clipped: U8 = np.clip(np.rint(smooth), 0, 255).astype(np.uint8)
    return clipped


def _inside(box: PixelBox, grid: Intrinsics) -> PixelBox | None:
    """The part of the box that the picture holds."""
    x0, y0 = max(0, box.x_px), max(0, box.y_px)
    x1 = min(grid.width_px, box.x_px + box.width_px)
    y1 = min(grid.height_px, box.y_px + box.height_px)
    return PixelBox(x0, y0, x1 - x0, y1 - y0) if x0 < x1 and y0 < y1 else None


def _margins(box: PixelBox, inside: PixelBox) -> tuple[int, int, int, int]:
    """How far the box reaches beyond the picture: top, bottom, left, right."""
    top, left = inside.y_px - box.y_px, inside.x_px - box.x_px
    return top, box.height_px - inside.height_px - top, left, box.width_px - inside.width_px - left


def _pad(picture: npt.NDArray[Pixel], margins: tuple[int, int, int, int]) -> npt.NDArray[Pixel]:
    """Zeros (black, or no return) where the crop leaves the picture."""
    if not any(margins):
        return picture
    padded: npt.NDArray[Pixel] = cv2.copyMakeBorder(picture, *margins, borderType=cv2.BORDER_CONSTANT, value=0)
    return padded


def _ir_picture(aligned: Aligned, frame: Frame, encoding: IREncoding) -> U8:
    lit, unlit = aligned.ir_lit, aligned.ir_unlit
    if encoding is IREncoding.ACTIVE:
        assert lit is not None
        assert unlit is not None
        exposures = (frame.ir_lit_exposure, frame.ir_unlit_exposure)
        return active_ir(lit, unlit, exposures, frame.calibration.depth.fx_px)
    picture = lit if encoding is IREncoding.LIT else unlit
    assert picture is not None
    return picture


def _resize(picture: npt.NDArray[Pixel], height_px: int, width_px: int, spec: InputSpec) -> F32:
    """Area averaging only shrinks well; enlarging is always linear."""
    shrinks = picture.shape[0] >= height_px and picture.shape[1] >= width_px
    method = cv2.INTER_AREA if spec.interpolation == "area" and shrinks else cv2.INTER_LINEAR
    resized: F32 = cv2.resize(picture, (width_px, height_px), interpolation=method).astype(np.float32, copy=False)
    return resized


def _encode_rgb(picture: U8, part: RGBInput, spec: InputSpec) -> F32:
    small = _resize(picture, part.height_px, part.width_px, spec)
    ordered = small if part.order == "rgb" else small[..., ::-1]
    gain, bias = _affine(part.mean, part.std)
    # Channels first, then in place: a third of the time of three temporaries with channels last.
    out = np.ascontiguousarray(ordered.transpose(2, 0, 1))
    out *= gain[:, None, None]
    out -= bias[:, None, None]
    return out[None]


def _encode_ir(picture: U8, part: IRInput, spec: InputSpec) -> F32:
    small = _resize(picture, part.height_px, part.width_px, spec)
    gain, bias = _affine((part.mean,), (part.std,))
    return (small * gain - bias)[None, None]


def _encode_depth(relief_mm: F32, returns: npt.NDArray[np.bool_], part: DepthInput, spec: InputSpec) -> F32:
    """Holes are left out of the averages, so an edge of a hole is not a slope."""
    returned = returns.astype(np.float32)
    relief = np.clip(relief_mm / part.clip_mm, -1, 1) * returned
    total = _resize(relief, part.height_px, part.width_px, spec)
    share = _resize(returned, part.height_px, part.width_px, spec)
    mean = np.divide(total, share, out=np.zeros_like(total), where=share > 0)
    return np.where(share >= 0.5, mean, np.float32(part.no_return))[None, None]


@lru_cache(maxsize=8)
def _affine(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[F32, F32]:
    """(pixel / 255 - mean) / std as pixel * gain - bias."""
    m, s = np.array(mean, np.float32), np.array(std, np.float32)
    return (1 / (255 * s)).astype(np.float32), (m / s).astype(np.float32)
