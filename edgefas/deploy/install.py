"""A bundle into the free slot: trust, unpack, check in a limited child, then a trial that the service decides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from edgefas.contracts import ContractError
from edgefas.deploy.bundle import Bundle, BundleError, open_bundle
from edgefas.deploy.check import CheckReport
from edgefas.deploy.requires import Requirements, unmet
from edgefas.deploy.slots import BUNDLE_FILE, Release, SlotError, Slots, State, begin_trial, make_room
from edgefas.doctor import read_system
from edgefas.errors import CheckFailed, EdgefasError
from edgefas.files import write_atomically

Stage = Callable[[str], None]
"""Called with the name of each stage as it begins."""
RECORDINGS = "selftest"
"""Folder in ROOT with labelled recordings that a release must judge rightly."""
TAIL_BYTES = 2000


@dataclass(frozen=True)
class Limits:
    """Of the process that checks a bundle."""

    seconds: float = 3600.0
    """TensorRT takes tens of minutes to build an engine on a small board."""
    cpu_s: int = 7200
    memory_mb: int = 6000


@dataclass(frozen=True)
class Installed:
    """What became of `install`."""

    release: Release
    state: State
    report: CheckReport | None
    """None: this very bundle was in service already."""


def install(
    bundle_path: Path,
    slots: Slots,
    *,
    limits: Limits | None = None,
    budget_ms: float | None = None,
    allow_downgrade: bool = False,
    stage: Stage = lambda name: None,
) -> Installed:
    """Check a signed bundle on this board and put it on trial; the release in service stays until then.

    Installing what is in service already changes nothing.

    Args:
        budget_ms: see `check`.
        allow_downgrade: take a release lower than one that was good here, or another bundle of the same number.

    Raises:
        BundleError: not signed by a trusted key, or damaged.
        SlotError: a lower release, not the board it asks for, a trial is running, or another installation is.
        CheckFailed, EdgefasError: the bundle does not work on this board; the slots are as they were, but for the
            fallback, whose slot is the one that was tried.
    """
    with slots.installing():
        stage("verify")
        bundle = open_bundle(bundle_path)
        if bundle.signer is None:
            raise BundleError(f"{bundle_path} is not signed, and a slot takes signed bundles only: edgefas bundle sign")
        state = slots.read()
        if state.active is not None and state.active.bundle_sha256 == bundle.sha256:
            return Installed(state.active, state, None)
        slot = slots.free_slot()
        make_room(state, slot)
        _refuse_unfit(bundle, state, allow_downgrade=allow_downgrade)
        with slots.filling(slot) as folder:
            stage("unpack")
            write_atomically(folder / BUNDLE_FILE, bundle_path.read_bytes())
            stage("check")
            report = _check_in_child(folder, _recordings(slots.root), limits or Limits(), budget_ms)
        stage("switch")
        release = Release(
            slot=slot,
            name=bundle.manifest.name,
            number=bundle.manifest.release,
            bundle_sha256=bundle.sha256,
            signer=bundle.signer,
            backend=report.backend,
            median_ms=report.median_ms,
            installed_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        return Installed(release, slots.change(lambda now: begin_trial(now, release)), report)


def wait_for_verdict(slots: Slots, release: Release, seconds: float, poll_s: float = 0.2) -> State:
    """Wait until the service has decided about a release on trial; gives the state then, or after `seconds`."""
    deadline_s = time.monotonic() + seconds
    while True:
        state = slots.read()
        if not state.on_trial or state.active != release or time.monotonic() > deadline_s:
            return state
        time.sleep(poll_s)


def _refuse_unfit(bundle: Bundle, state: State, *, allow_downgrade: bool) -> None:
    if bundle.manifest.requires != Requirements():
        lacking = unmet(bundle.manifest.requires, asdict(read_system(Path())))
        if lacking:
            raise SlotError(f"this is no board for that bundle: {'; '.join(lacking)}")
    number = bundle.manifest.release
    if number < state.highest and not allow_downgrade:
        raise SlotError(
            f"release {number} is older than release {state.highest}, which was good here; "
            "if that is meant: --allow-downgrade"
        )
    known = state.active
    if known is not None and known.number == number and known.name == bundle.manifest.name and not allow_downgrade:
        raise SlotError(
            f"release {number} of {known.name} is in service with other content ({known.bundle_sha256[:12]}…); a new "
            "content needs a new number, or --allow-downgrade"
        )


def _recordings(root: Path) -> tuple[str, ...]:
    """As `--camera` takes them: files, and folders that hold a recording as pictures."""
    folder = root / RECORDINGS
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(f"dir:{p}" if p.is_dir() else str(p) for p in found if p.is_dir() or p.suffix in (".db3", ".bag"))


def _check_in_child(folder: Path, recordings: tuple[str, ...], limits: Limits, budget_ms: float | None) -> CheckReport:
    command = [sys.executable, "-m", "edgefas", "slot", "check", str(folder / BUNDLE_FILE), "--json"]
    command += [] if budget_ms is None else ["--budget-ms", str(budget_ms)]
    for recording in recordings:
        command += ["--recording", recording]
    code, out, err = _run_limited(command, folder, limits)
    if code == CheckFailed.exit_code:
        raise CheckFailed(_last_error(err))
    if code != 0:
        raise EdgefasError(f"the check on this board failed: {_last_error(err) or f'it ended with {code}'}")
    try:
        return CheckReport.from_json(out.strip().splitlines()[-1])
    except (ContractError, IndexError):
        raise EdgefasError(f"the check on this board gave no report: {out[-200:]!r}") from None


def _run_limited(command: list[str], folder: Path, limits: Limits) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a child in a process group of its own, ended when it takes too much."""
    out_path, err_path = folder / "check.out", folder / "check.err"
    with out_path.open("wb") as out, err_path.open("wb") as err:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        problem = _watch(child, limits)
    texts = [path.read_bytes()[-TAIL_BYTES:].decode(errors="replace") for path in (out_path, err_path)]
    for path in (out_path, err_path):
        path.unlink()
    if problem is not None:
        raise CheckFailed(f"the check on this board was stopped: {problem}")
    return child.returncode, texts[0], texts[1]


def _watch(child: subprocess.Popen[bytes], limits: Limits) -> str | None:
    """Wait for the child; why it had to be stopped, None if it ended by itself."""
    deadline_s = time.monotonic() + limits.seconds
    try:
        while child.poll() is None:
            cpu_s, resident_mb = _used(child.pid)
            if time.monotonic() > deadline_s:
                return f"it took more than {limits.seconds:g} s"
            if resident_mb > limits.memory_mb:
                return f"it took {resident_mb:.0f} MB of memory, at most {limits.memory_mb} are allowed"
            if cpu_s > limits.cpu_s:
                return f"it took more than {limits.cpu_s} s of processor time"
            time.sleep(0.05)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return None


def _used(pid: int) -> tuple[float, float]:
    """Processor time in s and resident memory in MB, its ended children's time too; 0 for one that has just ended.

    Looked at from outside instead of by rlimits: CUDA reserves address space without end, and to limit the process of
    another user takes a capability that containers do not have.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    ticks = sum(int(value) for value in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _last_error(text: str) -> str:
    """The error that the command line printed last, without its first word."""
    return text.rpartition("error: ")[2].strip()
