"""The networks by name: what `create_model` can build, with which configuration, beside which published figures."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from torch import Tensor, nn

from edgefas.contracts import Contract, DepthInput, InputSpec, IRInput, MetricCrop, Modality, RGBInput
from edgefas.errors import EdgefasError, UsageError


class ModelConfig(Contract, ABC):
    """Everything that decides a network's shape; it travels in the checkpoint."""

    @abstractmethod
    def input_spec(self) -> InputSpec:
        """The preprocessing a network of this shape is trained with unless told otherwise."""


@dataclass(frozen=True)
class PaperFigures:
    """What the publication says of its own network; None where it says nothing.

    Attributes:
        title: the network's name there.
        params_m: million parameters.
        gmacs: 1e9 multiply-accumulates per face (the tables' "FLOPs" of these papers are multiply-accumulates).
        source: document and table, and the input size and head it holds for.
        comparable: whether that size and head are ours, so that a deviation means something.
    """

    title: str
    params_m: float | None
    gmacs: float | None
    source: str
    comparable: bool = False


@dataclass(frozen=True)
class ModelEntry:
    """One registered network."""

    name: str
    build: Callable[[Any], nn.Module]
    defaults: ModelConfig
    paper: PaperFigures | None

    @property
    def input_spec(self) -> InputSpec:
        """The preprocessing of the default configuration."""
        return self.defaults.input_spec()

    @property
    def about(self) -> str:
        """Where it comes from, and what of it is a reconstruction: what its file says of itself."""
        return inspect.cleandoc(sys.modules[self.build.__module__].__doc__ or "")


_ENTRIES: dict[str, ModelEntry] = {}
C = TypeVar("C", bound=ModelConfig)


def register_model(
    name: str, defaults: C, paper: PaperFigures | None = None
) -> Callable[[Callable[[C], nn.Module]], Callable[[C], nn.Module]]:
    """Make a builder known under `name`; the builder gets `defaults` with the caller's changes."""

    def register(build: Callable[[C], nn.Module]) -> Callable[[C], nn.Module]:
        assert name not in _ENTRIES, f"two models are called {name}"
        _ENTRIES[name] = ModelEntry(name, build, defaults, paper)
        return build

    return register


def list_models() -> list[ModelEntry]:
    """All registered networks, by name."""
    return [_ENTRIES[name] for name in sorted(_ENTRIES)]


def find_model(name: str) -> ModelEntry:
    """One of `list_models()`.

    Raises:
        UsageError: no such network.
    """
    if name not in _ENTRIES:
        close = get_close_matches(name, _ENTRIES, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(_ENTRIES))}."
        raise UsageError(f"unknown model {name!r}; {hint} `edgefas models` lists them")
    return _ENTRIES[name]


def create_model(name: str, *, input_spec: InputSpec | None = None, **config: Any) -> nn.Module:
    """Build a network with fresh weights, in training mode.

    Its `forward(rgb=None, ir=None, depth=None)` takes batches as `InputSpec.shape` gives them and returns (N,) float32,
    the log-odds of bona fide. One logit says as much as the margin of two: softmax depends on the margin alone.
    The network has the attributes `model_name`, `config` and `input_spec`.

    Args:
        name: one of `list_models()`.
        input_spec: replaces the default preprocessing; same modalities.
        **config: fields of the network's configuration that differ from its defaults.

    Raises:
        UsageError: no such network, or `input_spec` has other modalities.
        ContractError: no such field of the configuration, or its value is not allowed.
    """
    entry = find_model(name)
    full = type(entry.defaults).from_dict({**entry.defaults.model_dump(), **config})
    default = full.input_spec()
    if input_spec is not None and input_spec.modalities != default.modalities:
        raise UsageError(
            f"{name} takes {_words(default.modalities)}; the InputSpec has {_words(input_spec.modalities)}"
        )
    model = entry.build(full)
    model.model_name, model.config, model.input_spec = name, full, input_spec or default
    return model


def default_input_spec(*modalities: Modality, size_px: int = 112) -> InputSpec:
    """Square inputs of a 190 mm window: the whole head with some background, at any distance."""
    size = {"height_px": size_px, "width_px": size_px}
    parts = {Modality.RGB: RGBInput, Modality.IR: IRInput, Modality.DEPTH: DepthInput}
    crop = MetricCrop(width_mm=190, height_mm=190)
    return InputSpec(crop=crop, **{m.value: parts[m](**size) for m in modalities})


def require_inputs(
    wanted: Iterable[Modality], rgb: Tensor | None, ir: Tensor | None, depth: Tensor | None
) -> list[Tensor]:
    """The tensors of the wanted modalities, in that order.

    Raises:
        EdgefasError: one is None. A network never guesses a missing picture; what to do without one is the policy
            of the live pipeline.
    """
    given = {Modality.RGB: rgb, Modality.IR: ir, Modality.DEPTH: depth}
    found = [(m, given[m]) for m in wanted]
    missing = [m for m, tensor in found if tensor is None]
    if missing:
        raise EdgefasError(
            f"the network needs {_words(m for m, _ in found)}, but got no {_words(missing)}; "
            "pass every modality of its InputSpec"
        )
    return [tensor for _, tensor in found if tensor is not None]


def _words(modalities: Iterable[Modality]) -> str:
    return ", ".join(m.value for m in modalities)
