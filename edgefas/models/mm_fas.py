"""mmFAS: three vision transformers, aligned in training, fused by attention whose sources take turns.

Chen, Xie, Lin, Liu and Wang, "mmFAS: Multimodal Face Anti-Spoofing Using Multi-Level Alignment and Switch-Attention
Fusion", AAAI 2025; equation numbers below are the paper's. Alignment is losses (`edgefas.models.alignment`): it belongs
to training, and the network here has nothing of it.

The paper gives depth 3 and width 270 of the encoders, depth 6 and 6 heads of 45 of the fusion, 270 x 1080 x 270 of the
FFN, 224x224 inputs, and the sizes of its table 2: 2.92 M with one modality, 5.76 M with two, 8.60 M with three, 15.63 M
with switch-attention, 29.66 M with cross- and 56.11 M with merge-attention. What follows is a **reconstruction**:

- Patches of 16 pixels, positions that are not learned: 2.84 M per encoder allows no other patch, and not the 0.05 M of
  learned positions. Encoders have 6 heads, as the fusion does, and end in a layer norm.
- The two 270-wide layers of the classifier are 270 -> 270 -> 1, on the class token: one logit, the margin of the
  paper's two classes.
- Infrared and depth are one channel. The counts say three, but copies of one picture let a linear map compute nothing
  more: ours is smaller by these 0.28 M.
- 7.03 M of switch-attention are six times two attentions and one FFN. As in the fusion blocks of ALBEF, which the paper
  follows, the colour stream first attends to itself; then comes switch-attention (eq. 6-8), then the FFN. Each has its
  norm, that of switch-attention serves its three sources, and a last norm ends the colour stream.
- Shallow fusion is the mean of the colour features aligned with depth and with infrared. Alignment is off in testing
  and adds no parameters, so both are the encoder's output, and so is their mean.
- Cross-attention: three streams of such blocks; each queries the tokens of the other two, joined. Merge-attention: six
  plain blocks on the three features side by side, 810 wide with 18 heads, then 810 -> 270.
- Without fusion (the first rows of table 2, 8.60 M): the mean of the encoders' class tokens.

Every modality of the configuration is needed, in training as afterwards: the network refuses to guess one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from edgefas.contracts import InputSpec, Modality
from edgefas.models.alignment import AlignedTraining
from edgefas.models.registry import ModelConfig, PaperFigures, default_input_spec, register_model, require_inputs
from edgefas.models.vit import NORM_EPS, Block, Mlp, SelfAttention, VisionTransformer, attention, initialise

SwitchMode = Literal["RDI", "RID", "DRI", "DIR", "IRD", "IDR"]
Streams = dict[str, Tensor]
"""Modality -> tokens (N, 1 + patches, dim), the class token first."""


class MmFasConfig(ModelConfig):
    """The defaults are the paper's network, as far as it can be told; its tables 2 and 3 change one thing at a time."""

    modalities: tuple[Modality, ...] = Field(tuple(Modality), min_length=1, description="one or two have no fusion")
    dim: int = Field(270, ge=8, le=1024, description="of a token")
    heads: int = Field(6, ge=1, le=64)
    depth: int = Field(3, ge=1, le=24, description="blocks of each encoder")
    fusion: Literal["switch", "cross", "merge", "none"] = "switch"
    fusion_blocks: int = Field(6, ge=1, le=24)
    switch_mode: SwitchMode = Field("RDI", description="queries, keys and values in the first block; then they shift")
    alpha: float = Field(1.0, ge=0, le=100, description="weight of instance contrastive learning in training, eq. 9")
    beta: float = Field(1.0, ge=0, le=100, description="weight of class matching in training, eq. 9")
    mining: bool = Field(True, description="class matching on the hardest pairs; false: on pairs drawn at random")
    patch_px: int = Field(16, ge=4, le=64)
    size_px: int = Field(224, ge=32, le=512)

    @model_validator(mode="after")
    def _divisible(self) -> MmFasConfig:
        if self.dim % 2 or self.dim % self.heads:
            raise ValueError(f"dim {self.dim} must be even and a multiple of heads {self.heads}")
        if self.size_px % self.patch_px:
            raise ValueError(f"size_px {self.size_px} must be a multiple of patch_px {self.patch_px}")
        return self

    @model_validator(mode="after")
    def _joinable(self) -> MmFasConfig:
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"modalities name one twice: {', '.join(m.value for m in self.modalities)}")
        if len(self.modalities) < len(Modality) and (self.fusion != "none" or self.alpha or self.beta):
            raise ValueError("fusion and alignment need rgb, ir and depth; else set fusion: none, alpha: 0, beta: 0")
        return self

    def input_spec(self) -> InputSpec:
        """RGB, IR and depth at one size, so that their patches lie on each other."""
        return default_input_spec(*self.modalities, size_px=self.size_px)


