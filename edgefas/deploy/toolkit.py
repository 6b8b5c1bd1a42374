"""edgefas itself onto a board that has none, or another version: wheels over SSH, installed without a network.

    PREFIX/venvs/HASH          a virtual environment per set of wheels, which sees the system's packages (TensorRT)
    PREFIX/bin/edgefas         a link to the newest one's command, changed by one rename
    ROOT/incoming/wheels/HASH  the uploaded wheels, each in a folder named by its content

PREFIX/bin/edgefas is the board's `edgefas:` of the inventory. What was interrupted is taken up again; until the new
environment has answered, the old command stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgefas.deploy.remote import INCOMING, Remote, RemoteError
from edgefas.errors import UsageError, require

PACKAGE = "edgefas"
MOST_WHEELS = 500


@dataclass(frozen=True)
class Wheel:
    """One file."""

    path: Path
    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Wheels:
    """All that edgefas needs on a board, edgefas among them."""

    wheels: tuple[Wheel, ...]

    @property
    def version(self) -> str:
        """Of edgefas."""
        return next(wheel.version for wheel in self.wheels if wheel.name == PACKAGE)

    @property
    def sha256(self) -> str:
        """Of the set."""
        return hashlib.sha256("".join(sorted(wheel.sha256 for wheel in self.wheels)).encode()).hexdigest()

    @property
    def requirements(self) -> str:
        """As pip reads them: every wheel by version and content."""
        lines = (f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in self.wheels)
        return "".join(sorted(lines))


def read_wheels(folder: Path) -> Wheels:
    """The wheels of a folder.

    Raises:
        UsageError: no such folder, no edgefas in it, a file whose name is no wheel's, or two versions of a package.
    """
    utils = require("packaging.utils", "flash")
    paths = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    found: dict[str, Wheel] = {}
    for path in paths[:MOST_WHEELS]:
        try:
            name, version, _, _ = utils.parse_wheel_filename(path.name)
        except utils.InvalidWheelFilename as error:
            raise UsageError(f"{path}: {error}") from None
        if name in found:
            raise UsageError(f"{folder} has {name} twice: {found[name].path.name}, {path.name}; remove one")
        found[name] = Wheel(path, name, str(version), hashlib.sha256(path.read_bytes()).hexdigest())
    if PACKAGE not in found:
        raise UsageError(f"{folder} has no wheel of {PACKAGE}; docs/flash.md says how to gather them")
    return Wheels(tuple(found.values()))


async def bring_toolkit(remote: Remote, wheels: Wheels, say: Callable[[str], None]) -> bool:
    """See to it that this set of wheels is what `edgefas` is on the board; gives whether it was not before.

    Raises:
        RemoteError: no python3 with venv there, wheels for another Python or machine, one is missing, or no room.
    """
    prefix = _prefix_of(remote)
    venv = f"{prefix}/venvs/{wheels.sha256[:16]}"
    if await remote.link_target(remote.board.edgefas) == f"{venv}/bin/{PACKAGE}":
        return False
    store = f"{remote.board.root}/{INCOMING}/wheels"
    for number, wheel in enumerate(wheels.wheels, 1):
        say(f"{number} of {len(wheels.wheels)} wheels: {wheel.name}")
        await remote.put(wheel.path, f"{store}/{wheel.sha256}/{wheel.path.name}")
    await remote.write(wheels.requirements.encode(), f"{store}/{wheels.sha256}.txt")
    say("venv")
    await _must(remote, "python3", "-m", "venv", "--clear", "--system-site-packages", venv)
    say("pip")
    links = [word for wheel in wheels.wheels for word in ("--find-links", f"{store}/{wheel.sha256}")]
    pip = [f"{venv}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    await _must(remote, *pip, "--require-hashes", *links, "--requirement", f"{store}/{wheels.sha256}.txt")
    answer = await remote.run(f"{venv}/bin/{PACKAGE}", "--version")
    if answer.code != 0 or answer.out.strip() != wheels.version:
        raise RemoteError(f"edgefas {wheels.version} was installed and does not run: {answer.error or answer.out}")
    await remote.link(f"{venv}/bin/{PACKAGE}", remote.board.edgefas)
    return True


def _prefix_of(remote: Remote) -> str:
    command = PurePosixPath(remote.board.edgefas)
    if command.name != PACKAGE or command.parent.name != "bin":
        raise UsageError(f"the board's edgefas is {command}; to be installed it must be PREFIX/bin/edgefas")
    return str(command.parent.parent)


async def _must(remote: Remote, *words: str) -> None:
    answer = await remote.run(*words)
    if answer.code != 0:
        raise RemoteError(f"{' '.join(words[:4])} … failed on the board: {answer.error or answer.out[-1000:]}")
