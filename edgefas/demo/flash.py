"""`make demo-flash`: keys, a bundle, two boards, a release that is good and two that are not.

The boards are OpenSSH servers on loopback, each with a folder and a service that runs `edgefas live` on the simulated
camera. Everything goes through the command line, as an operator would.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from rich.table import Table

from edgefas.cli.console import errors, results
from edgefas.cli.guard import run_script
from edgefas.demo.loopback import PACKAGE_PARENT, LoopbackBoard, loopback_boards
from edgefas.deploy.bundle import HEADER_BYTES, Manifest, read_archive, write_bundle
from edgefas.deploy.trust import FOLDER_VARIABLE
from edgefas.errors import EdgefasError
from edgefas.live.model import DEMO_BUNDLE

BOARDS = ["door-1", "door-2"]
CAMERA = "simulated:subject=300,seed=3"
WINDOW_S, DEADLINE_S = 6.0, 60.0
STORY = (
    ("release 1: the demonstration model", 0, "installed"),
    ("release 2: golden vectors that its network does not give", 1, "failed"),
    ("release 3: a network that fails on what a camera sees", 4, "rolled back"),
    ("release 1 again: nothing to do", 0, "already"),
)


class DemoFailed(EdgefasError):
    """It did not go as it must."""


def main(folder: Annotated[Path | None, typer.Option(help="Keep everything here.")] = None) -> None:
    """Flash two boards on this machine."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        play(folder.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="edgefas-flash-") as name:
        play(Path(name))


def play(folder: Path) -> None:
    """The whole story; ends with a table.

    Raises:
        DemoFailed: a step ended otherwise than it must.
    """
    os.environ[FOLDER_VARIABLE] = str(folder / "trust")
    edgefas("keys", "new", folder / "office")
    bundles = make_bundles(folder)
    for bundle in bundles:
        edgefas("bundle", "sign", bundle, "--key", folder / "office")
    edgefas("keys", "trust", f"{folder / 'office'}.pub", "--folder", folder / "trust")
    table = Table("what", "board", "status", "in service", "s", "why", box=None, pad_edge=False)
    with loopback_boards(folder, BOARDS) as boards:
        for board in boards.values():
            edgefas("keys", "trust", f"{folder / 'office'}.pub", "--folder", board.trust)
        inventory = folder / "fleet.yaml"
        hosts = {name: json.loads(board.board.to_json()) for name, board in boards.items()}
        inventory.write_text(yaml.safe_dump({"boards": hosts}))
        with services(boards):
            for (what, code, status), bundle in zip(STORY, [*bundles, bundles[0]], strict=True):
                errors.print(f"\n{what}", style="bold")
                words = ("flash", "--inventory", inventory, "--bundle", bundle, "--canary", 0, "--json")
                found = json.loads(edgefas(*words, code=code))["boards"]
                _add_rows(table, what, found)
                if [board["status"] for board in found] != [status] * len(BOARDS):
                    ended = "; ".join(f"{board['name']}: {board['status']}, {board['detail']}" for board in found)
                    raise DemoFailed(f"{what}: must be {status} on each board, but {ended}")
            edgefas("fleet", "status", "--inventory", inventory, "--csv", folder / "fleet.csv")
    results.print(table)


def make_bundles(folder: Path) -> list[Path]:
    """Three unsigned releases of the demonstration: as it is, with wrong golden scores, with a broken network."""
    data = resources.files("edgefas.demo").joinpath(DEMO_BUNDLE).read_bytes()
    manifest, members = read_archive(data[HEADER_BYTES:])
    with np.load(io.BytesIO(members["golden.npz"])) as arrays:
        golden = {name: arrays[name] for name in arrays.files}
    wrong = io.BytesIO()
    np.savez_compressed(wrong, allow_pickle=False, **{**golden, "score": golden["score"] + 5})
    broken = _fails_on_other_inputs(members["ort/model.onnx"], golden["rgb"])
    changes: list[dict[str, bytes]] = [{}, {"golden.npz": wrong.getvalue()}, {"ort/model.onnx": broken}]
    paths = []
    for number, change in enumerate(changes, 1):
        paths.append(folder / f"release-{number}.efas")
        write_bundle(paths[-1], _released(manifest, number), {**members, **change})
    return paths


