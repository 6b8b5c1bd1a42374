"""BTE against a float64 transcription of eq. 7-11, its gradients, and half precision."""

import numpy as np
import pytest
import torch

from edgefas.ops import bte


def bte_numpy(x: np.ndarray, alpha: float) -> np.ndarray:
    """Eq. 7-11 pixel by pixel."""
    n, c, h, w = x.shape
    y = np.empty_like(x)
    sobel_x = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    for b in range(n):
        thermal = sum(x[b, k] for k in range(c)) / c
        for i in range(h):
            for j in range(w):
                gx = gy = 0.0
                for di in range(3):
                    for dj in range(3):
                        if 0 <= i + di - 1 < h and 0 <= j + dj - 1 < w:
                            gx += sobel_x[di][dj] * thermal[i + di - 1, j + dj - 1]
                            gy += sobel_x[dj][di] * thermal[i + di - 1, j + dj - 1]
                y[b, :, i, j] = x[b, :, i, j] / (1 + np.exp(-alpha * (np.hypot(gx, gy) + 1e-6)))
    return y


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 1, 1), (1, 16, 4, 4)])
def test_equations(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    got = bte(torch.from_numpy(x), torch.tensor([0.7], dtype=torch.float64)).numpy()
    np.testing.assert_allclose(got, bte_numpy(x, 0.7), rtol=1e-12)


def test_gradcheck() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(bte, (x, alpha))


def test_a_flat_map_has_finite_gradients() -> None:
    x = torch.zeros(1, 2, 5, 5, requires_grad=True)
    alpha = torch.ones(1, requires_grad=True)
    bte(x, alpha).sum().backward()
    assert x.grad is not None
    assert alpha.grad is not None
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(alpha.grad).all()
    assert x.grad[0, 0, 2, 2] == pytest.approx(0.5, abs=1e-5)  # only the direct path, with sigmoid(1e-6)


@pytest.mark.parametrize("autocast", [False, True])
def test_squares_do_not_overflow_in_half(autocast: bool) -> None:
    x = torch.zeros(1, 2, 6, 6, dtype=torch.float16)
    x[..., 3:] = 400  # Sobel response 1600; 1600 squared is beyond half
    alpha = torch.tensor([0.001], dtype=torch.float16)
    with torch.autocast("cpu", enabled=autocast):
        got = bte(x, alpha)
    assert got.dtype == torch.float16
    np.testing.assert_allclose(got.numpy(), bte_numpy(x.double().numpy(), float(alpha)), rtol=2e-3)


def test_operator_registration() -> None:
    x, alpha = torch.randn(1, 3, 6, 6, requires_grad=True), torch.ones(1, requires_grad=True)
    result = torch.library.opcheck(bte, (x, alpha))
    assert set(result.values()) == {"SUCCESS"}
