from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import edgefas.environment
from edgefas.environment import environment


def test_environment_is_json_and_names_the_processor() -> None:
    found = json.loads(json.dumps(environment(), allow_nan=False))
    assert found["cpu"]
    assert found["versions"]["numpy"] == np.__version__


def commit_at(package: Path) -> str:
    """What a copy of the module, lying in `package`, says of its commit."""
    package.mkdir(parents=True)
    shutil.copy(edgefas.environment.__file__, package)
    code = "import json, environment; print(environment.environment()['commit'])"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=package, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_commit_is_of_our_checkout_and_never_of_the_repository_a_wheel_was_installed_into(tmp_path: Path) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, *identity, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    head = ["git", "-C", tmp_path, "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    assert commit_at(tmp_path / "edgefas") == commit
    assert commit_at(tmp_path / ".venv/lib/python3/site-packages/edgefas") == "None"
