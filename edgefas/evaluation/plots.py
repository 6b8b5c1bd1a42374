"""The curves of a report as SVG, so that a page of them needs nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Label
from edgefas.errors import require
from edgefas.evaluation.presentations import Presentations, few_cuts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 600
"""Of a curve: more cannot be seen."""
DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8)
_SALT = "edgefas"
"""Ids inside an SVG come from it: equal scores give equal pages."""


def roc(test: Presentations) -> str:
    """Bona fide accepted over attacks accepted (all species pooled, and each), on a logarithmic axis."""

    def draw(axes: Axes) -> None:
        floor = 0.5 / test.pooled.size
        for name, attacks in {"all pooled": test.pooled, **test.attacks}.items():
            rejected, accepted = _rates(test, attacks)
            axes.step(np.maximum(accepted, floor), 1 - rejected, where="post", **_style(name))
        axes.set(xscale="log", xlabel="attacks accepted", ylabel="bona fide accepted", ylim=(-0.02, 1.02))
        axes.legend(fontsize="x-small", loc="lower right")

    return figure("ROC", draw)


def det(test: Presentations) -> str:
    """BPCER over APCER with both axes stretched as normal quantiles: equal ratios of errors look equal."""

    def draw(axes: Axes) -> None:
        for name, attacks in {"all pooled": test.pooled, **test.attacks}.items():
            rejected, accepted = _rates(test, attacks)
            low = 0.5 / min(attacks.size, test.bona_fide.size)
            apcer, bpcer = (_probit(np.clip(rate, low, 1 - low)) for rate in (accepted, rejected))
            axes.plot(apcer, bpcer, **_style(name))
        ticks = _probit(np.array(DET_TICKS))
        labels = [f"{100 * tick:g}" for tick in DET_TICKS]
        axes.set(xlabel="APCER, %", ylabel="BPCER, %")
        axes.set_xticks(ticks, labels)
        axes.set_yticks(ticks, labels)
        axes.grid(alpha=0.3)

    return figure("DET", draw)


def rates(test: Presentations, threshold: float) -> str:
    """Both error rates over the threshold; the operating one is marked."""

    def draw(axes: Axes) -> None:
        cuts = few_cuts(test, POINTS)
        axes.plot(cuts, _share_below(test.bona_fide, cuts), color="black", label="BPCER")
        axes.plot(cuts, 1 - _share_below(test.pooled, cuts), color="tab:red", label="attacks accepted, pooled")
        worst = np.max([1 - _share_below(attacks, cuts) for attacks in test.attacks.values()], axis=0)
        axes.plot(cuts, worst, color="tab:red", linestyle=":", label="APCER (worst species)")
        axes.axvline(threshold, color="tab:blue", linewidth=1)
        axes.set(xlabel="threshold (log-odds of bona fide)", ylabel="error rate")
        axes.legend(fontsize="x-small")

    return figure("Error rates by threshold", draw)


def histograms(test: Presentations, threshold: float) -> str:
    """How scores lie, bona fide against each species; shares of each, so that rare species show."""

    def draw(axes: Axes) -> None:
        finite = [scores[np.isfinite(scores)] for scores in (test.bona_fide, *test.attacks.values())]
        every = np.concatenate(finite)
        bins = np.linspace(every.min(), every.max() + 1e-6, 61)
        for name, scores in zip(("bona fide", *test.attacks), finite, strict=True):
            weights = np.full(scores.size, 1 / max(scores.size, 1))
            style: dict[str, Any] = {"color": "black"} if name == "bona fide" else {}
            axes.hist(scores, bins.tolist(), weights=weights, histtype="step", label=name, **style)
        axes.axvline(threshold, color="tab:blue", linewidth=1)
        axes.set(xlabel="score (log-odds of bona fide)", ylabel="share")
        axes.legend(fontsize="x-small")

    return figure("Scores", draw)


def reliability(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Share of bona fide found over the probability said, points (said, found) by name; the diagonal is perfect."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1, label=name)
        axes.set(xlabel="probability of bona fide, said", ylabel="share of bona fide, found")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(fontsize="x-small")

    return figure("Reliability where held out", draw)


def scatter(points: npt.NDArray[np.floating], species: Sequence[str], title: str) -> str:
    """Two-dimensional points (N, 2), a colour per species."""

    def draw(axes: Axes) -> None:
        words = np.array(species)
        for name in dict.fromkeys(species):
            here = points[words == name]
            color = "black" if name == Label.BONA_FIDE.value else None
            axes.scatter(here[:, 0], here[:, 1], s=6, label=name, color=color)
        axes.set(xticks=[], yticks=[])
        axes.legend(fontsize="x-small")

    return figure(title, draw)


def _rates(test: Presentations, attacks: npt.NDArray[np.floating]) -> tuple[Any, Any]:
    cuts = few_cuts(test, POINTS)[::-1]
    return _share_below(test.bona_fide, cuts), 1 - _share_below(attacks, cuts)


def _share_below(scores: npt.NDArray[np.floating], cuts: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return np.searchsorted(scores, cuts, side="left") / scores.size


def _style(name: str) -> dict[str, Any]:
    pooled = {"color": "black", "linewidth": 2}
    return {"label": name, **(pooled if name == "all pooled" else {"linewidth": 1})}


def _probit(share: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf(float(value)) for value in share])


def figure(title: str, draw: Callable[[Axes], None]) -> str:
    """One pair of axes as an `<svg>` element.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", "report")
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": _SALT, "svg.fonttype": "none", "font.size": 9}):
        canvas = Figure(figsize=(4.6, 3.4), layout="constrained")
        FigureCanvasSVG(canvas)
        axes = canvas.add_subplot()
        axes.set_title(title, fontsize=10)
        draw(axes)
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]
