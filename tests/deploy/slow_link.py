"""A TCP proxy on loopback that is a bad link: late, slow, and cut after so many bytes towards the board."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType

CHUNK_BYTES = 4096


class SlowLink:
    """Listens on `port` of loopback and passes to `target_port`, in a thread of its own."""

    def __init__(
        self, target_port: int, *, delay_s: float = 0.0, bytes_per_s: float | None = None, cut_at: int | None = None
    ) -> None:
        """Nothing listens before the context is entered.

        Args:
            delay_s: each chunk comes later by this, either way.
            bytes_per_s: towards the target; None: as fast as it goes.
            cut_at: both ways end after so many bytes towards the target, over all connections; None: never.
        """
        self._target_port, self._delay_s, self._bytes_per_s, self.cut_at = target_port, delay_s, bytes_per_s, cut_at
        self.port = 0
        self.sent = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> SlowLink:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        async def listen() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(listen())
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._pass(reader, back, counted=True)),
                    asyncio.ensure_future(self._pass(there, writer, counted=False)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        for end in (back, writer):
            end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await asyncio.sleep(self._delay_s)
            if counted:
                if self.cut_at is not None:
                    data = data[: max(0, self.cut_at - self.sent)]
                    if not data:
                        return
                if self._bytes_per_s is not None:
                    await asyncio.sleep(len(data) / self._bytes_per_s)
                self.sent += len(data)
            writer.write(data)
            await writer.drain()
