"""Servers of the page, with and without decisions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgefas.live.view.web import server
from edgefas.live.view.web.server import WebView
from edgefas.sensors.frame import Frame
from tests.live.web_server import Pipeline, serving
from tests.scenes import noise_frame


@pytest.fixture
def view(request: pytest.FixtureRequest) -> Iterator[WebView]:
    """Its parameter, if any, is the server's patience."""
    with serving(patience_s=getattr(request, "param", server.PATIENCE_S)) as found:
        yield found


@pytest.fixture(scope="module")
def idle() -> Iterator[WebView]:
    """One without lines, for all that needs none."""
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def still() -> Frame:
    return noise_frame()


@pytest.fixture
def pipeline(view: WebView) -> Iterator[Pipeline]:
    running = Pipeline(view)
    yield running
    running.close()
