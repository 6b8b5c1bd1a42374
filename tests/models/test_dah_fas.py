"""DAH-FAS: each equation against a float64 numpy transcription, the totals of table 8, and the split into branches."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgefas.contracts import ContractError
from edgefas.models import count, create_model
from edgefas.models.dah_fas import BGCMA, VAMSRB, DahFasConfig, DeformableConv, IRBranch, SEFusion
from edgefas.training.ablation import load_ablation
from tests.ops.test_bte import bte_numpy
from tests.ops.test_dcnv2 import dcn_numpy

Array = np.ndarray


def conv(x: Array, weight: Array, bias: Array | None = None, stride: int = 1, groups: int = 1) -> Array:
    """'Same' convolution in loops over the taps; x (N, C, H, W), odd kernel."""
    n, _, h, w = x.shape
    m, per_group, k, _ = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (k // 2,) * 2, (k // 2,) * 2))
    ho, wo = (h - 1) // stride + 1, (w - 1) // stride + 1
    y = np.zeros((n, m, ho, wo))
    for o in range(m):
        first = o // (m // groups) * per_group
        for i, u, v in np.ndindex(per_group, k, k):
            window = padded[:, first + i, u : u + h : stride, v : v + w : stride]
            y[:, o] += weight[o, i, u, v] * window
    return y if bias is None else y + bias[None, :, None, None]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def gap(x: Array) -> Array:
    return x.mean((2, 3), keepdims=True)


def random_double(module: nn.Module) -> dict[str, Array]:
    """Fill every parameter with float64 noise, so that nothing is tested at its initial zero; give them as numpy."""
    module.double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.3)
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def noise(*shape: int) -> Array:
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", ["dense", "depthwise"])
def test_va_msrb_equations_2_to_6(kind: str, stride: int) -> None:
    block, x = VAMSRB(16, stride, kind, detail_reduction=2), noise(2, 16, 5, 6)
    p = random_double(block)

    separable = conv(conv(x, p["separable.0.weight"], stride=stride, groups=16), p["separable.1.weight"])  # eq. 2
    learned = conv(x, p["deformable.offset_and_mask.weight"], p["deformable.offset_and_mask.bias"], stride)
    deformed = dcn_numpy(  # eq. 3
        x,
        learned[:, :18],
        sigmoid(learned[:, 18:]),
        p["deformable.weight"],
        np.zeros(16),
        (stride, stride),
        (1, 1),
        (1, 1),
        1 if kind == "dense" else 16,
        1,
    )
    squeezed = np.maximum(conv(x, p["detail.0.weight"], p["detail.0.bias"]), 0)
    detail = conv(squeezed, p["detail.2.weight"], stride=stride)  # eq. 4
    logits = conv(gap(x.var((2, 3), keepdims=True)), p["weigh.weight"], p["weigh.bias"])  # eq. 5
    w = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    want = w[:, :1] * separable + w[:, 1:2] * deformed + w[:, 2:] * detail  # eq. 6

    with torch.no_grad():
        got = block(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, want, atol=1e-10)


def test_bgc_ma_equations_12_to_17() -> None:
    attention, ir, depth = BGCMA(16, 8, reduction=2, groups=2), noise(2, 16, 5, 4), noise(2, 8, 5, 4)[::-1].copy()
    p = random_double(attention)

    def channel_weights(x: Array, layers: str) -> Array:
        y = conv(gap(x), p[f"{layers}.0.weight"], p[f"{layers}.0.bias"], groups=2)
        y = y * np.clip(y + 3, 0, 6) / 6  # hard swish
        return sigmoid(conv(y, p[f"{layers}.2.weight"], p[f"{layers}.2.bias"], groups=2))

    def separable(x: Array, layers: str) -> Array:
        y = conv(x, p[f"{layers}.0.weight"], groups=4)
        return conv(y, p[f"{layers}.1.weight"], p[f"{layers}.1.bias"])

    depth_enhanced = depth * channel_weights(ir, "ir_to_depth")  # eq. 12
    ir_enhanced = ir * channel_weights(depth, "depth_to_ir")  # eq. 13
    maps = [m.mean(1, keepdims=True) for m in (depth, ir, depth_enhanced, ir_enhanced)]
    hidden = np.maximum(separable(np.concatenate(maps, 1), "spatial.0"), 0)  # eq. 14
    spatial = sigmoid(separable(hidden, "spatial.2"))  # eq. 15

    with torch.no_grad():
        got_ir, got_depth = attention(torch.from_numpy(ir), torch.from_numpy(depth))
    np.testing.assert_allclose(got_depth.numpy(), depth_enhanced * spatial, atol=1e-10)  # eq. 16
    np.testing.assert_allclose(got_ir.numpy(), ir_enhanced * spatial, atol=1e-10)  # eq. 17


def test_bte_acts_on_ghostnets_output() -> None:
    branch, x = IRBranch(DahFasConfig(ir_width=0.25)).double().eval(), torch.from_numpy(noise(1, 1, 64, 96))
    with torch.no_grad():
        branch.alpha.fill_(0.7)
        features = branch.backbone.forward_features(x)
        got = branch(x)
    np.testing.assert_allclose(got.numpy(), bte_numpy(features.numpy(), 0.7), rtol=1e-9)


def test_the_baselines_squeeze_and_excitation() -> None:
    fusion, maps = SEFusion(32, 16, 48), [noise(2, c, 5, 4) for c in (32, 16, 48)]
    p = random_double(fusion)
    with torch.no_grad():
        got = fusion(*map(torch.from_numpy, maps))
    for i, x in enumerate(maps):
        squeezed = conv(gap(x), p[f"excite.{i}.conv_reduce.weight"], p[f"excite.{i}.conv_reduce.bias"])
        expanded = conv(np.maximum(squeezed, 0), *(p[f"excite.{i}.conv_expand.{n}"] for n in ("weight", "bias")))
        gate = sigmoid(expanded)
        np.testing.assert_allclose(got[i].numpy(), x * gate, atol=1e-10)


def test_rows_of_tables_1_and_2() -> None:
    """Each has the parts its cells say, and no parameter without use."""
    modules = ("VAMSRB", "BTE", "BGCMA")
    for row in load_ablation("dah-fas-table1").rows:
        backbones, parts = parts_of(row.changes.get("model_options", {}))
        assert (backbones, parts) == (row.cells, {"SEFusion"})
    for row in load_ablation("dah-fas-table2").rows:
        expected = {name for name, cell in zip(modules, row.cells, strict=True) if cell == "+"}
        backbones, parts = parts_of(row.changes.get("model_options", {}))
        assert backbones == ("MobileNetV2", "GhostNet")
        assert parts == (expected if "BGCMA" in expected else expected | {"SEFusion"})


def parts_of(options: dict[str, Any]) -> tuple[tuple[str, ...], set[str]]:
    """Backbones of RGB and IR, and the paper's modules that a network has and trains."""
    model = create_model("dah-fas-lite", **options, size_px=64)
    inputs = {m.value: torch.randn(2, *model.input_spec.shape(m)) for m in model.input_spec.modalities}
    model(**inputs).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    kinds = {type(m).__name__ for m in model.modules()}
    lightweight = {"rgb": "MobileNetV2", "ir": "GhostNet"}
    backbones = tuple(
        kind if any(type(m).__name__ == kind for m in model.branches[name].modules()) else "ResNet-18"
        for name, kind in lightweight.items()
    )
    parts = kinds & {"SEFusion", "BGCMA", "VAMSRB"}
    return backbones, parts | ({"BTE"} if model.branches["ir"].alpha is not None else set())


