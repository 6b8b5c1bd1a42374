"""Vision transformer (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021).

Written from the paper's equations 1-4; state-dict names and shapes are those of timm's `VisionTransformer`, so its
ImageNet weights load. Positions are a buffer: fixed sinusoids, until a state dict brings learned ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgefas.errors import EdgefasError

NORM_EPS = 1e-6


class VisionTransformer(nn.Module):
    """(N, in_channels, height, width) -> (N, outputs).

    Args:
        in_channels: 3 for RGB.
        outputs: of the classifier on the class token; 0 leaves it out.
        size_px: height and width, multiples of `patch_px`.
        patch_px: side of the square patches.
        dim: of a token; a multiple of `heads`, even.
        depth: blocks.
        heads: of the attention in each block.
    """

    def __init__(
        self, in_channels: int, outputs: int, size_px: tuple[int, int], patch_px: int, dim: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.num_features = dim
        self.patch_embed = PatchEmbed(in_channels, dim, size_px, patch_px)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.register_buffer("pos_embed", sinusoids(1 + self.patch_embed.num_patches, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim, NORM_EPS)
        if outputs:
            self.head = nn.Linear(dim, outputs)
        initialise(self)
        nn.init.normal_(self.cls_token, std=0.02)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 1 + patches, dim): the class token first, normalised.

        Raises:
            EdgefasError: `x` is not of the size the network was built for.
        """
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], 1) + self.pos_embed
        features: Tensor = self.norm(self.blocks(tokens))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.forward_features(x)[:, 0])
        return logits


class PatchEmbed(nn.Module):
    """Non-overlapping patches, one linear map: (N, in_channels, height, width) -> (N, patches, dim) in raster order."""

    def __init__(self, in_channels: int, dim: int, size_px: tuple[int, int], patch_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.num_patches = (size_px[0] // patch_px) * (size_px[1] // patch_px)
        self.proj = nn.Conv2d(in_channels, dim, patch_px, patch_px)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2:] != self.size_px:
            (height, width), (rows, cols) = self.size_px, x.shape[2:]
            raise EdgefasError(
                f"this vision transformer takes {height}x{width} pixels, the input has {rows}x{cols}; "
                "its positions are of one size: build it with another size_px, or resize the input"
            )
        tokens: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens


class Block(nn.Module):
    """Self-attention, then two layers per token; each on the normalised tokens and added to them."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, NORM_EPS)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, NORM_EPS)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class SelfAttention(nn.Module):
    """(N, T, dim) -> (N, T, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        y: Tensor = self.proj(attention(q, k, v, self.heads))
        return y


class Mlp(nn.Module):
    """dim -> 4 dim -> dim with GELU, per token."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(gelu(self.fc1(x)))
        return y


def gelu(x: Tensor) -> Tensor:
    """x times the normal distribution up to x, written out: ONNX has Gelu from opset 20 on, TensorRT 10.3 reads 19."""
    return x * (0.5 + 0.5 * torch.erf(x * 0.5**0.5))


def attention(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """softmax(Q K^T / sqrt(d_k)) V in each head, heads joined again.

    (N, T, dim), (N, S, dim), (N, S, dim) -> (N, T, dim); d_k = dim / heads.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
    weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def sinusoids(length: int, dim: int) -> Tensor:
    """(1, length, dim) float32: sine and cosine of each position at dim / 2 wavelengths, 2 pi to 20000 pi.

    Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.5.
    """
    angles = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(0, dim, 2) / dim)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[None]


def initialise(network: nn.Module) -> None:
    """Glorot and Bengio (2010) for linear layers, of which a patch embedding is one; biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight.data.flatten(1))
            assert module.bias is not None
            nn.init.zeros_(module.bias)
