"""Prove the TensorRT plugins in the real lean runtimes, without a GPU.

    make plugin-proof TENSORRT_INCLUDE_DIR='DIR [DIR ...]'

A DIR holds NvInfer.h of one release. The result is kept only if the proof is whole: headers of majors 10 and 11, this
processor and aarch64.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edgefas.cli.guard import run_script
from edgefas.engines.plugins.proof.lean import print_line
from edgefas.engines.plugins.proof.result import RESULT, source_hashes
from edgefas.engines.plugins.proof.run import Proof, prove
from edgefas.engines.plugins.proof.workshop import CROSS, NATIVE, Headers, cuda_toolkit, read_headers
from edgefas.environment import environment
from edgefas.errors import CheckFailed, EdgefasError
from edgefas.files import write_atomically


def main(
    include: Annotated[list[Path] | None, typer.Argument(help="Folders of NvInfer.h, one per release.")] = None,
    cache: Annotated[Path, typer.Option(help="Downloads and compiled files.")] = Path(".cache/plugin-proof"),
    out: Annotated[Path, typer.Option("-o", "--out")] = Path(RESULT),
) -> None:
    """Prove the TensorRT plugins in the real lean runtimes, without a GPU."""
    try:
        headers = read_headers(include or [])
        proof = prove(headers, cache.resolve())
        for run in proof.runs:
            name = f"{run.processor}, headers {run.headers}, runtime {run.runtime}"
            print_line(f"{name}: {sum(run.steps.values())} checks held, {len(run.failures)} failed")
        _raise_failures(proof)
        if proof.left_out:
            print_line(f"left out: {'; '.join(proof.left_out)}\n{out} stays as it is")
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, json.dumps(_document(headers, proof), indent=1).encode() + b"\n")
            print_line(f"written: {out}")
    except EdgefasError as error:
        sys.stderr.write(f"error: {error}\n")
        raise typer.Exit(error.exit_code) from error


def _raise_failures(proof: Proof) -> None:
    """Raises CheckFailed: a check did not hold, or a planted bug was not found."""
    lines = [
        f"{run.processor}, headers {run.headers}, runtime {run.runtime}: {failure.step}: {failure.check}"
        for run in proof.runs
        for failure in run.failures
    ]
    lines += [f"planted and not found: {caught.bug}" for caught in proof.caught if caught.failure is None]
    if lines:
        raise CheckFailed("the plugins are not proved\n" + "\n".join(lines))


def _document(headers: list[Headers], proof: Proof) -> dict[str, object]:
    return {
        "command": "make plugin-proof TENSORRT_INCLUDE_DIR='" + " ".join(f"DIR-{one.version}" for one in headers) + "'",
        **environment(),
        "what": "Plugin life cycle in TensorRT's lean runtime without a device; no kernel was run on a GPU",
        "headers": [one.version for one in headers],
        "compilers": {
            "nvcc": cuda_toolkit()[1],
            **{processor.prefix + "g++": _version(processor.prefix + "g++") for processor in (NATIVE, CROSS)},
            CROSS.emulator[0]: _version(CROSS.emulator[0]),
        },
        "sources": source_hashes(),
        "runs": [asdict(run) for run in proof.runs],
        "planted": [asdict(caught) for caught in proof.caught],
    }


def _version(tool: str) -> str:
    done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


if __name__ == "__main__":
    run_script(main)
