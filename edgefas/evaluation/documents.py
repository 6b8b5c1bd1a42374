"""A report as documents: JSON whose names are those of ISO/IEC 30107-3, and its curve as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edgefas.evaluation.evaluate import Figure, Report
from edgefas.evaluation.metrics import count_errors
from edgefas.evaluation.presentations import few_cuts

SCHEMA = "edgefas.evaluation/1"
CURVE_POINTS = 1000


def document(report: Report) -> dict[str, Any]:
    """Every figure with the counts it comes from."""
    return {
        "level": report.level,
        "nonresponse": report.nonresponse,
        "presentations": report.rows,
        "subjects": report.subjects,
        "threshold": asdict(report.threshold),
        "dev": None
        if report.dev is None
        else {"APCER": report.dev.max_apcer, "APCER_per_PAI": report.dev.apcer, "BPCER": report.dev.bpcer},
        "PAI": {
            name: {
                "presentations": species.presentations,
                "nonresponses": species.nonresponses,
                "APNRR": species.nonresponses / species.presentations,
                "APCER": _said(species.apcer),
            }
            for name, species in report.species.items()
        },
        "at_threshold": {name: _said(figure) for name, figure in report.at_threshold.items()},
        "curve": {name: _said(figure) for name, figure in report.curve.items()},
        "notes": list(report.notes),
    }


def _said(figure: Figure) -> dict[str, Any]:
    """What there is of a figure; its value and counts always."""
    always = ("value", "bona_fide", "attacks")
    return {key: value for key, value in asdict(figure).items() if key in always or value is not None}


def curve(reports: Mapping[str, Report]) -> str:
    """Error rates at up to about a thousand thresholds of each run, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "threshold", "APCER", "APCER_pooled", "BPCER"])
    for name, report in reports.items():
        for cut in few_cuts(report.test, CURVE_POINTS).tolist():
            found = count_errors(report.test, cut)
            writer.writerow([name, cut, found.rates.max_apcer, found.pooled_apcer, found.rates.bpcer])
    return text.getvalue()