def _released(manifest: Manifest, number: int) -> Manifest:
    return manifest.model_copy(update={"release": number})


def _fails_on_other_inputs(network: bytes, golden_rgb: Any) -> bytes:
    """The network, with a lookup behind it that is out of range unless colour is one of the golden pictures.

    No check on the board finds that: only the trial does.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(network)
    means = golden_rgb.astype(np.float32).mean((1, 2, 3))
    constants = {
        "trap_axes": np.array([1, 2, 3]), "trap_means": means[None], "trap_near": np.float32(1e-3),
        "trap_all": np.array([0]), "trap_far": np.int64(1000), "trap_zero": np.zeros(1, np.float32),
    }  # fmt: skip
    score = next(output for output in model.graph.output if output.name == "score")
    for node in model.graph.node:
        node.output[:] = ["trap_score" if name == "score" else name for name in node.output]
    node = helper.make_node
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    model.graph.node.extend(
        [
            node("ReduceMean", ["rgb", "trap_axes"], ["trap_mean"], keepdims=0),
            node("Unsqueeze", ["trap_mean", "trap_one"], ["trap_column"]),
            node("Sub", ["trap_column", "trap_means"], ["trap_off"]),
            node("Abs", ["trap_off"], ["trap_distance"]),
            node("ReduceMin", ["trap_distance", "trap_one"], ["trap_nearest"], keepdims=0),
            node("Greater", ["trap_nearest", "trap_near"], ["trap_is_far"]),
            node("Cast", ["trap_is_far"], ["trap_flag"], to=TensorProto.INT64),
            node("Mul", ["trap_flag", "trap_far"], ["trap_index"]),
            node("Gather", ["trap_zero", "trap_index"], ["trap_nothing"]),
            node("Add", ["trap_score", "trap_nothing"], [score.name]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "trap_one"))
    return model.SerializeToString()


@contextmanager
def services(boards: dict[str, LoopbackBoard]) -> Iterator[None]:
    """`edgefas slot serve` of each board."""
    running = []
    try:
        for board in boards.values():
            command = [board.board.edgefas, "slot", "serve", "--root", board.board.root]
            command += ["--window-s", str(WINDOW_S), "--deadline-s", str(DEADLINE_S), "--", "--camera", CAMERA]
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            while not board.slots.is_served():
                if running[-1].poll() is not None:
                    raise DemoFailed("the service of a board did not start")
                time.sleep(0.1)
        yield
    finally:
        for service in running:
            service.terminate()
        for service in running:
            service.wait(30)


def edgefas(*words: object, code: int = 0) -> str:
    """Run a command as a user would, showing it; gives its stdout.

    Raises:
        DemoFailed: it ended with another code.
    """
    texts: Sequence[str] = [str(word) for word in words]
    errors.print(f"$ edgefas {' '.join(texts)}", style="dim", highlight=False, markup=False, soft_wrap=True)
    env = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)}
    done = subprocess.run([sys.executable, "-m", "edgefas", *texts], stdout=subprocess.PIPE, text=True, env=env)
    if done.returncode != code:
        raise DemoFailed(f"edgefas {texts[0]} ended with {done.returncode}, must be {code}")
    if "--json" not in texts:
        errors.print(done.stdout.rstrip(), highlight=False, markup=False, soft_wrap=True)
    return done.stdout


def _add_rows(table: Table, what: str, found: list[dict[str, Any]]) -> None:
    for number, board in enumerate(found):
        active = board["state"]["active"] if board["state"] else None
        seconds = f"{sum(board['seconds'].values()):.0f}"
        release = f"release {active['number']}" if active else "-"
        table.add_row(what if number == 0 else "", board["name"], board["status"], release, seconds, board["detail"])


if __name__ == "__main__":
    run_script(main)
