"""The command line's frame: exit codes, one short text per error, and no traceback unless asked for."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

import edgefas
from edgefas.cli import main as cli
from edgefas.errors import CheckFailed, EdgefasError, UsageError, require

COMMANDS = ("models", "train", "evaluate", "export", "quantize", "build", "benchmark", "live", "record", "doctor")


@pytest.fixture
def run_raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    """Runs edgefas with a command that raises the given exception."""

    def run(error: BaseException) -> int:
        def app(**_: object) -> int:
            raise error

        monkeypatch.setattr(cli, "app", app)
        return cli.run(["live"])

    return run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"{edgefas.__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [command for command in COMMANDS if f" {command} " not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([command, "--help"]) == 0
    assert f"edgefas {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words", "next_command"),
    [
        (["nonsense"], "nonsense", "edgefas --help"),
        (["--nonsense"], "--nonsense", "edgefas --help"),
        (["live", "--nonsense"], "--nonsense", "edgefas live --help"),
        (["live", "--frames", "many"], "--frames", "edgefas live --help"),
    ],
)
def test_misuse_is_exit_2_with_the_next_command(
    arguments: list[str], words: str, next_command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert words in shown.err
    assert shown.err.endswith(f"try: {next_command}\n")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    shown = capsys.readouterr()
    assert "live" in shown.out + shown.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EdgefasError("no [camera]"), 1),
        (UsageError("no [camera]"), 2),
        (CheckFailed("no [camera]"), 3),
        (OSError(errno.ENOSPC, "no [camera]"), 1),
    ],
)
def test_errors_are_one_text_and_their_exit_code(
    error: Exception, code: int, run_raising: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(error) == code
    assert capsys.readouterr().err == f"error: {error}\n"


def test_interrupted_is_130_and_silent(
    run_raising: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_a_defect_is_reported_without_traceback(
    run_raising: Callable[[BaseException], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("EDGEFAS_DEBUG", raising=False)
    assert run_raising(ZeroDivisionError("by zero")) == 1
    assert capsys.readouterr().err == (
        "error: internal error: ZeroDivisionError: by zero\nplease report it; details with EDGEFAS_DEBUG=1\n"
    )


def test_a_defect_shows_its_traceback_on_request(
    run_raising: Callable[[BaseException], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEFAS_DEBUG", "1")
    assert run_raising(ZeroDivisionError("by zero")) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_reader_that_went_away_is_not_reported() -> None:
    """`edgefas --help | head -0`: the pipe's reading end is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "edgefas", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


def test_a_missing_extra_is_named_with_its_pip_line() -> None:
    with pytest.raises(EdgefasError, match=r"no_such_module cannot be imported .*: pip install 'edgefas\[train\]'"):
        require("no_such_module", "train")
    assert require("json", "train").dumps([1]) == "[1]"
