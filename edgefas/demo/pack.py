"""Pack the shipped demo bundle from the files of `make demo-model`, with the policy as its defaults are today.

    python -m edgefas.demo.pack [--work runs/demo-model]

`make demo-model` does this at its end; alone it takes seconds, and is what a change of the policy's defaults needs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import edgefas.benchmarks
import edgefas.demo
from edgefas.cli.console import results
from edgefas.cli.guard import run_script
from edgefas.contracts import Policy
from edgefas.deploy.bundle import Manifest, write_bundle
from edgefas.deploy.pack import network_members
from edgefas.engines.runtime import load_engine
from edgefas.errors import EdgefasError
from edgefas.files import write_atomically
from edgefas.live.model import DEMO_BUNDLE
from edgefas.training.recipe import load_recipe

RECIPE = "dah-fas-lite-sim"
NAME = "dah-fas-lite-demo"
RELEASE = 1
TRAINED_ON = "simulated data only (edgefas simulator): a demonstration, not a protection"
WARNING = "this model was trained on simulated data only: a demonstration, it protects nothing"
WORK = Path("runs/demo-model")
HERE = Path(edgefas.demo.__file__).parent
FIGURES = Path(edgefas.benchmarks.__file__).parent / "results" / "demo_model.json"
CARD = HERE / "MODEL_CARD.md"
INT8, GOLDEN = "int8", "golden.npz"


def main(work: Annotated[Path, typer.Option(help="What `make demo-model` left.")] = WORK) -> None:
    """Pack the shipped demo bundle again."""
    pack(work)
    results.print(f"{HERE / DEMO_BUNDLE}: packed; next: make demo", highlight=False)


def pack(work: Path) -> None:
    """Write the bundle and its pin.

    Args:
        work: holds the INT8 network and the golden vectors; figures and model card are those of the repository.

    Raises:
        EdgefasError: something is missing there.
    """
    if not (work / GOLDEN).is_file():
        raise EdgefasError(f"{work / GOLDEN} is missing; make it with: make demo-model")
    measured = json.loads(FIGURES.read_text())["measured"]
    with load_engine(work / INT8) as engine:
        spec = engine.spec
    members = network_members(work / INT8, tensorrt=False)
    members["policy.json"] = Policy(threshold=round(measured["threshold"], 3)).to_json(indent=1).encode()
    members["golden.npz"] = (work / GOLDEN).read_bytes()
    members["model_card.md"] = CARD.read_bytes()
    test = measured["test"]
    manifest = Manifest(
        name=NAME,
        model=load_recipe(RECIPE).model,
        release=RELEASE,
        input_spec=spec,
        trained_on=TRAINED_ON,
        warning=WARNING,
        metrics={"simulated_test_bpcer": test["bpcer"], "simulated_test_max_apcer": max(test["apcer"].values())},
        members={},
    )
    digest = write_bundle(HERE / DEMO_BUNDLE, manifest, members)
    write_atomically(HERE / "pinned.json", json.dumps({DEMO_BUNDLE: digest}, indent=1).encode() + b"\n")


if __name__ == "__main__":
    run_script(main)