class MmFas(nn.Module):
    """`encoders` (rgb, ir, depth), `fusion` of their tokens, and `classifier`."""

    def __init__(self, config: MmFasConfig) -> None:
        super().__init__()
        spec, size = config.input_spec(), (config.size_px, config.size_px)
        self.modalities = spec.modalities
        self.encoders = nn.ModuleDict(
            {
                m.value: VisionTransformer(
                    spec.shape(m)[0], 0, size, config.patch_px, config.dim, config.depth, config.heads
                )
                for m in self.modalities
            }
        )
        self.fusion = FUSIONS[config.fusion](config)
        self.classifier = nn.Sequential(nn.Linear(config.dim, config.dim), nn.ReLU(), nn.Linear(config.dim, 1))
        for part in (self.fusion, self.classifier):
            initialise(part)

    def encode(self, rgb: Tensor | None, ir: Tensor | None, depth: Tensor | None) -> Streams:
        """What the encoders see in each picture.

        Raises:
            EdgefasError: a modality is None, or of another size than the configuration's.
        """
        inputs = require_inputs(self.modalities, rgb, ir, depth)
        named = zip(self.modalities, inputs, strict=True)
        return {m.value: self.encoders[m.value].forward_features(x) for m, x in named}

    def classify(self, streams: Streams) -> Tensor:
        """(N,) float32 log-odds of bona fide."""
        logits: Tensor = self.classifier(self.fusion(streams))
        return logits.float().squeeze(1)

    def forward(self, rgb: Tensor | None = None, ir: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        """(N,) log-odds of bona fide.

        Raises:
            EdgefasError: as `encode`.
        """
        return self.classify(self.encode(rgb, ir, depth))

    def pretrainable(self) -> dict[Modality, nn.Module]:
        """See `edgefas.models.pretrained`."""
        return {m: self.encoders[m.value] for m in self.modalities}

    def training_module(self) -> nn.Module:
        """The network with the alignment it is trained by, see `edgefas.training.objective`."""
        return AlignedTraining(self)


class FusionBlock(nn.Module):
    """One stream attends to itself, then takes in what attention among the streams gives, then the FFN."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, NORM_EPS)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, NORM_EPS)
        self.cross = SourcedAttention(dim, heads)
        self.norm3 = nn.LayerNorm(dim, NORM_EPS)
        self.mlp = Mlp(dim)

    def forward(self, streams: Streams, updated: str, sources: tuple[str, str, str]) -> Tensor:
        """The new tokens of `updated`; `sources` names the streams of queries, keys and values."""
        x = streams[updated]
        x = x + self.attn(self.norm1(x))
        current = streams | {updated: x}
        queries, keys, values = (self.norm2(current[name]) for name in sources)
        x = x + self.cross(queries, keys, values)
        return x + self.mlp(self.norm3(x))


class SourcedAttention(nn.Module):
    """Multi-head attention whose queries, keys and values come from three streams (eq. 7-8).

    (N, T, dim), (N, S, dim), (N, S, dim) -> (N, T, dim).
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        y: Tensor = self.proj(attention(self.q(queries), self.k(keys), self.v(values), self.heads))  # eq. 5
        return y


class SwitchFusion(nn.Module):
    """The colour stream takes in depth and infrared, whose tokens stay as they are: streams -> (N, dim)."""

    def __init__(self, config: MmFasConfig) -> None:
        super().__init__()
        self.mode = config.switch_mode
        self.blocks = nn.ModuleList(FusionBlock(config.dim, config.heads) for _ in range(config.fusion_blocks))
        self.norm = nn.LayerNorm(config.dim, NORM_EPS)

    def forward(self, streams: Streams) -> Tensor:
        for number, block in enumerate(self.blocks):
            streams = streams | {"rgb": block(streams, "rgb", switched(self.mode, number))}
        return _mean_class_token(streams | {"rgb": self.norm(streams["rgb"])})


def switched(mode: str, block: int) -> tuple[str, str, str]:
    """The streams of queries, keys and values in this block: `mode` shifted left by one per block (eq. 6).

    >>> switched("RDI", 0), switched("RDI", 4)
    (('rgb', 'depth', 'ir'), ('depth', 'ir', 'rgb'))
    """
    names = {"R": "rgb", "D": "depth", "I": "ir"}
    q, k, v = (names[mode[(block + i) % 3]] for i in range(3))
    return q, k, v


class CrossFusion(nn.Module):
    """Each stream queries the tokens of the other two (for the paper's ablation): streams -> (N, dim)."""

    def __init__(self, config: MmFasConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleDict({m.value: FusionBlock(config.dim, config.heads) for m in Modality})
            for _ in range(config.fusion_blocks)
        )
        self.norms = nn.ModuleDict({m.value: nn.LayerNorm(config.dim, NORM_EPS) for m in Modality})

    def forward(self, streams: Streams) -> Tensor:
        for blocks in self.blocks:
            updated = {}
            for name, x in streams.items():
                others = torch.cat([y for other, y in streams.items() if other != name], 1)
                updated[name] = blocks[name]({name: x, "others": others}, name, (name, "others", "others"))
            streams = updated
        return _mean_class_token({name: self.norms[name](x) for name, x in streams.items()})


class MergeFusion(nn.Module):
    """Plain blocks on the three features side by side (for the paper's ablation): streams -> (N, dim)."""

    def __init__(self, config: MmFasConfig) -> None:
        super().__init__()
        wide = len(Modality) * config.dim
        self.blocks = nn.Sequential(*(Block(wide, len(Modality) * config.heads) for _ in range(config.fusion_blocks)))
        self.norm = nn.LayerNorm(wide, NORM_EPS)
        self.proj = nn.Linear(wide, config.dim)

    def forward(self, streams: Streams) -> Tensor:
        merged = torch.cat([streams[m.value] for m in Modality], -1)
        y: Tensor = self.proj(self.norm(self.blocks(merged))[:, 0])
        return y


class MeanFusion(nn.Module):
    """No attention between the streams (for the paper's ablation): streams -> (N, dim)."""

    def forward(self, streams: Streams) -> Tensor:
        return _mean_class_token(streams)


def _mean_class_token(streams: Streams) -> Tensor:
    """(N, dim): "the mean of three modal features", or of as many as there are."""
    return torch.stack([x[:, 0] for x in streams.values()]).mean(0)


FUSIONS: dict[str, Callable[[MmFasConfig], nn.Module]] = {
    "switch": SwitchFusion,
    "cross": CrossFusion,
    "merge": MergeFusion,
    "none": lambda config: MeanFusion(),
}

register_model(
    "mm-fas",
    MmFasConfig(),
    paper=PaperFigures(
        title="mmFAS", params_m=15.63, gmacs=None, source="table 2 (224x224, two classes)", comparable=True
    ),
)(MmFas)
