"""Own captures: exported recordings and pictures of other cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgefas.contracts import Label
from edgefas.data import Split, load, open_dataset
from tests.data import trees


def test_captures_take_what_the_recordings_tell(tmp_path: Path) -> None:
    trees.captures(tmp_path)
    table = open_dataset("folder", tmp_path)
    sample = next(s for s in table if "Fälschung" in s.id)
    assert (sample.subject, sample.session, sample.device) == ("p1", "montag früh", "012345678901")
    assert (sample.pai, sample.label) == ("flat_print", Label.ATTACK)
    pictures = load(sample)
    assert {name: (p.shape, p.dtype.name, int(p.flat[0])) for name, p in pictures.items()} == {
        "rgb": ((6, 8, 3), "uint8", 40),
        "ir_lit": ((6, 8), "uint8", 200),
        "depth": ((6, 8), "uint16", 600),
    }


def test_captures_of_other_cameras(tmp_path: Path) -> None:
    trees.put(tmp_path / "a b.png", trees.picture(7, ".png"))
    trees.put(tmp_path / "clip.avi", trees.video(".avi"))
    header = "rgb,ir,split,label,pai,subject,session,device"
    lines = [header, '"a b.png",a b.png,train,bona_fide,,s1,,', "clip.avi,,test,attack,phone_replay,s2,day 2,webcam"]
    trees.put_lines(tmp_path / "mine.csv", lines)
    first, second = open_dataset("folder", tmp_path, "mine")
    assert sorted(first.paths) == ["ir", "rgb"]
    assert load(first)["ir"].shape == (6, 8)
    assert (second.pai, second.session, second.device, second.split) == ("phone_replay", "day 2", "webcam", Split.TEST)
    assert load(second)["rgb"].shape == (48, 64, 3)


def test_an_export_of_edgefas_is_read_back(tmp_path: Path) -> None:
    """What `edgefas replay --to-folder` writes, with a frame that lacks a stream."""
    from edgefas.sensors.folder import FolderSource, write_folder
    from edgefas.sensors.simulator.episode import parse_options
    from edgefas.sensors.simulator.render import render

    frames = [render(parse_options("subject=3,seed=1"), index) for index in range(2)]
    object.__setattr__(frames[1], "depth", None)
    write_folder(tmp_path / "clip", frames)
    trees.put_lines(tmp_path / "captures.csv", ["folder,split,label", "clip,train,bona_fide"])
    samples = list(open_dataset("folder", tmp_path))
    assert ["depth" in sample.paths for sample in samples] == [True, False]
    again = list(FolderSource(tmp_path / "clip"))
    for sample, frame in zip(samples, again, strict=True):
        pictures = load(sample)
        assert frame.color is not None
        assert np.array_equal(pictures["rgb"], frame.color)
        if frame.depth is not None:
            assert np.array_equal(pictures["depth"], frame.depth)
