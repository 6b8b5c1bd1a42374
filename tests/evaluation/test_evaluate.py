"""Rules, splits, non-responses, videos and the report, on small tables made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edgefas.errors import UsageError
from edgefas.evaluation.evaluate import evaluate, means_over_runs
from edgefas.evaluation.metrics import count_errors
from edgefas.evaluation.presentations import MetricError, Presentations
from edgefas.evaluation.scores import Scores, ScoresError, Words, by_video, sorted_presentations, with_rule
from edgefas.evaluation.thresholds import Rule, bpcer_threshold, choose, parse_rule

Row = tuple[str, str, str, float]  # subject, pai ("" is bona fide), split, score

TABLE: list[Row] = [
    *(("anna", "", "dev", s) for s in (2.0, 3.0, 4.0, 5.0)),
    *(("anna", "print", "dev", s) for s in (-4.0, -3.0, -2.0, 1.5)),
    *(("ben", "", "test", s) for s in (0.0, 1.6, 2.0, math.nan)),
    *(("carl", "", "test", s) for s in (1.7, 5.0, 6.0, 7.0)),
    *(("ben", "print", "test", s) for s in (-1.0, -2.0, -3.0, 4.0)),
    *(("carl", "mask", "test", s) for s in (2.0, math.nan)),
]


def table(rows: list[Row], videos: list[str] | None = None) -> Scores:
    return Scores(
        np.array([f"row{n}" for n in range(len(rows))], dtype=object),
        Words.of(row[0] for row in rows),
        np.array([row[1] == "" for row in rows]),
        Words.of(row[1] for row in rows),
        Words.of(row[2] for row in rows),
        np.array([row[3] for row in rows]),
        None if videos is None else Words.of(videos),
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("dev-eer", Rule("dev-eer")),
        ("bpcer=0.01", Rule("bpcer", 0.01)),
        ("apcer=0.05", Rule("apcer", 0.05)),
        ("fixed=-1.5", Rule("fixed", -1.5)),
    ],
)
def test_rules_are_read(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert str(rule) == text


@pytest.mark.parametrize(
    "text", ["", "eer", "test-eer", "bpcer", "bpcer=", "bpcer=0", "bpcer=1", "bpcer=x", "apcer=nan", "fixed=inf", "0.5"]
)
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no rule; allowed are dev-eer, bpcer=SHARE"):
        parse_rule(text)


def test_every_rule_chooses_on_dev() -> None:
    dev = sorted_presentations(table(TABLE[:8]))
    assert choose(Rule("dev-eer"), dev).value == 1.75
    assert choose(Rule("bpcer", 0.25), dev).value == 2.5
    assert choose(Rule("bpcer", 0.2), dev).value == 1.75
    assert choose(Rule("apcer", 0.25), dev).value == -0.25
    assert choose(Rule("apcer", 0.2), dev).value == 1.75
    assert choose(Rule("apcer", 0.2), dev).split == "dev"
    given = choose(Rule("fixed", 0.5), None)
    assert (given.value, given.rule, given.split) == (0.5, "fixed=0.5", None)


def test_the_threshold_never_comes_from_test() -> None:
    report = evaluate(table(TABLE), Rule("dev-eer"))
    assert (report.threshold.value, report.threshold.split) == (1.75, "dev")
    moved = evaluate(table([(w, p, s, x + 100 * (s == "test")) for w, p, s, x in TABLE]), Rule("dev-eer"))
    assert moved.threshold == report.threshold
    assert moved.at_threshold["APCER_pooled"].value == 5 / 6
    for rule in (Rule("dev-eer"), Rule("bpcer", 0.1), Rule("apcer", 0.1)):
        with pytest.raises(UsageError, match=r"never chosen on test: .* --threshold fixed=SCORE"):
            evaluate(table(TABLE[8:]), rule)
    assert evaluate(table(TABLE[8:]), Rule("fixed", 1.75)).dev is None


def test_figures_by_hand() -> None:
    report = evaluate(table(TABLE), Rule("dev-eer"))
    assert report.rows == {"train": 0, "dev": 8, "test": 14}
    assert report.subjects == 2
    assert report.dev is not None
    assert (report.dev.bpcer, report.dev.apcer) == (0.0, {"print": 0.0})
    values = {name: figure.value for name, figure in report.at_threshold.items()}
    assert values == {
        "APCER": 0.5,
        "APCER_mean": (0.25 + 0.5) / 2,
        "APCER_pooled": 2 / 6,
        "BPCER": 4 / 8,  # the non-response is rejected
        "ACER": 0.5,
        "HTER": (2 / 6 + 0.5) / 2,
        "accuracy": 8 / 14,
        "APNRR": 0.5,
        "BPNRR": 1 / 8,
    }
    assert report.at_threshold["APCER"].pai == report.at_threshold["APNRR"].pai == "mask"
    assert {n: (s.presentations, s.nonresponses, s.apcer.value) for n, s in report.species.items()} == {
        "mask": (2, 1, 0.5),
        "print": (4, 0, 0.25),
    }
    bpcer = report.at_threshold["BPCER"]
    assert (bpcer.bona_fide, bpcer.attacks) == (8, 0)
    assert bpcer.exact == pytest.approx((0.157, 0.843), abs=1e-3)
    assert bpcer.subjects == (0.25, 0.75)
    assert report.curve["TPR@FPR=0.01"].reason == "needs 100 attacks, there are 6"
    assert {"EER", "AUC", "BPCER10", "BPCER20", "BPCER100", "APCER@BPCER=0.05"} <= set(report.curve)


def test_nonresponses_count_as_the_rule_says() -> None:
    left_out = evaluate(table(TABLE), Rule("dev-eer"), "exclude")
    assert left_out.at_threshold["BPCER"].value == 3 / 7
    assert left_out.at_threshold["BPCER"].bona_fide == 7
    assert left_out.species["mask"].apcer.value == 1.0
    assert (left_out.species["mask"].presentations, left_out.species["mask"].nonresponses) == (2, 1)
    assert left_out.at_threshold["BPNRR"].value == 1 / 8
    with pytest.raises(ScoresError, match=r"2 of 14 presentations have no score, the first is row11; .*--nonresponse"):
        evaluate(table(TABLE), Rule("dev-eer"), "error")
    assert evaluate(table([row for row in TABLE if row[3] == row[3]]), Rule("dev-eer"), "error").rows["test"] == 12


def test_a_species_without_any_response_has_its_rate_all_the_same() -> None:
    rows = [*TABLE, ("ben", "replay", "test", math.nan)]
    rejected = evaluate(table(rows), Rule("dev-eer"))
    assert rejected.species["replay"].apcer.value == 0
    excluded = evaluate(table(rows), Rule("dev-eer"), "exclude")
    assert "replay" not in excluded.species
    assert (excluded.at_threshold["APNRR"].pai, excluded.at_threshold["APNRR"].value) == ("replay", 1.0)


def test_what_is_missing_is_told() -> None:
    with pytest.raises(ScoresError, match="no rows of split test"):
        evaluate(table(TABLE[:8]), Rule("dev-eer"))
    with pytest.raises(MetricError, match="split dev: no attack presentations"):
        evaluate(table([*TABLE[:4], *TABLE[8:]]), Rule("dev-eer"))
    with pytest.raises(MetricError, match="split test: no bona fide presentations"):
        evaluate(table([*TABLE[:8], *TABLE[16:]]), Rule("dev-eer"))
    with pytest.raises(MetricError, match="split dev: no presentation has a score"):
        evaluate(table([(w, p, s, math.nan if s == "dev" else x) for w, p, s, x in TABLE]), Rule("dev-eer"))


def test_notes_say_what_readers_must_know() -> None:
    assert evaluate(table(TABLE), Rule("dev-eer")).notes == ()
    shared = evaluate(table([*TABLE, ("anna", "", "test", 1.0)]), Rule("dev-eer"))
    assert shared.notes == ("subjects in dev and in test: 1; the threshold has seen them",)
    unknown = evaluate(table([*TABLE, ("", "", "test", 1.0)]), Rule("dev-eer"))
    assert unknown.notes == ("1 of 15 test rows have no subject: there are no intervals over subjects",)
    assert unknown.subjects is None
    assert unknown.at_threshold["BPCER"].subjects is None
    assert unknown.at_threshold["BPCER"].exact is not None
    of_carl: list[Row] = [("carl" if s == "test" else w, p, s, x) for w, p, s, x in TABLE]
    alone = evaluate(table(of_carl), Rule("dev-eer"))
    assert alone.notes == ("all test rows are of one subject: they say nothing of other people",)
    mute: list[Row] = [("dora", "print", "test", math.nan)]
    left_out = evaluate(table([*of_carl, *mute]), Rule("dev-eer"), "exclude")
    assert (left_out.subjects, left_out.at_threshold["BPCER"].subjects) == (1, None)
    strict = evaluate(table(TABLE), Rule("bpcer", 0.01))
    assert strict.notes == ("bpcer=0.01 means no error at all on dev: it has 4 presentations to count from",)


def test_a_video_is_the_mean_log_odds_of_its_frames() -> None:
    rows: list[Row] = [
        ("anna", "", "test", 1.0),
        ("ben", "print", "test", -8.0),
        ("anna", "", "test", math.nan),
        ("anna", "", "test", 4.0),
        ("ben", "print", "test", 2.0),
        ("carl", "", "test", math.nan),
    ]
    videos = by_video(table(rows, ["v1", "v2", "v1", "v1", "v2", "v3"]))
    assert videos.id.tolist() == ["v1", "v2", "v3"]
    np.testing.assert_array_equal(videos.score, [2.5, -3.0, np.nan])
    assert videos.bona_fide.tolist() == [True, False, True]
    assert [videos.subject[n] for n in range(3)] == ["anna", "ben", "carl"]
    report = evaluate(table(rows, ["v1", "v2", "v1", "v1", "v2", "v3"]), Rule("fixed", 0.0), level="video")
    assert report.rows["test"] == 3
    assert report.at_threshold["BPCER"].value == 0.5


def test_frames_that_disagree_are_no_video() -> None:
    same: Row = ("anna", "print", "test", 1.0)
    for other, column in (
        (("ben", "print", "test", 1.0), "subject"),
        (("anna", "", "test", 1.0), "label"),
        (("anna", "mask", "test", 1.0), "pai"),
        (("anna", "print", "dev", 1.0), "split"),
    ):
        with pytest.raises(ScoresError, match=f"video v1 has more than one {column}: row1 and row2 differ"):
            by_video(table([same, same, other], ["v0", "v1", "v1"]))
    with pytest.raises(ScoresError, match=r"need a column video .* --level frame"):
        evaluate(table(TABLE), Rule("dev-eer"), level="video")


def test_runs_are_averaged_where_all_have_a_figure() -> None:
    moved = ([(w, p, s, x + by * (s == "test")) for w, p, s, x in TABLE] for by in (0, 1, 100))
    reports = [evaluate(table(rows), Rule("dev-eer")) for rows in moved]
    means = means_over_runs(reports)
    values = [report.at_threshold["ACER"].value or 0.0 for report in reports]
    assert means["ACER"].mean == pytest.approx(sum(values) / 3)
    assert means["ACER"].std == pytest.approx(np.std(values, ddof=1))
    assert "TPR@FPR=0.01" not in means


def test_rows_are_taken_with_all_their_columns() -> None:
    some = table(TABLE, [f"v{n}" for n in range(len(TABLE))]).take(np.array([19, 8]))
    assert some.id.tolist() == ["row19", "row8"]
    assert some.score.tolist() == [4.0, 0.0]
    assert some.bona_fide.tolist() == [False, True]
    columns = (some.subject, some.pai, some.split)
    assert [[column[n] for column in columns] for n in range(2)] == [["ben", "print", "test"], ["ben", "", "test"]]
    assert some.video is not None
    assert (some.video[0], some.video[1]) == ("v19", "v8")


def test_rejected_nonresponses_lie_below_every_threshold() -> None:
    scores = sorted_presentations(with_rule(table(TABLE[8:]), "reject"))
    assert count_errors(scores, float(scores.cuts[0])).rejected == 1
    assert scores.cuts[0] == -4.0
    same = replace(table(TABLE[8:]), score=np.where(table(TABLE[8:]).silent, -1e9, table(TABLE[8:]).score))
    for limit in (0.2, 0.5):
        low: Presentations = sorted_presentations(same)
        assert bpcer_threshold(scores, limit) == bpcer_threshold(low, limit)
