"""Coverage sees the linked folders: with `source = edgefas` they would vanish from its reports unnoticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_coverage_lists_each_folder(root: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "COVERAGE_FILE": str(tmp_path / "data")}
    coverage = [sys.executable, "-m", "coverage"]
    program = "import edgefas.sensors.frame, edgefas.engines.runtime.engine, edgefas.calibration, edgefas.benchmarks"
    script = tmp_path / "program.py"
    script.write_text(program)
    subprocess.run([*coverage, "run", script], cwd=root, env=environment, check=True)
    report = tmp_path / "report.json"
    subprocess.run([*coverage, "json", "-q", "-o", report], cwd=root, env=environment, check=True)
    files = json.loads(report.read_text())["files"]
    executed = {name.split("/")[0] for name, file in files.items() if file["summary"]["covered_lines"] > 0}
    assert {"edgefas", "calibration", "engines", "sensors", "benchmarks"} <= executed
    assert "sensors/frame.py" in files
    assert not any(name.startswith(("tests/", "edgefas/sensors/")) for name in files)
