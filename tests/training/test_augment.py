"""Augmentation: one geometry for all modalities, holes stay holes, values stay what a camera can give."""

from __future__ import annotations

import torch

from edgefas.training.augment import augment
from edgefas.training.recipe import Augmentation
from tests.scenes import spec

STILL = Augmentation(
    flip=False, rotate_deg=0, shift_share=0, scale_share=0, rgb_gain=0, ir_gain=0, contrast=0, noise=0, depth_noise=0
)


def batch(n: int = 64) -> dict[str, torch.Tensor]:
    """A bright square left of the middle, at the same place in each modality; depth has holes on the right."""
    square = torch.zeros(n, 1, 112, 112)
    square[:, :, 40:60, 20:40] = 1.0
    depth = square.clone()
    depth[..., 90:] = -1.0
    return {"rgb": square.repeat(1, 3, 1, 1), "ir": square.clone(), "depth": depth}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_augmentation_changes_nothing() -> None:
    got = augment(batch(), spec(), STILL, generator())
    for name, value in batch().items():
        torch.testing.assert_close(got[name], value, atol=2e-5, rtol=0)


def test_flip_mirrors_every_modality_of_a_sample_together() -> None:
    got = augment(batch(), spec(), STILL.model_copy(update={"flip": True}), generator())
    mirrored = {name: got[name][:, 0, 50, 111 - 30] > 0.5 for name in got}
    assert 10 < int(mirrored["rgb"].sum()) < 54
    assert torch.equal(mirrored["rgb"], mirrored["ir"])
    assert torch.equal(mirrored["rgb"], mirrored["depth"])


def test_geometry_is_shared_and_holes_stay_exact() -> None:
    how = STILL.model_copy(update={"rotate_deg": 15, "shift_share": 0.1, "scale_share": 0.2})
    got = augment(batch(), spec(), how, generator())
    rows = torch.arange(112.0)

    def centre(value: torch.Tensor) -> torch.Tensor:
        weight = value.clamp(min=0)
        return torch.stack([(weight.sum(3) @ rows).flatten(), (weight.sum(2) @ rows).flatten()]) / weight.sum((1, 2, 3))

    torch.testing.assert_close(centre(got["ir"]), centre(got["depth"]), atol=0.6, rtol=0)
    assert (centre(got["ir"]).std(1) > 1).all()
    assert set(got["depth"].unique().tolist()) <= {-1.0, 0.0, 1.0}


def test_light_stays_within_what_a_camera_gives_and_depth_noise_spares_holes() -> None:
    how = STILL.model_copy(update={"rgb_gain": 1.0, "ir_gain": 1.0, "contrast": 0.9, "noise": 1.0, "depth_noise": 0.5})
    got = augment(batch(), spec(), how, generator())
    ir = got["ir"] * 0.25 + 0.5
    assert ir.min() >= -1e-6
    assert ir.max() <= 1 + 1e-6
    assert (got["depth"][..., 90:] == -1).all()
    assert got["depth"][..., :90].std() > 0.05
    assert got["depth"].abs().max() <= 1


def test_equal_seeds_give_equal_batches() -> None:
    first, second = (augment(batch(), spec(), Augmentation(), generator(7)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = augment(batch(), spec(), Augmentation(), generator(8))
    assert not torch.equal(first["rgb"], other["rgb"])


def flat(n: int = 64) -> dict[str, torch.Tensor]:
    """White, and a plane before the face."""
    channels = {"rgb": 3, "ir": 1, "depth": 1}
    return {name: torch.full((n, c, 112, 112), 0.5 if name == "depth" else 1.0) for name, c in channels.items()}


def test_dropped_modalities_are_shown_as_nothing_and_one_always_stays() -> None:
    white = flat(400)
    how = STILL.model_copy(update={"modality_dropout": 0.7})
    made = augment(white, spec(), how, torch.Generator().manual_seed(0))
    gone = torch.stack([(made["rgb"] == 0).all((1, 2, 3)), (made["ir"] == 0).all((1, 2, 3)),
                        (made["depth"] == -1).all((1, 2, 3))], 1)  # fmt: skip
    assert not gone.all(1).any()
    assert 0.5 < gone.float().mean() < 0.7  # 0.7, less those that would have lost all
    kept = ~gone[:, 2]
    torch.testing.assert_close(made["depth"][kept], white["depth"][kept])


def test_a_cutout_lies_at_the_same_place_of_all_modalities() -> None:
    made = augment(flat(), spec(), STILL.model_copy(update={"cutout_share": 0.6}), torch.Generator().manual_seed(0))
    holes = made["depth"][:, 0] == -1
    assert ((made["ir"][:, 0] == 0) == holes).all()
    assert ((made["rgb"] == 0).all(1) == holes).all()
    assert 0.02 < holes.float().mean() < 0.25
    assert not holes.all((1, 2)).any()


def test_relief_of_unknown_scale_keeps_its_holes() -> None:
    white = flat()
    white["depth"][:, :, :4] = -1
    how = STILL.model_copy(update={"depth_gain": 0.5, "depth_shift": 0.1})
    made = augment(white, spec(), how, torch.Generator().manual_seed(0))["depth"]
    assert (made[:, :, :4] == -1).all()
    relief = made[:, 0, 56, 56]
    assert relief.std() > 0.05
    assert relief.min() > 0.5 * 0.6 - 0.1
    assert relief.max() < 0.5 * 1.65 + 0.1
