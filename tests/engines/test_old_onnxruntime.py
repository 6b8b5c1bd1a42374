"""The shipped network under ONNX Runtime 1.23.2, the last for Python 3.10: no DeformConv there (needs PyPI)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

OLD = "1.23.2"
MAX_DIFFERENCE = 0.1
"""In log-odds: GridSample adds in another order than DeformConv, and a rounding may then fall one INT8 step off."""
SCORE_GOLDEN = """
import io, json
from importlib import resources
import numpy as np, onnxruntime
from edgefas.deploy.bundle import open_bundle
from edgefas.live.model import DEMO_BUNDLE
bundle = open_bundle(resources.files("edgefas.demo") / DEMO_BUNDLE)
golden = np.load(io.BytesIO(bundle.members["golden.npz"]))
with bundle.engine() as engine:
    inputs = {name: golden[name].astype(np.float32) for name in golden.files if name != "score"}
    print(json.dumps({"version": onnxruntime.__version__, "threshold": bundle.policy.threshold,
                      "golden": golden["score"].tolist(), "score": engine.score(inputs).tolist()}))
"""


def scores(extra_path: Path | None) -> dict[str, object]:
    """The golden vectors' scores in a new process, with another onnxruntime before the installed one."""
    environment = {**os.environ, "PYTHONPATH": str(extra_path or "")}
    command = [sys.executable, "-c", SCORE_GOLDEN]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_golden_vectors_hold_here() -> None:
    found = scores(None)
    assert found["version"] == onnxruntime.__version__
    np.testing.assert_allclose(found["score"], found["golden"], atol=MAX_DIFFERENCE)


@pytest.mark.slow
def test_golden_vectors_hold_without_deform_conv(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", str(tmp_path / "old")]
    subprocess.run([*pip, f"onnxruntime=={OLD}"], check=True)
    found = scores(tmp_path / "old")
    assert found["version"] == OLD
    np.testing.assert_allclose(found["score"], found["golden"], atol=MAX_DIFFERENCE)
    assert [s >= found["threshold"] for s in found["score"]] == [s >= found["threshold"] for s in found["golden"]]
