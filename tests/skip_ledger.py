"""Pytest plugin: prints every skip, and fails the run on one that tests/expected_skips.txt does not list.

A line of that file is `nodeid-prefix | words of the reason`; a skip must match both.
"""

from __future__ import annotations

from pathlib import Path

import pytest

LEDGER = Path(__file__).with_name("expected_skips.txt")
_skips: dict[tuple[str, str], None] = {}
"""In order, and once: under pytest-xdist every process collects all files."""


def _expected() -> list[tuple[str, str]]:
    lines = (line.strip() for line in LEDGER.read_text().splitlines())
    rows = [line.split("|", 1) for line in lines if line and not line.startswith("#")]
    return [(node.strip(), words.strip()) for node, words in rows]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skips[report.nodeid, reason] = None


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skips[report.nodeid, reason] = None


def _unexpected() -> list[tuple[str, str]]:
    expected = _expected()
    return [s for s in _skips if not any(s[0].startswith(node) and words in s[1] for node, words in expected)]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and _unexpected():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for node, reason in _skips:
        terminalreporter.write_line(f"skip: {node}: {reason}")
    for node, reason in _unexpected():
        terminalreporter.write_line(f"UNEXPECTED SKIP (not in {LEDGER.name}): {node}: {reason}", red=True)
