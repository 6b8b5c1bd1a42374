"""ECA-ResNeXt: each equation against float64 numpy written from the paper, table 1, patches, and the way into ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgefas.contracts import ContractError, Modality
from edgefas.engines.export import export_onnx, random_inputs
from edgefas.engines.runtime import load_engine
from edgefas.errors import EdgefasError
from edgefas.models import count, create_model
from edgefas.models.eca_fas import EnhancedChannelAttention, mean_distance, variance_gap
from edgefas.models.patches import grid_patches, random_patches
from tests.models.test_dah_fas import conv, noise, random_double, sigmoid

Array = np.ndarray
SMALL: dict[str, Any] = {"base": 16, "groups": 8, "size_px": 64}
WEIGHTS = {"cross_entropy_weight": 0.7, "feature_weight": 0.6, "separation": 0.4, "distribution": 0.9}


def half_of_mean_distance(features: Array) -> float:
    """Eq. 8-10: the sum over i < j, divided by n (n - 1)."""
    n, total = len(features), 0.0
    for i in range(n):
        for j in range(i + 1, n):
            total += np.sqrt(((features[i] - features[j]) ** 2).sum())
    return total / (n * (n - 1))


def test_eca_equations_1_to_7() -> None:
    module, x = EnhancedChannelAttention(16, reduction=4), noise(3, 16, 5, 6)
    x[1] *= 7  # the norms are each picture's own
    p = random_double(module)

    depthwise = np.maximum(conv(x, p["depthwise.weight"], groups=16), 0)  # eq. 1
    reduced = np.maximum(conv(depthwise, p["reduce.weight"]), 0)  # eq. 2-3
    flat = conv(reduced, p["expand.weight"])  # eq. 4
    want = np.empty_like(x)
    for n in range(3):
        alpha = np.sqrt((x[n] ** 2).sum()) / (np.sqrt((flat[n] ** 2).sum()) + 1e-6)  # eq. 6
        w = sigmoid((x[n] + alpha * flat[n]).mean((1, 2)))  # eq. 5
        want[n] = w[:, None, None] * x[n]  # eq. 7

    with torch.no_grad():
        got = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, want, atol=1e-10)


def test_a_dead_reconstruction_leaves_the_gate_finite() -> None:
    module = EnhancedChannelAttention(16, 4)
    nn.init.zeros_(module.reduce.weight)
    x = torch.from_numpy(noise(1, 16, 4, 4)).float().requires_grad_()
    y = module(x)
    torch.testing.assert_close(y, x.mean((2, 3), keepdim=True).sigmoid() * x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_icd_equations_8_to_14() -> None:
    torch.manual_seed(0)
    model = create_model("eca-fas", **SMALL, **WEIGHTS, patch_px=None).double().eval()
    seen: dict[str, Array] = {}

    def keep(module: nn.Module, given: tuple[torch.Tensor], out: torch.Tensor) -> None:
        seen.update(features=given[0].detach().numpy(), logits=out.detach().numpy()[:, 0])

    model.backbone.fc.register_forward_hook(keep)
    labels = np.array([1, 0, 0, 1, 0, 1, 0.0])
    losses = model.training_losses({"rgb": torch.from_numpy(noise(7, 3, 64, 64))}, torch.from_numpy(labels))

    f, g = seen["features"][labels == 1], seen["features"][labels == 0]
    y = sigmoid(seen["logits"])
    cross_entropy = -(labels * np.log(y) + (1 - labels) * np.log(1 - y)).mean()  # eq. 13
    gap = sum((f[:, k].var() - g[:, k].var()) ** 2 for k in range(f.shape[1]))  # eq. 12
    features = half_of_mean_distance(f) - 0.4 * half_of_mean_distance(g) + 0.9 * gap  # eq. 11
    want = 0.7 * cross_entropy + 0.6 * features  # eq. 14

    np.testing.assert_allclose(sum(losses.values()).item(), want, rtol=1e-6)  # distances are taken in FP32
    np.testing.assert_allclose(losses["bona_fide_distance"].item(), 0.6 * half_of_mean_distance(f), rtol=1e-5)
    np.testing.assert_allclose(losses["attack_distance"].item(), -0.24 * half_of_mean_distance(g), rtol=1e-5)
    np.testing.assert_allclose(losses["distribution"].item(), 0.54 * gap, rtol=1e-4)


@pytest.mark.parametrize(
    ("labels", "trained"),
    [
        ([1, 1, 1, 1], {"bona_fide_distance"}),
        ([0, 0, 0, 0], {"attack_distance"}),
        ([1, 0, 0, 0], {"attack_distance", "distribution"}),
        ([1, 1, 0, 0], {"bona_fide_distance", "attack_distance", "distribution"}),
    ],
)
@pytest.mark.parametrize("equal", [False, True])
def test_what_a_batch_without_pairs_trains_on(labels: list[int], trained: set[str], equal: bool) -> None:
    """A distance needs two samples of its class, eq. 12 both classes; equal pictures leave no gradient but no NaN."""
    torch.manual_seed(0)
    model = create_model("eca-fas", **SMALL, patch_px=None)
    pictures = torch.from_numpy(noise(1 if equal else 4, 3, 64, 64)).float().expand(4, -1, -1, -1)
    losses = model.training_losses({"rgb": pictures}, torch.tensor(labels).float())
    assert {name for name, loss in losses.items() if loss != 0} - {"cross_entropy"} == (set() if equal else trained)
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert mean_distance(torch.ones(1, 4)) == 0
    assert variance_gap(torch.randn(3, 4), torch.empty(0, 4)) == 0


def test_table_1() -> None:
    """Every convolution of the second to fifth layer, and 7x7 before the pooling of a 224 pixel picture."""
    with torch.device("meta"):
        model = create_model("eca-fas")
        assert model.backbone.forward_features(torch.zeros(1, 3, 224, 224)).shape == (1, 2048, 7, 7)
    stem = model.backbone.conv1
    assert (stem.out_channels, stem.kernel_size, stem.stride) == (64, (7, 7), (2, 2))
    for i, narrow in enumerate((128, 256, 512, 1024)):
        stage, wide = model.backbone.get_submodule(f"layer{i + 1}"), 2 * narrow
        assert len(stage) == 2
        for block, stride in zip(stage, (2, 1), strict=True):
            a = block.attention
            convs = [block.conv1, block.conv2, block.conv3, a.depthwise, a.reduce, a.expand]
            assert [c.out_channels for c in convs] == [narrow, narrow, wide, wide, wide // 16, wide]
            assert [c.kernel_size[0] for c in convs] == [1, 3, 1, 3, 1, 1]
            assert [c.stride[0] for c in convs] == [1, stride, 1, 1, 1, 1]
            assert [c.groups for c in convs] == [1, 32, 1, wide, 1, 1]


def test_parameters_are_those_of_table_1() -> None:
    total, channels = 3 * 64 * 49 + 2 * 64, 64
    for narrow in (128, 256, 512, 1024):
        wide = 2 * narrow
        for first in (True, False):
            total += channels * narrow + narrow * narrow // 32 * 9 + narrow * wide + 2 * (2 * narrow + wide)
            total += wide * 9 + 2 * wide * wide // 16  # ECA
            total += (channels * wide + 2 * wide) if first else 0
            channels = wide
    with torch.device("meta"):
        model = create_model("eca-fas")
        assert count(model, model.input_spec).params == total + 2048 + 1 == 14_804_289


def test_nine_patches_reach_every_border() -> None:
    x = torch.arange(112 * 112.0).reshape(1, 1, 112, 112)
    corners = grid_patches(x, 48)[:, 0, 0, 0, 0]
    assert corners.tolist() == [112 * r + c for r in (0, 32, 64) for c in (0, 32, 64)]


@pytest.mark.parametrize("patch_px", [16, 32, 48])
def test_a_picture_scores_the_mean_of_its_patches(patch_px: int) -> None:
    torch.manual_seed(0)
    model = create_model("eca-fas", **SMALL, patch_px=patch_px).eval()
    whole = create_model("eca-fas", **SMALL, patch_px=None).eval()
    whole.load_state_dict(model.state_dict())
    x, room = torch.randn(2, 3, 64, 64), 64 - patch_px
    starts = (0, room // 2, room)
    with torch.no_grad():
        apart = [whole(rgb=x[:, :, r : r + patch_px, c : c + patch_px]) for r in starts for c in starts]
        torch.testing.assert_close(model(rgb=x), torch.stack(apart).mean(0))


def test_training_draws_one_patch_per_picture() -> None:
    x = torch.arange(64 * 64.0).reshape(1, 1, 64, 64).expand(200, -1, -1, -1)
    torch.manual_seed(0)
    drawn = random_patches(x, 48)
    first = drawn[:, 0, 0, 0].long()
    rows, columns = first // 64, first % 64
    assert set(rows.tolist()) == set(columns.tolist()) == set(range(17))
    assert not torch.equal(rows, columns)
    assert torch.equal(drawn[7, 0], x[7, 0, rows[7] : rows[7] + 48, columns[7] : columns[7] + 48])
    torch.manual_seed(0)
    assert torch.equal(random_patches(x, 48), drawn)


@pytest.mark.parametrize("modality", list(Modality))
def test_takes_any_one_modality_at_any_batch(modality: Modality) -> None:
    model = create_model("eca-fas", **SMALL, modality=modality.value).eval()
    assert model.input_spec.modalities == (modality,)
    for batch in (1, 2, 5):
        x = torch.zeros(batch, *model.input_spec.shape(modality))
        with torch.no_grad():
            score = model(**{modality.value: x})
        assert (score.shape, score.dtype) == ((batch,), torch.float32)


def test_ablations_of_table_10() -> None:
    plain = create_model("eca-fas", **SMALL, attention=False)
    assert not any(isinstance(m, EnhancedChannelAttention) for m in plain.modules())
    without_icd = create_model("eca-fas", **SMALL, feature_weight=0)
    losses = without_icd.training_losses({"rgb": torch.randn(4, 3, 64, 64)}, torch.tensor([1.0, 0, 1, 0]))
    assert sum(losses.values()) == losses["cross_entropy"] != 0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"size_px": 32, "patch_px": 48}, "patch_px 48 is larger than size_px 32"),
        ({"base": 16, "groups": 12}, "groups 12 does not divide 32"),
        ({"patch_px": 24}, "16, 32 or 48"),
    ],
)
def test_what_does_not_fit_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        create_model("eca-fas", **config)


def test_a_picture_smaller_than_a_patch_is_refused() -> None:
    with pytest.raises(EdgefasError, match="pictures of 40x64 hold no patch of 48x48"):
        create_model("eca-fas", **SMALL)(rgb=torch.zeros(1, 3, 64, 40))


@pytest.mark.parametrize("patch_px", [None, 32])
def test_onnx_scores_like_torch_at_any_batch(patch_px: int | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("eca-fas", **SMALL, patch_px=patch_px)
    pictures = {"rgb": torch.randn(4, 3, 64, 64)}
    sum(model.training_losses(pictures, torch.tensor([1.0, 0, 1, 0])).values()).backward()
    report = export_onnx(model, model.input_spec, "eca-fas", tmp_path / "eca.onnx")
    assert report.parity.max_abs_difference < 1e-4
    engine = load_engine(tmp_path / "eca.onnx")
    for batch in (1, 3):
        given = random_inputs(model.input_spec, batch, seed=7)
        with torch.inference_mode():
            want = model(rgb=torch.from_numpy(given["rgb"])).numpy()
        np.testing.assert_allclose(engine.score(given), want, atol=1e-4)