def test_va_msrb_needs_its_backbone() -> None:
    with pytest.raises(ContractError, match=r"rgb_backbone resnet18 needs va_msrb_blocks: \[\]"):
        create_model("dah-fas-lite", rgb_backbone="resnet18")


def test_deformable_conv_starts_regular() -> None:
    layer, x = DeformableConv(8, 1, groups=8).double(), torch.from_numpy(noise(1, 8, 6, 6))
    plain = conv(x.numpy(), layer.weight.detach().numpy(), groups=8)
    np.testing.assert_allclose(layer(x).detach().numpy(), 0.5 * plain, atol=1e-12)


def test_fresh_network_starts_with_regular_taps() -> None:
    """The common initialisation must not overwrite the zeroed offsets."""
    layers = [m for m in create_model("dah-fas-lite").modules() if isinstance(m, DeformableConv)]
    assert len(layers) == 2
    assert all(not layer.offset_and_mask.weight.any() for layer in layers)


def test_totals_of_table_8() -> None:
    model = create_model("dah-fas")
    got = count(model, model.input_spec)
    assert got.params == pytest.approx(29.6e6, rel=0.02)
    assert got.macs == pytest.approx(1.78e9, rel=0.04)
    assert got.flops == 2 * got.macs


def test_lite_fits_a_cpu() -> None:
    model = create_model("dah-fas-lite")
    got = count(model, model.input_spec)
    assert 2.5e6 < got.params < 3.5e6
    assert got.macs <= 0.12e9


def test_branches_and_fusion_are_the_whole() -> None:
    model = create_model("dah-fas-lite").eval()
    inputs = {
        "rgb": torch.randn(2, 3, 112, 112),
        "ir": torch.randn(2, 1, 112, 112),
        "depth": torch.randn(2, 1, 112, 112),
    }
    with torch.no_grad():
        features: dict[str, Any] = {name: model.branches[name](inputs[name]) for name in ("rgb", "ir", "depth")}
        apart = model.fusion(features["rgb"], features["ir"], features["depth"])
        assert torch.equal(apart, model(**inputs))
    inside = {p for part in (model.branches, model.fusion) for p in part.parameters()}
    assert inside == set(model.parameters())
