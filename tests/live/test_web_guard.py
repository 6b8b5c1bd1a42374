"""Who may look at the page, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from edgefas.live.view.web import guard
from edgefas.live.view.web.server import WebView
from tests.live.web_server import get, serving


@pytest.fixture(scope="module")
def open_view() -> Iterator[WebView]:
    with serving(host="127.0.0.1") as found:
        yield found


def token_of(view: WebView) -> str:
    return urlsplit(view.url).query.removeprefix("token=")


def test_a_token_opens_once_and_a_cookie_from_then_on(open_view: WebView) -> None:
    token = token_of(open_view)
    assert len(token) >= 32
    status, headers, _ = get(open_view, f"/?token={token}", {"Host": "192.0.2.7:8642"})
    assert (status, headers["location"]) == (303, "/")
    assert all(word in headers["set-cookie"] for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    cookie = {"Cookie": headers["set-cookie"].split(";")[0]}
    for path in ("/", "/app.js", "/picture.jpg"):
        assert get(open_view, path, cookie)[0] in (200, 204)
    assert get(open_view, f"/picture.jpg?token={token}")[0] == 204


@pytest.mark.parametrize("path", ["/", "/app.js", "/picture.jpg", "/events", "/none"])
def test_without_the_token_nothing_is_given(open_view: WebView, path: str) -> None:
    token = token_of(open_view)
    assert get(open_view, path)[0] == 401
    name = guard.cookie_name(token)
    for wrong in (token[:-1], token + "a", token.swapcase(), "", "%00", "%F0%9F%98%80", "a" * 9000):
        query = f"?token={wrong}"
        status, _, body = get(open_view, path + query)
        assert status in (401, 403), wrong
        assert token.encode() not in body
    assert get(open_view, f"{path}?token=x&token={token}")[0] == 401  # two: whose is it?
    assert get(open_view, path, {"Cookie": f"{name}=wrong"})[0] == 403
    assert get(open_view, path, {"Cookie": f"other={token}"})[0] == 401
    assert get(open_view, path, {"Cookie": "\x7f=;;;=\xff"})[0] == 401


def test_each_start_has_a_token_of_its_own(open_view: WebView) -> None:
    with serving(host="127.0.0.1") as other:
        assert token_of(other) != token_of(open_view)


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1", "127.0.0.1:1", "[::1]:8642", "LOCALHOST"])
def test_names_of_loopback_are_served(idle: WebView, host: str) -> None:
    assert get(idle, "/", {"Host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8642", "192.0.2.1", "", "127.0.0.1:x", "[::2]"],
)
def test_other_names_are_refused_on_loopback(idle: WebView, host: str) -> None:
    """A site that lets its own name point at 127.0.0.1 must not read the pictures."""
    assert get(idle, "/picture.jpg", {"Host": host})[0] == 421


def test_other_sites_cannot_embed(idle: WebView) -> None:
    assert get(idle, "/picture.jpg", {"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert get(idle, "/", {"Sec-Fetch-Site": "cross-site"})[0] == 200  # a link
    assert get(idle, "/picture.jpg", {"Sec-Fetch-Site": "same-origin"})[0] == 204


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "BREW"])
def test_only_get(idle: WebView, method: str) -> None:
    status, headers, _ = get(idle, "/", method=method)
    assert (status, headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/app.js/..", "//app.js", "/app.js/",
        "/app.js%00.html", "/\\..\\app.js", "/page/index.html", "/index.html", "/app.py", "/static/app.js", "/%",
        "/%ff%fe", "/" + "a" * 9000, "/" + "../" * 2000,
    ],
)  # fmt: skip
def test_no_path_leads_anywhere_else(idle: WebView, path: str) -> None:
    status, _, body = get(idle, path)
    assert status == 404
    assert b"root:" not in body
