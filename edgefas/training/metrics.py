"""What training watches beside the error rates of `edgefas.evaluation.metrics`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Label


def balanced_cross_entropy(scores: npt.NDArray[np.floating], species: npt.NDArray[np.str_]) -> float:
    """Mean of the two classes' mean negative log-likelihoods, in nats; scores are log-odds of bona fide."""
    bona_fide = species == Label.BONA_FIDE.value
    wide = scores.astype(np.float64)
    return float(np.logaddexp(0, -wide[bona_fide]).mean() + np.logaddexp(0, wide[~bona_fide]).mean()) / 2
