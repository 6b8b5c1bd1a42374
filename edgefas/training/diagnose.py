"""A loss, a gradient or a score that is no number: where it began, and the batch that made it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor, nn

from edgefas.errors import EdgefasError
from edgefas.files import write_atomically
from edgefas.training.augment import Batch

BATCH_FILE = "bad_batch.safetensors"


class NotFinite(EdgefasError):
    """Training came to a loss, a gradient or a score that is no number."""


def require_finite(terms: dict[str, Tensor], trained: nn.Module, batch: Batch, target: Tensor, out: Path) -> None:
    """Nothing, unless a term is NaN or infinite.

    Raises:
        NotFinite: names the term and the first layer whose output is not finite; the batch is kept in `out`.
    """
    wrong = [name for name, term in terms.items() if not bool(torch.isfinite(term))]
    if not wrong:
        return
    kept = {**{name: value.detach().cpu() for name, value in batch.items()}, "bona_fide": target.detach().cpu()}
    write_atomically(out / BATCH_FILE, save({name: value.contiguous() for name, value in kept.items()}))
    raise NotFinite(
        f"the loss's term {wrong[0]} is {float(terms[wrong[0]].detach())}: {_origin(trained, batch, target)}; the "
        f"batch is in {out / BATCH_FILE}. Try a lower learning rate in another --out, "
        "or look at the data: edgefas data check FOLDER"
    )


def require_finite_gradients(norm: Tensor | None) -> None:
    """Nothing, unless the norm of the gradients is NaN or infinite.

    Raises:
        NotFinite: what to try.
    """
    if norm is not None and not bool(torch.isfinite(norm)):
        raise NotFinite(
            f"the loss is a number, but the norm of its gradients is {float(norm)}: the last steps were too long, or "
            "precision too small; try a lower learning rate in another --out, or precision=32-true"
        )


def require_scale(scale: float) -> None:
    """Nothing, unless losses of precision 16-mixed are scaled below 1: every overflow halves the scale and leaves out
    its step, so that gradients which always overflow would train nothing.

    Raises:
        NotFinite: what to try.
    """
    if scale < 1:
        raise NotFinite(
            f"gradients overflowed 16-mixed until its losses were scaled by {scale:.3g}, and each of those steps was "
            "left out; give precision=bf16-mixed or precision=32-true, or a lower learning rate, in another --out"
        )


def require_finite_scores(scores: npt.NDArray[np.float32]) -> None:
    """Nothing, unless a face's score is NaN or infinite.

    Raises:
        NotFinite: how many, and what to try.
    """
    wrong = int((~np.isfinite(scores)).sum())
    if wrong:
        raise NotFinite(
            f"the network scores {wrong} of {len(scores)} validation samples by no number: its last steps were too "
            "long, or precision too small; try a lower learning rate, or precision=32-true"
        )


def _origin(trained: nn.Module, batch: Batch, target: Tensor) -> str:
    for name, value in batch.items():
        if not bool(torch.isfinite(value).all()):
            return f"the input {name} is not finite already"
    for name, parameter in trained.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return f"the weights {name} are not finite: an earlier step was too long"
    with _first_bad_output(trained) as found, torch.no_grad():
        trained(bona_fide=target, **batch)
    return f"the first layer whose output is not finite is {found[0]}" if found else "every layer's output is finite"


@contextmanager
def _first_bad_output(trained: nn.Module) -> Iterator[list[str]]:
    found: list[str] = []
    handles = []
    for name, module in trained.named_modules():
        if not list(module.children()):

            def look(module: nn.Module, given: Any, made: Any, name: str = name) -> None:
                if not found and isinstance(made, Tensor) and not bool(torch.isfinite(made).all()):
                    found.append(name)

            handles.append(module.register_forward_hook(look))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
