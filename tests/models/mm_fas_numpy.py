"""mmFAS in float64 numpy, written from the paper's equations, one sample and one head at a time; nothing of edgefas.

Weights are a state dict `p` as arrays; a linear layer with weight W and bias b gives x W^T + b.
"""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
Weights = dict[str, Array]
erf = np.vectorize(math.erf)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def linear(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def norm(p: Weights, name: str, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-6) * p[f"{name}.weight"] + p[f"{name}.bias"]


def ffn(p: Weights, name: str, x: Array) -> Array:
    hidden = linear(p, f"{name}.fc1", x)
    return linear(p, f"{name}.fc2", hidden * 0.5 * (1 + erf(hidden / math.sqrt(2))))


def attend(q: Array, k: Array, v: Array) -> Array:
    """Eq. 5."""
    return softmax(q @ k.T / math.sqrt(k.shape[-1])) @ v


def heads_joined(q: Array, k: Array, v: Array, heads: int) -> Array:
    """Eq. 7 per head, then the concatenation of eq. 8."""
    size = q.shape[-1] // heads
    parts = [slice(i * size, (i + 1) * size) for i in range(heads)]
    return np.concatenate([attend(q[:, s], k[:, s], v[:, s]) for s in parts], -1)


def self_attention(p: Weights, name: str, x: Array, heads: int) -> Array:
    wq, wk, wv = np.split(p[f"{name}.qkv.weight"], 3)
    bq, bk, bv = np.split(p[f"{name}.qkv.bias"], 3)
    return linear(p, f"{name}.proj", heads_joined(x @ wq.T + bq, x @ wk.T + bk, x @ wv.T + bv, heads))


def sourced_attention(p: Weights, name: str, sources: list[Array], heads: int) -> Array:
    q, k, v = (linear(p, f"{name}.{which}", x) for which, x in zip("qkv", sources, strict=True))
    return linear(p, f"{name}.proj", heads_joined(q, k, v, heads))


def plain_block(p: Weights, name: str, x: Array, heads: int) -> Array:
    x = x + self_attention(p, f"{name}.attn", norm(p, f"{name}.norm1", x), heads)
    return x + ffn(p, f"{name}.mlp", norm(p, f"{name}.norm2", x))


def encode(p: Weights, name: str, picture: Array, patch: int, depth: int, heads: int) -> Array:
    """A ViT without classifier: (C, H, W) -> (1 + patches, dim)."""
    weight, bias = p[f"{name}.patch_embed.proj.weight"], p[f"{name}.patch_embed.proj.bias"]
    tokens = [p[f"{name}.cls_token"][0, 0]]
    for row in range(0, picture.shape[1], patch):
        for col in range(0, picture.shape[2], patch):
            window = picture[:, row : row + patch, col : col + patch]
            tokens.append((weight * window).sum((1, 2, 3)) + bias)
    x = np.stack(tokens) + p[f"{name}.pos_embed"][0]
    for block in range(depth):
        x = plain_block(p, f"{name}.blocks.{block}", x, heads)
    return norm(p, f"{name}.norm", x)


def switch_order(mode: str, block: int) -> list[str]:
    """Eq. 6 as its three cases; any other mode is the same with its own first letters."""
    first, second, third = mode
    if block % 3 == 0:
        return [first, second, third]
    return [second, third, first] if block % 3 == 1 else [third, first, second]


def fusion_block(p: Weights, name: str, x: Array, sources: list[Array | None], heads: int) -> Array:
    """A source that is None is x itself, after it attended to itself."""
    x = x + self_attention(p, f"{name}.attn", norm(p, f"{name}.norm1", x), heads)
    normed = [norm(p, f"{name}.norm2", x if source is None else source) for source in sources]
    x = x + sourced_attention(p, f"{name}.cross", normed, heads)
    return x + ffn(p, f"{name}.mlp", norm(p, f"{name}.norm3", x))


def switch_fusion(p: Weights, rgb: Array, depth: Array, ir: Array, mode: str, blocks: int, heads: int) -> Array:
    rgb = (rgb + rgb) / 2  # shallow fusion of the features aligned with depth and with infrared
    for block in range(blocks):
        sources = [{"R": None, "D": depth, "I": ir}[letter] for letter in switch_order(mode, block)]
        rgb = fusion_block(p, f"fusion.blocks.{block}", rgb, sources, heads)
    return (norm(p, "fusion.norm", rgb)[0] + depth[0] + ir[0]) / 3


def cross_fusion(p: Weights, rgb: Array, depth: Array, ir: Array, mode: str, blocks: int, heads: int) -> Array:
    x = {"rgb": rgb, "ir": ir, "depth": depth}
    for block in range(blocks):
        others = {n: np.concatenate([x[m] for m in ("rgb", "ir", "depth") if m != n]) for n in x}
        x = {n: fusion_block(p, f"fusion.blocks.{block}.{n}", x[n], [None, others[n], others[n]], heads) for n in x}
    return sum(norm(p, f"fusion.norms.{n}", x[n])[0] for n in x) / 3


def merge_fusion(p: Weights, rgb: Array, depth: Array, ir: Array, mode: str, blocks: int, heads: int) -> Array:
    x = np.concatenate([rgb, ir, depth], -1)
    for block in range(blocks):
        x = plain_block(p, f"fusion.blocks.{block}", x, 3 * heads)
    return linear(p, "fusion.proj", norm(p, "fusion.norm", x)[0])


def classify(p: Weights, fused: Array) -> float:
    return float(linear(p, "classifier.2", np.maximum(linear(p, "classifier.0", fused), 0))[0])


def similarities(a: Array, b: Array) -> Array:
    """Eq. 1 on features of unit length: row i of a, column j of b."""
    s = np.zeros((len(a), len(b)))
    for i, j in np.ndindex(s.shape):
        s[i, j] = a[i] @ b[j] / np.linalg.norm(a[i]) / np.linalg.norm(b[j])
    return s


def icl(rgb: Array, other: Array, temperature: float) -> float:
    """Eq. 2, and one pair's half of eq. 3: H is the cross entropy with y = 1 where i = j."""
    total = 0.0
    for s in (similarities(rgb, other), similarities(other, rgb)):
        for i in range(len(s)):
            p = np.exp(s[i] / temperature) / np.exp(s[i] / temperature).sum()
            total -= math.log(p[i]) / len(s)
    return total / 2


def mined(rgb: Array, other: Array, classes: list[int]) -> list[tuple[int, int]]:
    """(i, j) of the 2N pairs: for each i the hard negative, then for each i the hard positive."""
    s = similarities(rgb, other)
    negatives, positives = [], []
    for i, own in enumerate(classes):
        best, worst = -1, -1
        for j, theirs in enumerate(classes):
            if theirs != own and (best < 0 or s[i, j] > s[i, best]):
                best = j
            if theirs == own and (worst < 0 or s[i, j] < s[i, worst]):
                worst = j
        negatives.append((i, best))
        positives.append((i, worst))
    return negatives + positives


def cm(p: Weights, name: str, rgb: Array, other: Array, classes: list[int]) -> float:
    """One pair's part of eq. 4: softmax of the predictor on both features side by side."""
    pairs = mined(rgb, other, classes)
    total = 0.0
    for i, j in pairs:
        shares = softmax(linear(p, name, np.concatenate([rgb[i], other[j]])))
        total -= math.log(shares[int(classes[i] == classes[j])])
    return total / len(pairs)


def balanced_bce(scores: Array, classes: Array) -> float:
    """The paper's binary cross entropy, with both classes weighing the same: a choice of ours."""
    alive = 1 / (1 + np.exp(-scores))
    return float(-np.log(alive[classes == 1]).mean() - np.log(1 - alive[classes == 0]).mean()) / 2
