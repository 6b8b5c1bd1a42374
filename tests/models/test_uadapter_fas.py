"""U-Adapter and ReGrad: each equation and every scaled gradient against float64 numpy written from the paper."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgefas.engines.export import export_onnx, random_inputs
from edgefas.engines.runtime import load_engine
from edgefas.errors import EdgefasError
from edgefas.models import count, create_model
from edgefas.models.uadapter_fas import UAdapter, balance_loss, gradient_balance, rebalance_factors
from tests.models.test_dah_fas import conv, noise, random_double, sigmoid

Array = np.ndarray
NAMES = ("rgb", "ir", "depth")
SMALL: dict[str, Any] = {"width": 0.2, "adapter": 3, "hidden": 5, "size_px": 64}
LABELS = np.array([1, 0, 0, 0.0])


def small(**config: Any) -> nn.Module:
    """In float64 and evaluation mode, where a picture's score is its own; modalities of very different gradients."""
    torch.manual_seed(0)
    model = create_model("uadapter-fas", **{**SMALL, **config}).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of what is seen: features of an untrained network are else near zero
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in (model.adapters, model.classifier):
            for p in part.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.3)
        for columns, gain in zip(model.classifier[0].weight.chunk(3, 1), (1, 3, 2), strict=True):
            columns *= gain
        model(**pictures(8))
    return model.eval()


def pictures(batch: int = 4) -> dict[str, Tensor]:
    channels = {"rgb": 3, "ir": 1, "depth": 1}
    return {name: torch.from_numpy(noise(batch, channels[name], 64, 64)) * (i + 1) for i, name in enumerate(NAMES)}


def parameters(model: nn.Module) -> dict[str, Array]:
    return {name: p.detach().numpy().copy() for name, p in model.named_parameters()}


class ByHand:
    """The head from the backbones' outputs to the loss, and its gradients there, by the chain rule."""

    def __init__(self, p: dict[str, Array], features: list[Array], labels: Array) -> None:
        share = min(max(labels.mean(), 0.1), 0.9)
        weights = np.where(labels > 0.5, 0.5 / share, 0.5 / (1 - share))
        n, _, h, w = features[0].shape
        adapters = [
            {k: p[f"adapters.{m}.{k}"] for k in ("down.weight", "down.bias", "up.weight", "up.bias")} for m in range(3)
        ]
        z = [np.maximum(conv(x, a["down.weight"], a["down.bias"]), 0) for x, a in zip(features, adapters, strict=True)]
        out = [conv(y, a["up.weight"], a["up.bias"]) + x for x, y, a in zip(features, z, adapters, strict=True)]
        vector = np.concatenate([o.mean((2, 3)) for o in out], 1)  # eq. 6
        hidden = np.maximum(vector @ p["classifier.0.weight"].T + p["classifier.0.bias"], 0)
        self.logits = (hidden @ p["classifier.2.weight"].T + p["classifier.2.bias"])[:, 0]
        probability = sigmoid(self.logits)  # eq. 7: the margin of two logits
        entropy = -(labels * np.log(probability) + (1 - labels) * np.log(1 - probability))
        self.loss = (weights * entropy).mean()  # eq. 8, balanced

        to_logits = weights * (probability - labels) / n
        to_hidden = to_logits[:, None] * p["classifier.2.weight"] * (hidden > 0)
        to_vector = to_hidden @ p["classifier.0.weight"]
        self.gradients = []
        for part, y, a in zip(np.split(to_vector, 3, 1), z, adapters, strict=True):
            to_out = np.broadcast_to(part[:, :, None, None] / (h * w), (*part.shape, h, w))
            to_z = np.einsum("nchw,cz->nzhw", to_out, a["up.weight"][:, :, 0, 0]) * (y > 0)
            self.gradients.append(to_out + np.einsum("nzhw,zc->nchw", to_z, a["down.weight"][:, :, 0, 0]))
        norms = [np.sqrt((g**2).sum((1, 2, 3))).mean() for g in self.gradients]
        self.factors = np.array(norms) / sum(norms)  # eq. 5
        self.balance = sum(abs(f - 1 / 3) for f in self.factors)  # eq. 9


