"""Networks on patches of a picture: one at random in training, nine that reach every border in scoring."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgefas.errors import EdgefasError

PATCHES_PER_SIDE = 3


def mean_over_grid(score: Callable[[Tensor], Tensor], x: Tensor, side: int) -> Tensor:
    """(N,) means of what `score` gives, (N,) each, for the nine patches of (N, C, H, W) pictures.

    Raises:
        EdgefasError: the pictures are smaller than a patch.
    """
    patches = grid_patches(x, side)
    return score(patches.flatten(0, 1)).unflatten(0, (len(patches), -1)).mean(0)


def merge_grid(patches: Tensor, height: int, width: int) -> Tensor:
    """(9, C, side, side) of one picture -> (C, height, width): means where patches overlap, 0 where none lies."""
    side = patches.shape[-1]
    total, count = patches.new_zeros(patches.shape[1], height, width), patches.new_zeros(height, width)
    for patch, (row, column) in zip(patches, _grid(height, width, side), strict=True):
        total[:, row : row + side, column : column + side] += patch
        count[row : row + side, column : column + side] += 1
    return total / count.clamp_min(1)


def grid_patches(x: Tensor, side: int) -> Tensor:
    """(N, C, H, W) -> (9, N, C, side, side): a 3x3 grid from border to border.

    Raises:
        EdgefasError: the pictures are smaller than a patch.
    """
    height, width = x.shape[2:]
    return torch.stack([x[:, :, r : r + side, c : c + side] for r, c in _grid(height, width, side)])


def random_patches(x: Tensor, side: int) -> Tensor:
    """(N, C, H, W) -> (N, C, side, side): one per picture, drawn from the global generator.

    Raises:
        EdgefasError: the pictures are smaller than a patch.
    """
    height, width = x.shape[2:]
    rows, columns = (torch.randint(room + 1, (len(x),)).tolist() for room in _room(height, width, side))
    return torch.stack([one[:, r : r + side, c : c + side] for one, r, c in zip(x, rows, columns, strict=True)])


def _grid(height: int, width: int, side: int) -> list[tuple[int, int]]:
    """Top left corners, row by row."""
    share = [i / (PATCHES_PER_SIDE - 1) for i in range(PATCHES_PER_SIDE)]
    rows, columns = ([round(room * s) for s in share] for room in _room(height, width, side))
    return [(row, column) for row in rows for column in columns]


def _room(height: int, width: int, side: int) -> tuple[int, int]:
    if min(height, width) < side:
        raise EdgefasError(
            f"pictures of {width}x{height} hold no patch of {side}x{side}; give larger ones, or set patch_px"
        )
    return height - side, width - side
