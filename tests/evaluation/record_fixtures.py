"""Records what bob.measure and scikit-learn say of random scores with heavy ties, as `fixtures.json` beside this file.

bob.measure wants an older numpy than edgefas; give both a place of their own, and run this file there:

    python -m venv oracle && oracle/bin/pip install bob.measure==6.1.1 scikit-learn==1.9.1
    oracle/bin/python tests/evaluation/record_fixtures.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bob.measure
import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

LIMITS = (0.3, 0.1, 0.05, 0.02, 0.01)


def drawn(rng: np.random.Generator, alive: int, spoof: int, shift: float, steps: float) -> tuple[Any, Any]:
    """Two normal classes on a grid: few distinct values, so that most scores are tied."""
    return (
        np.round((rng.normal(size=alive) + shift) * steps) / 4,
        np.round((rng.normal(size=spoof) - shift) * steps) / 4,
    )


def case(alive: Any, spoof: Any) -> dict[str, Any]:
    """One set of scores and what the two libraries make of it."""
    labels = np.r_[np.ones(len(alive)), np.zeros(len(spoof))]
    scores = np.r_[alive, spoof]
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    threshold = float(bob.measure.eer_threshold(spoof, alive))
    tried = sorted({float(t) for t in scores} | {threshold, float(scores.max()) + 1})
    return {
        "bona_fide": alive.tolist(),
        "attacks": spoof.tolist(),
        "bob_eer_threshold": threshold,
        "bob_eer": float(np.mean(bob.measure.farfrr(spoof, alive, threshold))),
        "bob_far_frr": [[t, *map(float, bob.measure.farfrr(spoof, alive, t))] for t in tried],
        "bob_far_threshold": {str(x): float(bob.measure.far_threshold(spoof, alive, x)) for x in LIMITS},
        "bob_frr_threshold": {str(x): float(bob.measure.frr_threshold(spoof, alive, x)) for x in LIMITS},
        "sklearn_auc": float(roc_auc_score(labels, scores)),
        "sklearn_tpr_at_fpr": {str(x): float(tpr[fpr <= x].max()) for x in LIMITS},
        "sklearn_fpr_at_fnr": {str(x): float(fpr[1 - tpr <= x + 1e-12].min()) for x in LIMITS},
    }


def main() -> None:
    """Draw, ask, write."""
    rng = np.random.default_rng(30107)
    cases = [
        case(*drawn(rng, int(alive), int(spoof), shift, steps))
        for alive, spoof in ((20, 20), (15, 60), (120, 100), (101, 37), (100, 150))
        for shift, steps in ((1.2, 2.0), (0.4, 1.0), (-0.3, 3.0))
    ]
    cases += [case(np.full(7, 0.5), np.full(5, 0.5)), case(np.array([1.0, 2.0]), np.array([-1.0, -3.0, -3.0]))]
    document = {"versions": {name: version(name) for name in ("bob.measure", "scikit-learn", "numpy")}, "cases": cases}
    Path(__file__).with_name("fixtures.json").write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
