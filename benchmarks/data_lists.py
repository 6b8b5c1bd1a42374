"""What reading and checking long lists costs: seconds and peak memory for millions of lines.

    python -m edgefas.benchmarks.data_lists [--lines 3000000] [-o results.json]

The lists are those of CASIA-SURF's layouts: three paths a line in the challenge's, one in the paper's, 25 pictures a
clip, a tenth of the lines each for dev and test. No picture exists: `check_lists` needs none. Each kind is read in a
fresh process, whose peak memory is the kernel's figure and holds the interpreter and its libraries, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from edgefas.benchmarks.memory import high_water_mb
from edgefas.benchmarks.output import finish
from edgefas.cli.guard import run_script
from edgefas.environment import environment

KINDS = ("challenge", "paper")
CLIP_PICTURES = 25
_SPLITS = (("train", "Training", 0.8), ("val", "Val", 0.1), ("test", "Testing", 0.1))
_CLIPS = (("real_part", "real"), ("fake_part", "04_en_b"), ("fake_part", "05_enm_s"), ("fake_part", "06_enm_b"))


def write_lists(root: Path, kind: str, lines: int) -> int:
    """Write the lists of one kind; gives their bytes."""
    size = 0
    for name, top, share in _SPLITS:
        if kind == "challenge":
            file = "train_list.txt" if name == "train" else f"{name}_private_list.txt"
        else:
            file = f"CASIA_SURF@p1_image_{'dev' if name == 'val' else name}.txt"
        with (root / file).open("w") as out:
            out.writelines(_lines(kind, top, round(lines * share)))
        size += (root / file).stat().st_size
    return size


def _lines(kind: str, top: str, count: int) -> Iterator[str]:
    for number in range(count):
        clip, picture = divmod(number, CLIP_PICTURES)
        part, name = _CLIPS[clip % len(_CLIPS)]
        folder = f"{top}/{part}/CLKJ_{top[:2]}{clip // len(_CLIPS):06}/{name}.rssdk"
        file, live = f"{picture:04}.jpg", part == "real_part"
        if kind == "challenge":
            yield f"{folder}/color/{file} {folder}/depth/{file} {folder}/ir/{file} {int(live)}\n"
        else:
            yield f"{folder}/color/{file} {int(not live)}\n"


def measure(root: Path, kind: str) -> dict[str, float]:
    """Read and check the lists in `root`, in this process."""
    from edgefas.data import check_lists, open_dataset

    begin_s = time.perf_counter()
    table = open_dataset("casia-surf", root, kind)
    read_s = time.perf_counter() - begin_s
    report = check_lists(table)
    if report.problems:
        raise AssertionError(report.problems)
    return {
        "samples": len(table),
        "read_s": round(read_s, 2),
        "check_s": round(time.perf_counter() - begin_s - read_s, 2),
        "peak_rss_mb": round(high_water_mb(Path("/proc/self/status").read_text())),
    }


def main(
    lines: Annotated[int, typer.Option(min=1000, help="Of each kind of list.")] = 3_000_000,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
    only: Annotated[str | None, typer.Option(hidden=True)] = None,
    root: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure what long lists cost; prints JSON."""
    if only is not None and root is not None:  # the fresh process
        sys.stdout.write(json.dumps(measure(root, only)) + "\n")
        return
    document = {"command": "python -m edgefas.benchmarks.data_lists " + " ".join(sys.argv[1:]), **environment()}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            size = write_lists(Path(folder), kind, lines)
            command = [sys.executable, "-m", "edgefas.benchmarks.data_lists", "--only", kind, "--root", folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        document[kind] = {"lines": lines, "bytes": size, **json.loads(done.stdout)}
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
