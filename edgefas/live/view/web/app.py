"""The Starlette application: the page, its three files, the stream of decisions, the newest picture."""

from __future__ import annotations

import asyncio
import json
import time
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from edgefas.errors import require
from edgefas.live.view.pictures import FAR_MM, NEAR_MM, Pictures, pictures
from edgefas.live.view.web.guard import App, Guard, Message, Receive, Scope, Send, cookie_name, query_token
from edgefas.live.view.web.hub import CHART_S, Hub, Moment

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FILES: Final = {
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/chart.js": ("chart.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Every path is listed: no path of a request ever meets the file system."""

MAX_VIEWERS: Final = 8
EVENTS_HZ: Final = 15.0
PICTURES_HZ: Final = 12.0
PICTURE_PX: Final = 480
JPEG_QUALITY: Final = 80
KEEP_ALIVE_S: Final = 2.0
"""Without lines an empty comment is sent, so that a viewer who left is noticed."""


def make_app(hub: Hub, token: str | None, events_hz: float = EVENTS_HZ) -> App:
    """The application around `hub`.

    Raises:
        MissingExtra: Starlette is not installed.
    """
    require("starlette", "web")
    from starlette.applications import Starlette
    from starlette.responses import RedirectResponse, Response
    from starlette.routing import Route

    page = resources.files("edgefas.live.view.web") / "page"
    bodies = {name: (page / name).read_bytes() for name in ("index.html", *(name for name, _ in FILES.values()))}
    viewers, painter = Viewers(), Painter(hub)

    async def index(request: Request) -> Response:
        if token is not None and query_token(request.scope) is not None:
            # into a cookie and out of the address bar; Lax, because a link in a chat must still lead here
            moved = RedirectResponse("/", status_code=303)
            moved.set_cookie(cookie_name(token), token, httponly=True, samesite="lax", path="/")
            return moved
        return Response(bodies["index.html"], media_type="text/html; charset=utf-8")

    async def file(request: Request) -> Response:
        name, media_type = FILES[request.url.path]
        return Response(bodies[name], media_type=media_type)

    async def events(request: Request) -> EventStream:
        return EventStream(hub, viewers, events_hz)

    async def picture(request: Request) -> Response:
        painted = await painter.newest()
        if painted is None:
            return Response(status_code=204)
        body, about = painted
        return Response(body, media_type="image/jpeg", headers={"x-edgefas-picture": about})

    routes = [Route("/", index), Route("/events", events), Route("/picture.jpg", picture)]
    app = Starlette(routes=[*routes, *(Route(path, file) for path in FILES)])
    app.router.redirect_slashes = False
    return Guard(app, token)


class Viewers:
    """How many streams are open; the page says so to the one too many."""

    def __init__(self) -> None:
        self.count = 0


class EventStream:
    """Server-sent events: `about` once, then the newest line, at most `hz` a second. Stands for a Starlette response.

    A viewer who reads slowly makes `send` wait, and is then told the newest: there is no queue to grow.
    """

    def __init__(self, hub: Hub, viewers: Viewers, hz: float) -> None:
        self._hub, self._viewers, self._period_s = hub, viewers, 1 / hz

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        full = self._viewers.count >= MAX_VIEWERS
        headers = [(b"content-type", b"text/plain" if full else b"text/event-stream"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 503 if full else 200, "headers": headers})
        if full:
            await send({"type": "http.response.body", "body": b"Too many viewers.\n"})
            return
        self._viewers.count += 1
        left = asyncio.ensure_future(_gone(receive))
        try:
            await send(_body("about", {**vars(self._hub.about), "chart_s": CHART_S, "near_far_mm": [NEAR_MM, FAR_MM]}))
            known, said_s = 0, time.monotonic()
            while not (left.done() or self._hub.closed):
                moment = self._hub.newest
                if moment is not None and moment.number != known:
                    await send(_body("line", self._hub.event(moment, known)))
                    known, said_s = moment.number, time.monotonic()
                elif time.monotonic() - said_s > KEEP_ALIVE_S:
                    await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
                    said_s = time.monotonic()
                await asyncio.sleep(self._period_s)
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._viewers.count -= 1
            left.cancel()


class Painter:
    """The newest frame as one JPEG, its pictures side by side; painted once for all viewers, and only when asked."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = asyncio.Lock()
        self._number, self._painted_s = 0, 0.0
        self._painted: tuple[bytes, str] | None = None

    async def newest(self) -> tuple[bytes, str] | None:
        """(JPEG, JSON about it), or None while the camera is silent."""
        async with self._lock:
            moment = self._hub.newest
            if moment is None or moment.frame is None:
                return None
            due = time.monotonic() - self._painted_s >= 1 / PICTURES_HZ
            if moment.number != self._number and (due or self._painted is None):
                self._painted = await asyncio.to_thread(paint, moment)
                self._number, self._painted_s = moment.number, time.monotonic()
            return self._painted


def paint(moment: Moment) -> tuple[bytes, str]:
    """Pictures side by side as JPEG, and what the page must know to cut them apart and draw the box."""
    assert moment.frame is not None
    found, line = pictures(moment.frame, PICTURE_PX), moment.line
    tiles = {name: tile for name in ("color", "ir", "depth") if (tile := getattr(found, name)) is not None}
    sheet = np.hstack(list(tiles.values())) if tiles else np.zeros((8, 8, 3), np.uint8)
    _, jpeg = cv2.imencode(".jpg", sheet, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return jpeg.tobytes(), json.dumps(
        {
            "number": moment.number,
            "tiles": list(tiles),
            "aligned": found.aligned,
            "ir_light": found.ir_light,
            "box": _box(found, moment),
            "decision": line.decision.value,
        }
    )


def _box(found: Pictures, moment: Moment) -> list[float] | None:
    face = moment.line.face
    if face is None:
        return None
    return [round(side * found.scale, 1) for side in (face.x_px, face.y_px, face.width_px, face.height_px)]


def _body(event: str, value: dict[str, Any]) -> Message:
    text = f"event: {event}\ndata: {json.dumps(value, allow_nan=False, separators=(',', ':'))}\n\n"
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
