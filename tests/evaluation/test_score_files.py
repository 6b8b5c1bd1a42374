"""Files of scores: what is written is read back, and what is wrong is told with its line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.evaluation import score_files
from edgefas.evaluation.score_files import read_scores, write_scores
from edgefas.evaluation.scores import Scores, ScoresError, Words
from edgefas.files import FileWriteError

HEADER = "id,subject,label,pai,split,score\n"
GOOD = ["a,anna,bona_fide,,test,1.5", "b,ben,attack,print,dev,-2", "c,,attack,mask,train,"]

name = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=6).filter(
    lambda word: word.isprintable() and word == word.strip() and word not in ("bona_fide", "attack")
)
Row = tuple[str, str | None, str, float | None, str]
row = st.tuples(
    st.one_of(st.just(""), name),
    st.one_of(st.none(), name),
    st.sampled_from(["train", "dev", "test"]),
    st.one_of(st.none(), st.floats(-3e38, 3e38)),
    name,
)


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ScoresError) as error:
        read_scores(path)
    assert str(path) in str(error.value)
    return str(error.value).replace(str(path), "FILE")


def test_columns_by_hand(tmp_path: Path) -> None:
    scores = read_scores(write(tmp_path / "s.csv", *GOOD))
    assert scores.id.tolist() == ["a", "b", "c"]
    assert [scores.subject[row] for row in range(3)] == ["anna", "ben", ""]
    assert scores.bona_fide.tolist() == [True, False, False]
    assert [scores.pai[row] for row in range(3)] == ["", "print", "mask"]
    assert [scores.split[row] for row in range(3)] == ["test", "dev", "train"]
    assert scores.score.tolist()[:2] == [1.5, -2.0]
    assert scores.silent.tolist() == [False, False, True]
    assert scores.video is None


@given(st.lists(row, min_size=1, max_size=12), st.booleans(), st.integers(1, 5))
def test_what_is_written_is_read_back(rows: list[Row], video: bool, chunk: int) -> None:
    scores = Scores(
        np.array([f'id "{n}", {r[4]}' for n, r in enumerate(rows)], dtype=object),
        Words.of(r[0] for r in rows),
        np.array([r[1] is None for r in rows]),
        Words.of(r[1] or "" for r in rows),
        Words.of(r[2] for r in rows),
        np.array([np.nan if r[3] is None else r[3] for r in rows]),
        Words.of(r[4] for r in rows) if video else None,
    )
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_files, "CHUNK_ROWS", chunk)
        write_scores(Path(folder) / "s.csv", scores)
        again = read_scores(Path(folder) / "s.csv")
        assert os.listdir(folder) == ["s.csv"]
    assert again.id.tolist() == scores.id.tolist()
    assert again.bona_fide.tolist() == scores.bona_fide.tolist()
    np.testing.assert_array_equal(again.score, scores.score)
    for one, other in (
        (scores.subject, again.subject), (scores.pai, again.pai), (scores.split, again.split),
        *([(scores.video, again.video)] if scores.video and again.video else []),
    ):  # fmt: skip
        assert [one[n] for n in range(len(rows))] == [other[n] for n in range(len(rows))]
    assert (again.video is None) == (not video)


def test_order_further_columns_crlf_and_bom_do_not_matter(tmp_path: Path) -> None:
    text = "\ufeffscore,camera,split,pai,label,subject,id\r\n1.5,D435,test,,bona_fide,anna,a\r\n"
    (tmp_path / "s.csv").write_bytes(text.encode())
    scores = read_scores(tmp_path / "s.csv")
    assert (scores.id[0], scores.subject[0], scores.score[0]) == ("a", "anna", 1.5)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("d,anna,bona_fide,,test", "line 5: 5 fields; the header has 6"),
        ("d,anna,bona_fide,,test,1,2", "line 5: 7 fields; the header has 6"),
        ("", "line 5: 0 fields; the header has 6"),
        ("d,anna,live,,test,1", "line 5: label 'live'; expected is bona_fide or attack"),
        ("d,anna,1,,test,1", "line 5: label '1'; expected is bona_fide or attack"),
        ("d,anna,bona_fide,,eval,1", "line 5: split 'eval'; expected is train, dev, test"),
        ("d,anna,bona_fide,print,test,1", "line 5: label bona_fide with pai 'print'; an attack has a pai"),
        ("d,anna,attack,,test,1", "line 5: label attack with pai ''; an attack has a pai"),
        ("d,anna,attack,bona_fide,test,1", "line 5: pai 'bona_fide'; expected is a word"),
        ("d,anna,attack, print,test,1", "line 5: pai ' print'; expected is a word"),
        ("d,an\x1bna,attack,print,test,1", r"line 5: subject 'an\x1bna'; expected is a word"),
        (",anna,attack,print,test,1", "line 5: id ''; expected is a word"),
        ("a,anna,attack,print,test,1", "line 5: id 'a' again; line 2 has it"),
        ("d,anna,attack,print,test,nan", "line 5: score 'nan'; expected is a finite number"),
        ("d,anna,attack,print,test,inf", "line 5: score 'inf'; expected is a finite number"),
        ("d,anna,attack,print,test,-Infinity", "line 5: score '-Infinity'"),
        ("d,anna,attack,print,test,1e999", "line 5: score '1e999'"),
        ("d,anna,attack,print,test,4e38", "line 5: score '4e38'; expected is a finite number of at most 3.4e+38"),
        ("d,anna,attack,print,test,1_0", "line 5: score '1_0'"),
        ("d,anna,attack,print,test, 1", "line 5: score ' 1'"),
        ("d,anna,attack,print,test,١", "line 5: score '١'"),
        ("d,anna,attack,print,test,1e", "line 5: score '1e'"),
        ("d,anna,attack,print,test,.", "line 5: score '.'"),
        ('d,anna,attack,"print\nreplay",test,1', "line 5: a field that runs over its line"),
        ('d,anna,attack,"print"x,test,1', "line 5: no CSV"),
        ('d,anna,attack,"print,test,1', "line 5: no CSV"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_bad_lines_are_told(line: str, words: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "CHUNK_ROWS", chunk)
    assert f"FILE, {words}" in refused(write(tmp_path / "s.csv", *GOOD, line, "e,eve,bona_fide,,test,0"))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "FILE is empty; expected is a CSV file with the columns id,subject,label,pai,split,score"),
        (HEADER, "FILE has a header and no rows"),
        ("id,subject,label,pai,split,scores\n", "line 1: no column 'score'; is 'scores' meant?"),
        ("id,subject,label,pai,split\n", "line 1: no column 'score'; expected is a CSV file"),
        ("id,id,subject,label,pai,split,score\n", "line 1: two columns 'id'"),
        ("id,subject,label,pai,split,score,video,video\n", "line 1: two columns 'video'"),
        ("\n", "line 1: no column 'id'"),
        ('id,"subject,label,pai,split,score\n', "line 1: no CSV"),
    ],
)
def test_bad_headers_are_told(header: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(header)
    assert words in refused(tmp_path / "s.csv")


def test_what_is_no_file_of_text_is_told(tmp_path: Path) -> None:
    assert "FILE is not there, or no file" in refused(tmp_path / "none.csv")
    assert "FILE is not there, or no file" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "FILE is not there, or no file" in refused(tmp_path / "pipe")
    (tmp_path / "s.csv").write_bytes(HEADER.encode() + b"a,anna,bona_fide,,test,1\nb,\xff\xfe,bona_fide,,test,1\n")
    assert "FILE, line 3: bytes that are not UTF-8" in refused(tmp_path / "s.csv")
    (tmp_path / "s.csv").write_text(f'{HEADER}a,"{"x" * 200_000},bona_fide,,test,1\n')
    assert "FILE, line 2: no CSV (field larger than field limit" in refused(tmp_path / "s.csv")


def test_messages_stay_short(tmp_path: Path) -> None:
    assert len(refused(write(tmp_path / "s.csv", f"a,anna,{'live' * 9999},,test,1"))) < 700


def test_ids_with_equal_hashes_are_not_taken_for_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "hash", lambda word: 0, raising=False)
    assert len(read_scores(write(tmp_path / "s.csv", *GOOD))) == 3
    assert "id 'b' again; line 3" in refused(write(tmp_path / "s.csv", *GOOD, "b,x,bona_fide,,test,0"))


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    scores = read_scores(write(tmp_path / "s.csv", *GOOD))
    with pytest.raises(FileWriteError, match="cannot write"):
        write_scores(tmp_path / "none" / "s.csv", scores)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = read_scores(write(tmp_path / "s.csv", *GOOD))
    before = (tmp_path / "s.csv").read_bytes()

    def broken(column: Words) -> Iterator[str]:
        yield "anna"
        raise KeyboardInterrupt

    monkeypatch.setattr(score_files, "_spelt", broken)
    with pytest.raises(KeyboardInterrupt):
        write_scores(tmp_path / "s.csv", scores)
    assert os.listdir(tmp_path) == ["s.csv"]
    assert (tmp_path / "s.csv").read_bytes() == before


@given(st.binary(max_size=300) | st.text(st.sampled_from('abc,"\n\r\0é1.e-'), max_size=120).map(str.encode))
def test_any_bytes_end_in_scores_or_one_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.csv"
        for content in (data, HEADER.encode() + data, HEADER.encode() + GOOD[0].encode() + b"\n" + data):
            path.write_bytes(content)
            try:
                assert len(read_scores(path)) >= 1
            except ScoresError as found:
                error = str(found)
            else:
                continue
            assert str(path) in error
