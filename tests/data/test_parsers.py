"""Parsers under arbitrary text: an answer that holds together, or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgefas.contracts import Label
from edgefas.data import DataError, Split
from edgefas.data.casia_surf import CHALLENGE, PAPER
from edgefas.data.casia_surf import facts_of as surf_facts
from edgefas.data.cefa import facts_of as cefa_facts
from edgefas.data.celeba_spoof import SPECIES
from edgefas.data.celeba_spoof import facts_of as celeba_facts
from edgefas.data.lines import MAX_LINE, clean, dev_subjects, lines_of
from edgefas.data.lists import read_list
from edgefas.data.oulu_npu import video_of
from edgefas.data.pictures import picture_size
from edgefas.data.reading import spread
from edgefas.data.sample import Facts
from edgefas.data.table import Rows
from edgefas.data.wmca import keep, pai_of

T = TypeVar("T")


def tried(call: Callable[[], T], refused_by: type[Exception] = ValueError) -> tuple[T | None, str]:
    """(what it gives, "") or (None, the refusal's words)."""
    try:
        return call(), ""
    except refused_by as error:
        return None, str(error)


_LEFT_OUT = ["Cs", "Cc", "Zs", "Zl", "Zp"]
names = st.text(
    st.characters(blacklist_characters="/", blacklist_categories=_LEFT_OUT),  # type: ignore[arg-type]
    min_size=1,
    max_size=12,
).filter(lambda name: name not in (".", ".."))


@given(st.lists(st.tuples(names, names, st.booleans()), min_size=1, max_size=8, unique_by=lambda row: row[:2]))
def test_a_written_list_is_read_back(rows: list[tuple[str, str, bool]]) -> None:
    """Any names, spaces in them too: what a list says is what the table holds."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        lines = [f"a {subject}/color/{name} x.jpg {int(attack)}" for subject, name, attack in rows]
        (root / "list.txt").write_text("\n".join(lines))
        made = Rows("rgb")
        form = replace(PAPER, anonymous=True)
        read_list(root / "list.txt", form, lambda path: Facts(subject=path.split("/")[0]), made, Split.DEV, root)
        table = made.table("x", "y", root)
        assert [(s.subject, s.paths["rgb"], s.label is Label.ATTACK) for s in table] == [
            (f"a {subject}", root / f"a {subject}/color/{name} x.jpg", attack) for subject, name, attack in rows
        ]


@given(st.binary(max_size=300))
def test_any_bytes_are_lines_or_refused(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_bytes(data)
        found, refusal = tried(lambda: list(lines_of(path)), DataError)
        if found is None:
            assert "list.txt, line " in refusal
            return
        assert all(text and text == text.strip() and len(text) <= MAX_LINE for _, text in found)
        assert [number for number, _ in found] == sorted({number for number, _ in found})


@given(st.text(max_size=200))
def test_any_line_is_a_sample_or_refused(text: str) -> None:
    for form in (CHALLENGE, PAPER):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "list.txt"
            path.write_bytes(text.encode(errors="surrogatepass"))
            rows = Rows(*form.columns)
            _, refusal = tried(partial(read_list, path, form, surf_facts, rows, Split.TRAIN, Path(folder)), DataError)
            assert "list.txt" in refusal or len(rows)


@given(st.text("/.ab é\\", max_size=20))
def test_a_cleaned_path_stays_inside(path: str) -> None:
    try:
        found = clean(path)
    except ValueError:
        assert path.startswith("/") or ".." in path.split("/")
        return
    assert clean(found) == found
    assert not {"", ".", ".."} & set(found.split("/")) or not found
    assert Path("/x", path).resolve() == Path("/x", found).resolve()


@given(st.text(max_size=40) | st.from_regex(r"[1-4/AFCE_0-9-]{1,30}"))
def test_any_clip_name_is_facts_or_refused(text: str) -> None:
    for facts_of in (cefa_facts, surf_facts):
        found, refusal = tried(partial(facts_of, text))
        assert isinstance(found, Facts) != bool(refusal)


@given(st.text(max_size=30) | st.from_regex(r"[+-]?[0-9]{1,2},[0-9]_[0-9]_[0-9]{2}_[0-9]"))
def test_any_oulu_line_is_a_video_or_refused(text: str) -> None:
    found, refusal = tried(lambda: video_of(text))
    if found is None:
        assert refusal
        return
    name, label, facts = found
    assert (label is Label.BONA_FIDE) == name.endswith("_1") == (facts.pai == "bona_fide")


@given(st.integers(0, 9), st.integers(0, 99))
def test_every_wmca_number_is_one_species_or_refused(kind: int, number: int) -> None:
    try:
        pai = pai_of(str(kind), f"{number:02}")
    except ValueError:
        return
    assert (pai == "bona_fide") == (kind == 0)


@given(
    st.sampled_from(["bona_fide", "prints", "replay", "wig"]),
    st.sampled_from(list(Split)),
    st.sampled_from([None, "prints", "replay"]),
)
def test_leave_one_out_never_trains_on_what_it_tests(pai: str, split: Split, left_out: str | None) -> None:
    kept = keep(pai, split, left_out)
    if pai == "bona_fide" or left_out is None:
        assert kept
    else:
        assert kept == ((split is Split.TEST) == (pai == left_out))


@given(
    st.sampled_from(["live", "spoof", "x", ""]),
    st.lists(st.sampled_from(["0", "1", "9", "11", "", " 1", "x"]), min_size=4, max_size=4),
)
def test_celeba_labels_agree_or_are_refused(part: str, last: list[str]) -> None:
    facts, refusal = tried(lambda: celeba_facts(f"Data/train/7/{part}", last))
    if facts is None:
        assert refusal
        return
    assert facts.subject == "7"
    assert (facts.pai == SPECIES[0]) == (part == "live")


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\xff\xd8\xff" + tail))
def test_any_bytes_have_a_size_or_none(data: bytes) -> None:
    size = picture_size(data)
    assert size is None or len(size) == 2


@given(st.integers(1, 300), st.integers(1, 300))
def test_frames_lie_at_equal_distances(total: int, count: int) -> None:
    found = spread(range(total), count)
    assert len(found) == min(total, count) == len(set(found))
    steps = np.diff(found)
    assert not len(steps) or steps.max() - steps.min() <= 1
    assert abs(found[0] - (total - 1 - found[-1])) <= 1


@given(st.sets(names, max_size=40))
def test_dev_subjects_do_not_depend_on_the_order(subjects: set[str]) -> None:
    ordered = sorted(subjects)
    assert dev_subjects(ordered) == dev_subjects(ordered[::-1]) == frozenset(ordered[4::5])
