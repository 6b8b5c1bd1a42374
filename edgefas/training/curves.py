"""How a run went, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgefas.evaluation.plots import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_curves(rows: Sequence[dict[str, Any]]) -> str:
    """Loss and validation loss, and the validation EER, over epochs, as SVG.

    Raises:
        MissingExtra: matplotlib is not installed.
    """

    def draw(axes: Axes) -> None:
        epochs = [row["epoch"] + 1 for row in rows]
        for name, label in (("loss", "training loss"), ("validation_loss", "validation loss (cross entropy)")):
            axes.plot(epochs, [row[name] for row in rows], marker=".", label=label)
        axes.set(xlabel="epoch", ylabel="nats")
        errors = axes.twinx()
        errors.plot(epochs, [100 * row["eer"] for row in rows], color="black", marker=".", label="validation EER")
        errors.set(ylabel="EER, %", ylim=(0, None))
        lines = [*axes.get_lines(), *errors.get_lines()]
        axes.legend(lines, [str(line.get_label()) for line in lines], fontsize="x-small")

    return figure("Training", draw)