def features_of(model: nn.Module, inputs: dict[str, Tensor]) -> list[Array]:
    """The backbones' outputs, each modality on its own, by the backbone that is its."""
    backbones = list(model.backbones) * (3 // len(model.backbones))
    with torch.no_grad():
        three = [inputs[name].repeat(1, 3 // inputs[name].shape[1], 1, 1) for name in NAMES]
        return [b.forward_features(x).numpy() for b, x in zip(backbones, three, strict=True)]


def gradients_of(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    model.zero_grad()
    sum(model.training_losses(inputs, torch.from_numpy(LABELS)).values()).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def test_u_adapter_equations_2_to_4() -> None:
    adapter, x = UAdapter(8, 3), noise(2, 8, 5, 4)
    p = random_double(adapter)
    z = np.maximum(conv(x, p["down.weight"], p["down.bias"]), 0)  # eq. 2
    want = conv(z, p["up.weight"], p["up.bias"]) + x  # eq. 3-4
    with torch.no_grad():
        np.testing.assert_allclose(adapter(torch.from_numpy(x)).numpy(), want, atol=1e-12)


@pytest.mark.parametrize("backbones", ["shared", "separate"])
def test_score_and_losses_of_equations_1_to_10(backbones: str) -> None:
    model, inputs = small(backbones=backbones, balance_weight=0.7), pictures()
    want = ByHand(parameters(model), features_of(model, inputs), LABELS)
    with torch.no_grad():
        np.testing.assert_allclose(model(**inputs).numpy(), want.logits, rtol=1e-5)  # scores are FP32
    losses = model.training_losses(inputs, torch.from_numpy(LABELS))
    assert list(losses) == ["cross_entropy", "modality_balance"]
    np.testing.assert_allclose(losses["cross_entropy"].item(), want.loss, rtol=1e-6)
    np.testing.assert_allclose(losses["modality_balance"].item(), 0.7 * want.balance, rtol=1e-5)
    assert model.gradient_balance(inputs, torch.from_numpy(LABELS)) == pytest.approx(
        100 * (1 - want.balance / (4 / 3)), rel=1e-5
    )


def test_regrad_scales_what_enters_each_backbone_and_nothing_else() -> None:
    inputs = pictures()
    plain, model = (small(backbones="separate", balance_weight=0, regrad=regrad) for regrad in (False, True))
    model.load_state_dict(plain.state_dict())
    factors = ByHand(parameters(model), features_of(model, inputs), LABELS).factors
    assert max(factors) > 1.5 * min(factors)
    before, after = gradients_of(plain, inputs), gradients_of(model, inputs)
    for name, gradient in after.items():
        m = int(name.split(".")[1]) if name.startswith("backbones") else None
        scale = 1.0 if m is None else factors[m]
        torch.testing.assert_close(gradient, scale * before[name], rtol=1e-3, atol=1e-7)


def test_one_backbone_gets_the_weighed_sum_of_its_three_gradients() -> None:
    model, inputs = small(balance_weight=0), pictures()
    by_hand = ByHand(parameters(model), features_of(model, inputs), LABELS)
    got = gradients_of(model, inputs)
    features = model.features([inputs[name] for name in NAMES])
    scaled = [torch.from_numpy(f * g) for f, g in zip(by_hand.factors, by_hand.gradients, strict=True)]
    names = [name for name, _ in model.backbones.named_parameters()]
    want = torch.autograd.grad(features, list(model.backbones.parameters()), scaled)
    for name, gradient in zip(names, want, strict=True):
        torch.testing.assert_close(got[f"backbones.{name}"], gradient, rtol=1e-3, atol=1e-7)


def test_the_balance_term_trains() -> None:
    """Its steepest gradients in the head are the slopes of eq. 9, by differences of the transcription."""
    model, inputs, step = small(balance_weight=1.0), pictures(), 1e-6
    features, p = features_of(model, inputs), parameters(model)
    model.zero_grad()
    model.training_losses(inputs, torch.from_numpy(LABELS))["modality_balance"].backward()
    for name in ("adapters.1.up.weight", "adapters.2.down.bias", "classifier.0.weight", "classifier.2.weight"):
        gradient = model.get_parameter(name).grad.numpy()
        where = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        ends = []
        for sign in (1, -1):
            moved = {**p, name: p[name].copy()}
            moved[name][where] += sign * step
            ends.append(ByHand(moved, features, LABELS).balance)
        slope = (ends[0] - ends[1]) / (2 * step)
        assert abs(slope) > 1e-3
        assert gradient[where] == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize(("factors", "loss", "percent"), [
    ([1 / 3, 1 / 3, 1 / 3], 0, 100), ([1, 0, 0], 4 / 3, 0), ([0.5, 0.3, 0.2], 1 / 3, 75)
])  # fmt: skip
def test_balance_of_equation_9_and_its_percentage(factors: list[float], loss: float, percent: float) -> None:
    got = torch.tensor(factors, dtype=torch.float64)
    assert balance_loss(got).item() == pytest.approx(loss)
    assert gradient_balance(got) == pytest.approx(percent)


def test_norms_are_averaged_over_the_batch_per_picture() -> None:
    """Two pictures of norm 3 and 4 count (3 + 4) / 2, not 5: eq. 5's average stands outside the norm."""
    maps = [torch.ones(2, 1, 1, 1, requires_grad=True) for _ in range(3)]
    slopes = (torch.tensor([3.0, 4]), torch.tensor([7.0, 0]), torch.tensor([-1.0, 1]))
    loss = sum((s * m[:, 0, 0, 0]).sum() for s, m in zip(slopes, maps, strict=True))
    torch.testing.assert_close(rebalance_factors(loss, maps).detach(), torch.tensor([3.5, 3.5, 1]) / 8)


def test_without_any_gradient_the_factors_are_equal() -> None:
    model, inputs = small(), pictures()
    with torch.no_grad():
        model.classifier[2].weight.zero_()
    losses = model.training_losses(inputs, torch.from_numpy(LABELS))
    assert losses["modality_balance"].item() == pytest.approx(0)
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_batch_of_one_class_is_trained_like_any_other(label: float) -> None:
    model, inputs = small(), pictures()
    labels = np.full(4, label)
    want = ByHand(parameters(model), features_of(model, inputs), labels)
    losses = model.training_losses(inputs, torch.from_numpy(labels))
    assert losses["cross_entropy"].item() == pytest.approx(want.loss, rel=1e-5)
    assert losses["modality_balance"].item() == pytest.approx(0.1 * want.balance, rel=1e-5)


def test_without_regrad_only_cross_entropy_is_left() -> None:
    losses = small(regrad=False).training_losses(pictures(), torch.from_numpy(LABELS))
    assert list(losses) == ["cross_entropy"]


@pytest.mark.parametrize(
    ("config", "millions"),
    [
        ({"adapter": 0}, 6.2),
        ({"adapter": 0, "regrad": False}, 6.2),
        ({}, 6.4),
        ({"regrad": False}, 6.4),
    ],
)
def test_parameters_of_table_7(config: dict[str, Any], millions: float) -> None:
    """Within the table's rounding. ReGrad has no parameters: its 6.3 and 6.5 M are not met."""
    with torch.device("meta"):
        model = create_model("uadapter-fas", **config)
        assert round(count(model, model.input_spec).params / 1e6, 1) == millions


@pytest.mark.parametrize(("adapter", "params"), [(0, 14_235_637), (24, 14_423_869)])
def test_three_backbones_are_not_the_tables_network(adapter: int, params: int) -> None:
    one, hidden = 4_007_548, 3840 * 576 + 576 + 576 + 1
    with torch.device("meta"):
        model = create_model("uadapter-fas", backbones="separate", adapter=adapter)
        got = count(model, model.input_spec).params
    assert got == params == 3 * one + hidden + 3 * (2 * 1280 * adapter + (adapter + 1280) * bool(adapter))


@pytest.mark.parametrize("backbones", ["shared", "separate"])
def test_scores_do_not_depend_on_the_batch(backbones: str) -> None:
    model, inputs = small(backbones=backbones).float(), {name: x.float() for name, x in pictures(5).items()}
    with torch.no_grad():
        together = model(**inputs)
        assert (together.shape, together.dtype) == ((5,), torch.float32)
        apart = torch.cat([model(**{name: x[i : i + 1] for name, x in inputs.items()}) for i in range(5)])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_a_missing_modality_is_named() -> None:
    inputs = pictures()
    del inputs["depth"]
    with pytest.raises(EdgefasError, match="but got no depth"):
        small().training_losses(inputs, torch.from_numpy(LABELS))


@pytest.mark.parametrize("backbones", ["shared", pytest.param("separate", marks=pytest.mark.slow)])
def test_onnx_scores_like_torch_at_any_batch(backbones: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("uadapter-fas", **SMALL, backbones=backbones)
    inputs = {name: x.float() for name, x in pictures().items()}
    sum(model.training_losses(inputs, torch.from_numpy(LABELS).float()).values()).backward()
    report = export_onnx(model, model.input_spec, "uadapter-fas", tmp_path / "u.onnx")
    assert report.parity.max_abs_difference < 1e-4
    engine = load_engine(tmp_path / "u.onnx")
    for batch in (1, 3):
        given = random_inputs(model.input_spec, batch, seed=7)
        with torch.inference_mode():
            want = model(**{name: torch.from_numpy(x) for name, x in given.items()}).numpy()
        np.testing.assert_allclose(engine.score(given), want, atol=1e-4)
