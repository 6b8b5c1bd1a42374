"""Projector dots in an infrared picture: whether it was lit, told by the picture itself."""

from __future__ import annotations

import cv2

from edgefas.sensors.frame import U8

_NEIGHBOURHOOD_PX = 5
_STANDS_OUT = 24
"""Grey levels above the median of the neighbourhood: a dot, not noise."""


def speck_share(ir: U8) -> float:
    """Share of pixels, 0 to 1, that stand out brightly from their neighbourhood, as projector dots do.

    Args:
        ir: (h, w) uint8.
    """
    median = cv2.medianBlur(ir, _NEIGHBOURHOOD_PX)
    return float((cv2.subtract(ir, median) > _STANDS_OUT).mean())
