"""Make a virtual environment with edgefas and the pinned packages of constraints.txt; does nothing when it is current.

    python3 scripts/setup_venv.py .venv-demo cpu,realsense

Only the standard library of Python >= 3.10 is used: this runs before anything is installed. PyTorch from PyPI brings
several GB of CUDA libraries on most machines, so a dry run looks at what would come, and only a CPU build is installed.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
WHEELHOUSE = ROOT / ".cache" / "wheelhouse"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_TEXT = f"""error: pip would install a CUDA build of PyTorch (several GB), and the tests need only the CPU build.
{CPU_INDEX} was tried and could not be used. Point pip at an index or folder with CPU wheels, then run make again:
  pip config set global.extra-index-url {CPU_INDEX}
  pip config set global.find-links /path/to/folder/with/torch+cpu/wheel
A CUDA build already installed in the environment by hand is left as it is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("venv", type=Path, help="where the environment is")
    parser.add_argument("extras", help="extras of setup.cfg, comma separated")
    parser.add_argument("--wheelhouse", action="store_true", help="keep the base wheels for the packaging tests")
    options = parser.parse_args()
    if sys.version_info < (3, 10):  # noqa: UP036 - the system's python3 runs this, whatever it is
        sys.exit(f"error: Python {sys.version.split()[0]} is too old, needed is >= 3.10; try: make PYTHON=python3.12")
    venv, stamp = options.venv.resolve(), options.venv.resolve() / "edgefas-setup.sha256"
    key = fingerprint(sys.argv[1:])
    if stamp.exists() and stamp.read_text() == key:
        return
    python = make_venv(venv)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "-qq", "--upgrade", "pip>=24"])
    if {"train", "export"} & set(options.extras.split(",")):
        install_cpu_torch(pip)
    run([*pip, "install", "-qq", "-c", str(CONSTRAINTS), "-e", f"{ROOT}[{options.extras}]"])
    if options.wheelhouse:
        fill_wheelhouse(pip)
    stamp.write_text(key)


def fingerprint(arguments: list[str]) -> str:
    """Changes with anything that decides what is installed, and with the place (an editable install has a path)."""
    files = [ROOT / "setup.cfg", ROOT / "pyproject.toml", CONSTRAINTS, Path(__file__)]
    parts = [file.read_bytes() for file in files] + [str((sys.version, str(ROOT), arguments)).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_venv(venv: Path) -> Path:
    """Make the environment, or keep one that has pip and this very Python; gives its interpreter."""
    python = venv / "bin" / "python"
    ask = [python, "-c", "import pip, sys; print(sys.version)"]
    if not python.exists() or subprocess.run(ask, capture_output=True, text=True).stdout.strip() != sys.version:
        print(f"making {venv.name} with Python {sys.version.split()[0]}", flush=True)
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", venv], capture_output=True, text=True)
        if made.returncode:
            sys.exit(f"{made.stdout}{made.stderr}error: no virtual environment; try: sudo apt install python3-venv")
    return python


def install_cpu_torch(pip: list[str]) -> None:
    """Install the pinned PyTorch if pip, or else PyTorch's own CPU index, gives a CPU build; stop if neither does."""
    for source in ([], ["--extra-index-url", CPU_INDEX, "--retries", "1", "--timeout", "15"]):
        wanted = [*pip, "install", "-qq", "-c", str(CONSTRAINTS), *source]
        dry = subprocess.run([*wanted, "--dry-run", "--report", "-", "torch"], capture_output=True, text=True)
        if dry.returncode == 0 and is_cpu_build(json.loads(dry.stdout)):
            # Alone, so that nothing else is ever taken from the additional index.
            run([*wanted, "--no-deps", "torch"])
            return
    sys.exit(CUDA_TEXT)


def is_cpu_build(report: dict) -> bool:
    """Whether pip's installation report (see `pip install --report`) is free of CUDA; an empty one is."""
    return not any(
        item["metadata"]["name"].lower().startswith(("nvidia-", "cuda-", "triton")) for item in report["install"]
    )


def fill_wheelhouse(pip: list[str]) -> None:
    """Download what `pip install .[cpu]` needs, so that tests install into empty environments without network."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].splitlines()
    lines += config["options.extras_require"]["cpu"].splitlines()
    needs = ["setuptools>=77", *(line for line in lines if line and not line.startswith("#"))]
    shutil.rmtree(WHEELHOUSE, ignore_errors=True)  # no second version of anything
    run([*pip, "download", "-qq", "-c", str(CONSTRAINTS), "-d", str(WHEELHOUSE), "--only-binary=:all:", *needs])


def run(command: list[str]) -> None:
    """Run one step; its own output says what failed."""
    shown = " ".join(part for part in command[3:] if part.strip("-"))
    print(f"pip {shown}", flush=True)
    if subprocess.run(command).returncode:
        sys.exit("error: the step above failed; when it is mended, run make again (it goes on where it stopped)")


if __name__ == "__main__":
    main()
