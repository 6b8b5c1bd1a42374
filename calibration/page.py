"""One self-contained HTML page of a calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from edgefas.calibration.episodes import ScoredEpisode
from edgefas.calibration.findings import Findings
from edgefas.calibration.quality import Quality
from edgefas.calibration.words import RATE_HEADINGS, rate_rows, summary, warnings
from edgefas.contracts import Label, Policy
from edgefas.evaluation import plots
from edgefas.evaluation.page import html_page, html_table
from edgefas.evaluation.presentations import Presentations


def render(
    facts: Mapping[str, str], episodes: Sequence[ScoredEpisode], policy: Policy, found: Findings, notes: Iterable[str]
) -> str:
    """The page.

    Args:
        facts: where the policy comes from, in words.
        notes: what a reader must know.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    judged = found.held_out
    said = {"scores as they are": judged.uncalibrated, "calibrated": judged.calibrated}
    curves = [
        plots.reliability({name: [(b.said, b.found) for b in quality.bins] for name, quality in said.items()}),
        plots.histograms(_frames(episodes), policy.threshold),
    ]
    return html_page(
        "Which threshold for this site",
        [
            html_table(("", ""), facts.items()),
            *(f"<p class='note'>{escape(note)}</p>" for note in (*notes, *warnings(found, policy))),
            "<h2>Error rates</h2>",
            html_table(RATE_HEADINGS, rate_rows(found)),
            *(f"<p>{escape(line)}</p>" for line in summary(found, policy)),
            "<h2>What a score is worth</h2>",
            html_table(("where held out", "loss, nats", "calibration error"), map(_quality, said.items())),
            f"<div class='curves'>{''.join(curves)}</div>",
            "<p>The threshold was chosen on these recordings: rates of fitted frames flatter. This page is a "
            "measurement, no certificate.</p>",
        ],
    )


def _quality(named: tuple[str, Quality]) -> tuple[str, str, str]:
    return named[0], f"{named[1].nll:.3f}", f"{named[1].ece:.3f}"


def _frames(episodes: Sequence[ScoredEpisode]) -> Presentations:
    """All scored frames, each the same."""

    def joined(part: list[ScoredEpisode]) -> np.ndarray:
        return np.sort(np.concatenate([e.scores[e.scored] for e in part]))

    spoof = [e for e in episodes if e.label is Label.ATTACK]
    species = sorted({e.pai for e in spoof})
    alive = [e for e in episodes if e.label is Label.BONA_FIDE]
    return Presentations(joined(alive), {name: joined([e for e in spoof if e.pai == name]) for name in species})
