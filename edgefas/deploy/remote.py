"""One board over SSH: commands, its `edgefas` above all, and files into its folders."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgefas.deploy.inventory import Board
from edgefas.errors import EdgefasError, require

if TYPE_CHECKING:
    import asyncssh

CONNECT_S = 15.0
ALIVE_EVERY_S = 10
"""A board that answers none of three of these is lost."""
CHUNK_BYTES = 256 * 1024
INCOMING = "incoming"


class RemoteError(EdgefasError):
    """A board cannot be reached, or what was asked of it failed there."""


@dataclass(frozen=True)
class Answer:
    """What `edgefas` said on the board."""

    code: int
    out: str
    error: str
    """The text behind "error: ", or the end of stderr."""

    def json(self) -> Any:
        """Its last line as JSON.

        Raises:
            RemoteError: it is none.
        """
        try:
            return json.loads(self.out.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise RemoteError(f"the board answered what is no JSON: {self.out[-200:]!r}; {self.error}") from None


@dataclass(frozen=True)
class Remote:
    """A connected board."""

    board: Board
    connection: asyncssh.SSHClientConnection

    async def edgefas(self, *words: str) -> Answer:
        """Run `edgefas` there.

        Raises:
            RemoteError: the command is not there, or the connection was lost.
        """
        answer = await self.run(self.board.edgefas, *words)
        if answer.code in (126, 127):
            raise RemoteError(
                f"{_place(self.board)} has no {self.board.edgefas} ({answer.error[-200:]}); bring it with --toolkit "
                "WHEELS, or say where it is: edgefas: PATH in the inventory"
            )
        return answer

    async def run(self, *words: str) -> Answer:
        """Run a command there.

        Raises:
            RemoteError: the connection was lost.
        """
        # SSH hands a text to the shell of the user; every word is quoted, and names were restricted before.
        with _told(self.board):
            done = await self.connection.run(shlex.join(words), check=False, encoding="utf-8", errors="replace")
        out, err = str(done.stdout or ""), str(done.stderr or "")
        if done.returncode is None or done.returncode < 0:
            raise RemoteError(f"{_place(self.board)}: the connection was lost while it ran {shlex.join(words[:3])}")
        return Answer(int(done.returncode), out, err.rpartition("error: ")[2].strip()[-1000:])

    async def free_bytes(self) -> int:
        """Free space for this user where the slots lie; the folder for uploads is made if need be."""
        with _told(self.board):
            async with self.connection.start_sftp_client() as sftp:
                await sftp.makedirs(f"{self.board.root}/{INCOMING}", exist_ok=True)
                found = await sftp.statvfs(self.board.root)
                return int(found.bavail) * int(found.frsize)

    async def put(self, path: Path, name: str, report: Callable[[float], None] = lambda share: None) -> None:
        """Put a file there, under a name that holds its hash: what an earlier try has sent is not sent again.

        Whoever uses it checks what arrived; `discard` removes a file that went wrong.
        """
        with _told(self.board):
            async with self.connection.start_sftp_client() as sftp:
                if not await sftp.exists(name):
                    await sftp.makedirs(str(PurePosixPath(name).parent), exist_ok=True)
                    await _send(sftp, path, f"{name}.part", report)
                    await sftp.posix_rename(f"{name}.part", name)
        report(1.0)

    async def write(self, data: bytes, name: str) -> None:
        """Put a small file there, whole or not at all."""
        with _told(self.board):
            async with self.connection.start_sftp_client() as sftp:
                async with sftp.open(f"{name}.part", "wb") as target:
                    await target.write(data)
                    await target.fsync()
                await sftp.posix_rename(f"{name}.part", name)

    async def link(self, target: str, name: str) -> None:
        """Make `name` a link to `target`, in one step; its folder is made if need be."""
        with _told(self.board):
            async with self.connection.start_sftp_client() as sftp:
                await sftp.makedirs(str(PurePosixPath(name).parent), exist_ok=True)
                if await sftp.islink(f"{name}.new"):
                    await sftp.remove(f"{name}.new")
                await sftp.symlink(target, f"{name}.new")
                await sftp.posix_rename(f"{name}.new", name)

    async def link_target(self, name: str) -> str | None:
        """Where a link leads; None: it is none."""
        with _told(self.board):
            async with self.connection.start_sftp_client() as sftp:
                return str(await sftp.readlink(name)) if await sftp.islink(name) else None

    async def discard(self, sha256: str) -> None:
        """Remove an uploaded file."""
        with _told(self.board):
            async with self.connection.start_sftp_client() as sftp:
                if await sftp.exists(self.incoming(sha256)):
                    await sftp.remove(self.incoming(sha256))

    @property
    def host_key(self) -> str:
        """Fingerprint of the key it showed."""
        key = self.connection.get_server_host_key()
        return "" if key is None else str(key.get_fingerprint())

    def incoming(self, sha256: str) -> str:
        """Where an upload of this hash lies."""
        return f"{self.board.root}/{INCOMING}/{sha256}.efas"


async def _send(sftp: asyncssh.SFTPClient, path: Path, part: str, report: Callable[[float], None]) -> None:
    size = path.stat().st_size
    done = int((await sftp.stat(part)).size or 0) if await sftp.exists(part) else 0
    done = done if done <= size else 0
    with path.open("rb") as source:
        source.seek(done)
        async with sftp.open(part, "r+b" if done else "wb") as target:
            await target.seek(done)
            while chunk := source.read(CHUNK_BYTES):
                await target.write(chunk)
                done += len(chunk)
                report(done / size)
            await target.fsync()


@asynccontextmanager
async def connected(board: Board) -> AsyncIterator[Remote]:
    """Connect; only to a host whose key is known, only with keys.

    Raises:
        RemoteError: unreachable, an unknown host key, or no key of yours is accepted.
    """
    asyncssh = require("asyncssh", "flash")
    options: dict[str, Any] = {"known_hosts": str(board.known_hosts.expanduser())} if board.known_hosts else {}
    if board.user is not None:
        options["username"] = board.user
    if board.key is not None:
        options["client_keys"] = [str(board.key.expanduser())]
    with _told(board):
        connection = await asyncssh.connect(
            board.host,
            board.port,
            **options,
            preferred_auth="publickey",
            connect_timeout=CONNECT_S,
            login_timeout=CONNECT_S,
            keepalive_interval=ALIVE_EVERY_S,
            keepalive_count_max=3,
        )
    asyncio.get_running_loop().set_exception_handler(_left_behind)
    async with connection:
        yield Remote(board, connection)


def _left_behind(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Writes that were under way when a connection broke end unheard: the stage that waited for them has told."""
    asyncssh = require("asyncssh", "flash")
    if not isinstance(context.get("exception"), (asyncssh.Error, OSError)):
        loop.default_exception_handler(context)


@contextmanager
def _told(board: Board) -> Iterator[None]:
    """What can go wrong with SSH becomes one kind of error."""
    asyncssh = require("asyncssh", "flash")
    try:
        yield
    except asyncssh.HostKeyNotVerifiable:
        raise RemoteError(
            f"{_place(board)}: its host key is not the one you know, or you know none; compare it with the key on the "
            f"board itself, then: ssh-keyscan -p {board.port} {board.host} >> ~/.ssh/known_hosts"
        ) from None
    except asyncssh.PermissionDenied:
        raise RemoteError(
            f"{_place(board)}: none of your keys is accepted; put one there: ssh-copy-id -p {board.port} {board.host}"
        ) from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise RemoteError(f"{_place(board)}: cannot use the key {board.key or 'of ~/.ssh'}: {error}") from None
    except asyncssh.SFTPError as error:
        raise RemoteError(f"{_place(board)}: {error.reason or type(error).__name__} in {board.root}") from None
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise RemoteError(f"{_place(board)}: {error or type(error).__name__}") from None


def _place(board: Board) -> str:
    return board.host if board.port == 22 else f"{board.host}:{board.port}"
