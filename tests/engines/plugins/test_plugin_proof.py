"""The committed proof of the TensorRT plugins, and the programs that make it."""

from __future__ import annotations

import configparser
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgefas.engines.plugins.build import PluginBuildError
from edgefas.engines.plugins.proof.planted import BUGS, plant
from edgefas.engines.plugins.proof.result import PLUGINS, RESULT, Failure, source_hashes
from edgefas.engines.plugins.proof.run import read_report
from edgefas.engines.plugins.proof.workshop import read_headers
from edgefas.errors import CheckFailed, UsageError

ROOT = Path(__file__).resolve().parents[3]
STEPS_OF_EACH_PLUGIN = (
    "getCreator",
    "getFieldNames",
    "createPlugin(kBUILD)",
    "createPlugin refuses bad fields by name",
    "getCapabilityInterface",
    "getOutputDataTypes",
    "supportsFormatCombination",
    "getOutputShapes, configurePlugin, onShapeChange",
    "wrong shapes are refused by name",
    "clone and attachToContext",
    "getFieldsToSerialize, createPlugin(kRUNTIME)",
    "getTimingCacheID",
    "enqueue",
)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return json.loads((ROOT / RESULT).read_text(encoding="utf-8"))


def test_the_proof_is_of_these_sources(result: dict[str, Any]) -> None:
    tree = source_hashes()
    changed = {name for name in tree | result["sources"] if tree.get(name) != result["sources"].get(name)}
    assert not changed, f"{sorted(changed)} changed after {RESULT}; make it again: make plugin-proof (see make help)"


def test_the_proof_is_whole(result: dict[str, Any]) -> None:
    done = {(run["processor"], run["headers"], run["runtime"].split(".")[0]) for run in result["runs"]}
    wanted = {
        (processor, headers, major)
        for processor in ("x86_64", "aarch64")
        for headers in result["headers"]
        for major in ("10", "11")
    }
    assert done == wanted
    assert {headers.split(".")[0] for headers in result["headers"]} == {"10", "11"}
    assert any(headers.startswith("10.3.") for headers in result["headers"])
    for run in result["runs"]:
        assert run["failures"] == []
        steps = {step for step, held in run["steps"].items() if held}
        assert steps == set(run["steps"])
        assert steps >= {"symbols", "loadLibrary", "setLoggerFinder", "deregisterLibrary"}
        assert steps >= {
            f"{plugin} {step}" for plugin in ("EdgefasBTE", "EdgefasDCNv2") for step in STEPS_OF_EACH_PLUGIN
        }


def test_every_planted_bug_was_found_where_it_must_be(result: dict[str, Any]) -> None:
    found = {caught["bug"]: caught["failure"] for caught in result["planted"]}
    assert found.keys() == {bug.what for bug in BUGS}
    for bug in BUGS:
        assert bug.step in found[bug.what].values()


def test_a_changed_source_changes_its_hash(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(PLUGINS, tmp_path / "plugins"))
    before = source_hashes(copy)
    assert before == source_hashes()
    for name in ("kernels/launch.cuh", "tensorrt/dcnv2_plugin.cpp", "proof/subjects.cpp"):
        (copy / name).write_text((copy / name).read_text() + "\n")
        after = source_hashes(copy)
        assert {one for one in after if after[one] != before[one]} == {name}
        before = after
    (copy / "tensorrt" / "another.cpp").touch()
    assert source_hashes(copy).keys() - before.keys() == {"tensorrt/another.cpp"}


def test_what_boards_compile_is_package_data() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = [pattern.strip() for pattern in config["options.package_data"]["*"].split(",")]
    names = [name for name in source_hashes() if not name.endswith(".py")]
    assert [name for name in names if not any(Path("x", name).match(pattern) for pattern in patterns)] == []


def test_every_bug_can_still_be_planted(tmp_path: Path) -> None:
    for bug in BUGS:
        copy = tmp_path / bug.file
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(PLUGINS / bug.file, copy)
        plant(bug, tmp_path)
        assert bug.after in copy.read_text()
    with pytest.raises(CheckFailed, match="0 times"):
        plant(BUGS[-1], tmp_path)


def test_a_crash_is_a_failure_of_the_step_it_happened_in() -> None:
    output = "step\tloadLibrary\nok\ta handle\nok\t2 creators\nstep\tenqueue\nfailed\tno device\n"
    steps, failures = read_report(output, "ended with -11: ")
    assert steps == {"loadLibrary": 2, "enqueue": 0}
    assert failures == [Failure("enqueue", "no device"), Failure("enqueue", "ended with -11: ")]
    assert read_report("", "")[1] == [Failure("start", "the driver said nothing")]


def test_the_runner_says_which_headers_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TENSORRT_INCLUDE_DIR="):
        read_headers([])
    with pytest.raises(PluginBuildError, match=r"no NvInfer\.h"):
        read_headers([tmp_path])
    for name, patch in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "NvInfer.h").touch()
        parts = {"MAJOR": 10, "MINOR": 9 if name == "c" else 16, "PATCH": patch, "BUILD": 72}
        lines = [f"#define NV_TENSORRT_{part} {number}" for part, number in parts.items()]
        (tmp_path / name / "NvInferVersion.h").write_text("\n".join(lines))
    assert [one.version for one in read_headers([tmp_path / "a", tmp_path / "c"])] == ["10.9.1.72", "10.16.0.72"]
    with pytest.raises(UsageError, match="same version"):
        read_headers([tmp_path / "a", tmp_path / "b"])


def test_the_command_ends_with_an_error_not_a_traceback() -> None:
    command = [sys.executable, "-m", "edgefas.engines.plugins.proof"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no folder of TensorRT's headers")
