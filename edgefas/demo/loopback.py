"""Boards on this machine: each a real OpenSSH server on loopback, with a folder, a trust folder and an `edgefas`."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import edgefas
from edgefas.deploy.inventory import Board
from edgefas.deploy.slots import Slots
from edgefas.errors import EdgefasError


class NoServer(EdgefasError):
    """OpenSSH's server is missing or does not start."""


PACKAGE_PARENT = Path(edgefas.__file__).parent.parent


@dataclass(frozen=True)
class LoopbackBoard:
    """How the controller reaches it, and what it has."""

    board: Board
    slots: Slots
    trust: Path


def find_sshd() -> str:
    """The server's program.

    Raises:
        NoServer: it is not installed.
    """
    found = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NoServer("there is no sshd; install it with: sudo apt install openssh-server")
    return found


@contextmanager
def loopback_boards(folder: Path, names: list[str]) -> Iterator[dict[str, LoopbackBoard]]:
    """Start one server per name; all accept the key `folder`/client, and `folder`/known_hosts knows them."""
    sshd = find_sshd()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd of root insists on it
    _keygen(folder / "client")
    servers: list[subprocess.Popen[bytes]] = []
    boards = {}
    try:
        for name in names:
            boards[name], server = _start(sshd, folder, name)
            servers.append(server)
        yield boards
    finally:
        for server in servers:
            server.terminate()
            server.wait(10)


def _start(sshd: str, folder: Path, name: str) -> tuple[LoopbackBoard, subprocess.Popen[bytes]]:
    home = folder / name
    home.mkdir()
    port = _free_port()
    _keygen(home / "host_key")
    (home / "authorized_keys").write_bytes((folder / "client.pub").read_bytes())
    (home / "authorized_keys").chmod(0o600)
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": home / "host_key", "PidFile": home / "pid",
        "AuthorizedKeysFile": home / "authorized_keys", "PasswordAuthentication": "no", "StrictModes": "no",
        "KbdInteractiveAuthentication": "no", "PermitRootLogin": "prohibit-password", "UsePAM": "no",
        "Subsystem": "sftp internal-sftp", "MaxStartups": "100",
        "SetEnv": f"PATH={os.environ['PATH']} EDGEFAS_TRUST={home / 'trust'}",
    }  # fmt: skip
    (home / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    command = home / "edgefas"
    command.write_text(f'#!/bin/sh\nexport PYTHONPATH={PACKAGE_PARENT}\nexec {sys.executable} -m edgefas "$@"\n')
    command.chmod(0o755)
    with (folder / "known_hosts").open("a") as known:
        known.write(f"[127.0.0.1]:{port} {(home / 'host_key.pub').read_text()}")
    with (home / "sshd.log").open("wb") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", str(home / "sshd_config")], stdout=log, stderr=log)
    _wait_for(port, home / "sshd.log")
    board = Board(
        host="127.0.0.1", port=port, user=getpass.getuser(), key=folder / "client",
        known_hosts=folder / "known_hosts", root=str(home / "root"), edgefas=str(command),
    )  # fmt: skip
    return LoopbackBoard(board, Slots(home / "root"), home / "trust"), server


def _keygen(path: Path) -> None:
    keygen = shutil.which("ssh-keygen")
    if keygen is None:
        raise NoServer("there is no ssh-keygen; install it with: sudo apt install openssh-client")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, log: Path) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise NoServer(f"sshd does not start: {log.read_text()[-500:]}")
