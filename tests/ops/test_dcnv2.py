"""Deformable convolution against a float64 loop transcription, the ONNX reference, and plain convolution."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx.reference import ReferenceEvaluator

from edgefas.ops import deform_conv2d

CASES = {  # kernel, stride, padding, dilation, groups, offset groups; 4 input and 4 output channels
    "dense": ((3, 3), (1, 1), (1, 1), (1, 1), 1, 1),
    "depthwise": ((3, 3), (1, 1), (1, 1), (1, 1), 4, 1),
    "grouped, two offset groups": ((3, 3), (2, 2), (1, 1), (1, 1), 2, 2),
    "all axes differ": ((3, 2), (2, 1), (2, 1), (1, 2), 1, 4),
    "no padding": ((2, 3), (1, 2), (0, 0), (2, 1), 2, 1),
}


def tensors(case: str, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Random float64 inputs whose samples partly fall outside the map."""
    kernel, stride, padding, dilation, groups, offset_groups = CASES[case]
    rng = np.random.default_rng(seed)
    n, c, m, size = 2, 4, 4, (5, 6)
    out = [(size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)]
    taps = offset_groups * kernel[0] * kernel[1]
    arrays = {
        "x": rng.normal(size=(n, c, *size)),
        "offset": rng.normal(scale=2, size=(n, 2 * taps, *out)),
        "mask": rng.uniform(size=(n, taps, *out)),
        "weight": rng.normal(size=(m, c // groups, *kernel)),
        "bias": rng.normal(size=m),
    }
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return arrays, {**geometry, "offset_groups": offset_groups}


def run(arrays: dict[str, np.ndarray], geometry: dict[str, Any]) -> np.ndarray:
    result: np.ndarray = deform_conv2d(*(torch.from_numpy(a) for a in arrays.values()), **geometry).numpy()
    return result


def dcn_numpy(
    x: np.ndarray,
    offset: np.ndarray,
    mask: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    offset_groups: int,
) -> np.ndarray:
    """Eq. 3 in loops: y(p) = bias + sum_k w_k m_k x(p + p_k + dp_k), bilinear, zero outside."""
    n, c, h, w = x.shape
    m, per_group, kh, kw = weight.shape
    ho, wo = offset.shape[2:]

    def pixel(b: int, channel: int, i: int, j: int) -> float:
        return float(x[b, channel, i, j]) if 0 <= i < h and 0 <= j < w else 0.0

    def sample(b: int, channel: int, y: float, z: float) -> float:
        i, j = int(np.floor(y)), int(np.floor(z))
        a, d = y - i, z - j
        top = (1 - d) * pixel(b, channel, i, j) + d * pixel(b, channel, i, j + 1)
        bottom = (1 - d) * pixel(b, channel, i + 1, j) + d * pixel(b, channel, i + 1, j + 1)
        return (1 - a) * top + a * bottom

    out = np.zeros((n, m, ho, wo))
    for b, o, i, j in np.ndindex(n, m, ho, wo):
        total = float(bias[o])
        for k, u, v in np.ndindex(per_group, kh, kw):
            channel = (o // (m // groups)) * per_group + k
            tap = (channel // (c // offset_groups)) * kh * kw + u * kw + v
            dy, dx = offset[b, 2 * tap, i, j], offset[b, 2 * tap + 1, i, j]
            y = i * stride[0] - padding[0] + u * dilation[0] + dy
            z = j * stride[1] - padding[1] + v * dilation[1] + dx
            total += weight[o, k, u, v] * mask[b, tap, i, j] * sample(b, channel, y, z)
        out[b, o, i, j] = total
    return out


@pytest.mark.parametrize("case", CASES)
def test_equation_3(case: str) -> None:
    arrays, geometry = tensors(case)
    np.testing.assert_allclose(run(arrays, geometry), dcn_numpy(**arrays, **geometry), atol=1e-11)


@pytest.mark.parametrize("case", ["depthwise", "all axes differ"])
def test_agrees_with_the_onnx_definition(case: str) -> None:
    arrays, geometry = tensors(case)
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    node = onnx.helper.make_node(
        "DeformConv",
        ["x", "weight", "offset", "bias", "mask"],
        ["y"],
        dilations=geometry["dilation"],
        group=geometry["groups"],
        kernel_shape=arrays["weight"].shape[2:],
        offset_group=geometry["offset_groups"],
        pads=[*geometry["padding"], *geometry["padding"]],
        strides=geometry["stride"],
    )
    (want,) = ReferenceEvaluator(node).run(None, arrays)
    np.testing.assert_allclose(run(arrays, geometry), want, atol=1e-5)


def test_without_offsets_it_is_a_convolution() -> None:
    arrays, geometry = tensors("grouped, two offset groups")
    arrays["offset"][:], arrays["mask"][:] = 0, 1
    x, weight, bias = (torch.from_numpy(arrays[k]) for k in ("x", "weight", "bias"))
    plain = F.conv2d(x, weight, bias, geometry["stride"], geometry["padding"], geometry["dilation"], 2)
    np.testing.assert_allclose(run(arrays, geometry), plain.numpy(), atol=1e-12)


@pytest.mark.parametrize("case", ["grouped, two offset groups", "all axes differ"])
def test_gradcheck(case: str) -> None:
    arrays, geometry = tensors(case)
    for name in ("x", "offset", "mask"):
        arrays[name] = arrays[name][:1]
    inputs = [torch.from_numpy(a).requires_grad_() for a in arrays.values()]
    assert torch.autograd.gradcheck(lambda *t: deform_conv2d(*t, **geometry), inputs)


def test_gradients_only_where_wanted() -> None:
    arrays, geometry = tensors("dense")
    x, offset, mask, weight, _ = (torch.from_numpy(a) for a in arrays.values())
    weight.requires_grad_()
    deform_conv2d(x, offset, mask, weight, None, **geometry).sum().backward()
    assert weight.grad is not None
    assert x.grad is None


def test_half_samples_at_full_precision() -> None:
    """Half has no pixel coordinate finer than 1/16 beyond 64: sampling in half would miss a ramp's fractions."""
    ramp = torch.arange(200.0)[None, None, None].half()
    offset = torch.tensor([0.0, 0.3]).view(1, 2, 1, 1).expand(1, 2, 1, 200).half()
    one = torch.ones(1, 1, 1, 200).half()
    y = deform_conv2d(ramp, offset, one, torch.ones(1, 1, 1, 1).half(), None, [1, 1], [0, 0], [1, 1], 1, 1)
    assert y.dtype == torch.float16
    assert float(y[0, 0, 0, 127]) == pytest.approx(127.3, abs=0.04)


def test_wrong_offset_shape_is_named() -> None:
    arrays, geometry = tensors("dense")
    arrays["offset"] = arrays["offset"][:, :-1]
    with pytest.raises(ValueError, match=r"offset has shape \(2, 17, 5, 6\), expected \(2, 18, 5, 6\)"):
        run(arrays, geometry)


def test_operator_registration() -> None:
    arrays, geometry = tensors("depthwise")
    inputs = [torch.from_numpy(a).float().requires_grad_() for a in arrays.values()]
    args = (*inputs, *(list(v) if isinstance(v, tuple) else v for v in geometry.values()))
    result = torch.library.opcheck(deform_conv2d, args)
    assert set(result.values()) == {"SUCCESS"}


@pytest.mark.parametrize("case", CASES)
def test_channels_last_changes_nothing(case: str) -> None:
    """Training keeps networks and maps in channels-last memory, where a `view` across channels is refused."""
    arrays, geometry = tensors(case)
    plain = [torch.from_numpy(a).requires_grad_() for a in arrays.values()]
    last = [
        (torch.from_numpy(a).contiguous(memory_format=torch.channels_last) if a.ndim == 4 else torch.from_numpy(a))
        .clone()
        .requires_grad_()
        for a in arrays.values()
    ]
    outputs = [deform_conv2d(*inputs, **geometry) for inputs in (plain, last)]
    torch.testing.assert_close(outputs[1], outputs[0])
    for output in outputs:
        output.square().sum().backward()
    for expected, got in zip(plain, last, strict=True):
        torch.testing.assert_close(got.grad, expected.grad)
