"""What runs on the board imports without the packages of the training machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# Run in its own process; refuses the packages a board does not have, then imports every module of the board path.
PROGRAM = """
import importlib, json, pkgutil, sys

refused = {"torch", "onnx", "onnxscript", "onnxsim", "sklearn", "matplotlib", "pandas", "lightning_fabric"}
refused |= {"starlette", "uvicorn"}  # nothing but the page, when it is opened

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ImportError(f"{name} is not on the board")

sys.meta_path.insert(0, Refuse())
seen = []
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    seen.append(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        importlib.import_module(found.name)
        seen.append(found.name)
print(json.dumps(seen))
"""

BOARD_PATH = [
    "edgefas.contracts",
    "edgefas.preprocess",
    "edgefas.faces",
    "edgefas.sensors",
    "edgefas.doctor",
    "edgefas.engines.boards",
    "edgefas.engines.build",
    "edgefas.engines.runtime",
    "edgefas.evaluation",
    "edgefas.live",
    "edgefas.deploy",
    "edgefas.cli",
    "edgefas.demo.run",
]


def import_all(names: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, *names], cwd=root, capture_output=True, text=True)


def test_board_path_imports_without_training_packages(root: Path) -> None:
    done = import_all(BOARD_PATH, root)
    assert done.returncode == 0, done.stderr
    assert {"edgefas.sensors.frame", "edgefas.engines.runtime.engine", "edgefas.cli.main"} <= set(
        json.loads(done.stdout)
    )


def test_the_finder_refuses(root: Path) -> None:
    done = import_all(["torch"], root)
    assert done.returncode == 1
    assert "torch is not on the board" in done.stderr
