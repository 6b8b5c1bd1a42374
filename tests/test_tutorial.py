"""docs/tutorial.md, typed: simulated people are recorded, a network is trained on them, judged, calibrated and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Run

SPECIES = ("bona_fide", "flat_print", "phone_replay")
SPLITS = ("train", "train", "train", "train", "dev", "dev", "dev", "dev", "test", "test")
FRAMES = 8


@pytest.mark.slow
def test_from_people_to_decisions(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def typed(line: str, expected: int = 0) -> str:
        code, out, err = run(*line.split())
        assert code == expected, f"{line}: {err}"
        return out

    lines = ["folder,split"]
    for person, split in enumerate(SPLITS):
        files = []
        for species in SPECIES:
            name = f"p{person:02}-{species}"
            label = "bona_fide" if species == "bona_fide" else f"attack --species {species}"
            camera = f"simulated:species={species},subject={person},seed={person},distance_mm=520,frames={FRAMES}"
            typed(f"record --camera {camera} --label {label} --subject p{person:02} --frames {FRAMES} {name}.db3")
            files.append(f"{name}.db3")
            lines.append(f"monday/{name},{split}")
        typed(f"replay {' '.join(files)} --to-folder captures/monday-{person}")
        lines[-3:] = [line.replace("monday/", f"monday-{person}/") for line in lines[-3:]]
    Path("captures/captures.csv").write_text("\n".join(lines) + "\n")
    typed("data check captures --dataset folder --no-decode")

    # smoothed labels keep the scores of so short a training small, and with them what INT8 makes of them
    changes = "data.root=captures epochs=3 batch_size=8 label_smoothing=0.15"
    typed(f"train dah-fas-lite-captures {changes} --workers 0 --out runs/door")
    typed("evaluate runs/door/best.safetensors --data captures --dataset folder --out judged")
    assert {"scores.csv", "run.json", "evaluation.json", "report.html"} <= {p.name for p in Path("judged").iterdir()}
    typed("export runs/door/best.safetensors -o door.onnx")
    typed("collect door.onnx -o ranges.npz --count 12 --bona-fide p00-bona_fide.db3 --attack p00-flat_print.db3")
    typed("quantize door.onnx --calibration ranges.npz -o door.int8")
    again = "evaluate door.int8 --data captures --dataset folder --out judged-int8 --against judged/scores.csv --json"
    judged = json.loads(typed(again))
    assert {flip["pai"] for flip in judged["flips"]} == set(SPECIES)
    typed("calibrate --scores judged-int8/scores.csv --model door.int8 --allow-unsigned -o policy.json")
    typed("bundle create door.int8 --policy policy.json --release 1 --trained-on simulated -o door-1.efas")
    shown = typed(
        "live --camera simulated:subject=3,distance_mm=520,frames=8 --model door-1.efas --allow-unsigned --json "
        "--headless --seconds 1"
    )
    rows = [json.loads(line) for line in shown.splitlines()]
    assert len(rows) > 10
    assert any(row["score"] is not None for row in rows)
    assert {row["trust"] for row in rows} == {"unsigned"}
