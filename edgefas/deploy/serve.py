"""The service of a board: runs `edgefas live` on the release in service, and decides about one on trial.

It follows state.json: another release there means another `live`. While a release is on trial it listens to what `live`
says; a healthy window makes the release good, anything else takes it back. It counts its own starts in the state, so a
release that takes the whole board down is taken back, too, at one of the next starts.
"""

from __future__ import annotations

import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgefas.contracts import ContractError
from edgefas.deploy.health import Health, Window
from edgefas.deploy.slots import Release, Slots, State, commit, rollback, started
from edgefas.errors import EdgefasError
from edgefas.live.line import DecisionLine

log = logging.getLogger(__name__)

STOP_S = 10.0
"""A `live` that has not ended so long after SIGTERM is killed."""
BACK_OFF_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
HANG_S = 15.0
"""`live` says something every 0.2 s, silence of the camera too."""
OPENING_S = 90.0
"""It may say nothing for so long while it opens camera and engine."""
TICK_S = 0.1
"""How soon a changed state is seen."""
STEADY_S = 60.0
"""After so long a crash is the first one again."""


@dataclass
class _Run:
    """One `live` process, and what it has said."""

    release: Release
    process: subprocess.Popen[str]
    begun_s: float
    health: Health
    lines: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    heard_s: float | None = None
    said_last: str = ""
    """The last line on stderr."""


class Service:
    """Runs until it is told to stop."""

    def __init__(
        self,
        slots: Slots,
        live_options: Sequence[str],
        window: Window,
        tee: Callable[[str], None] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "edgefas"),
    ) -> None:
        """Nothing is started yet.

        Args:
            live_options: of `edgefas live`, as --camera.
            tee: gets each JSON line of `live`.
            program: what is run with `live --model …`.
        """
        self._program = tuple(program)
        self._slots, self._options, self._window, self._tee = slots, tuple(live_options), window, tee
        self._crashes = 0
        self._trial_begun_s: float | None = None
        self._not_before_s = 0.0
        self._said = ""

    def run(self, stopped: Callable[[], bool]) -> None:
        """Serve until `stopped`.

        Raises:
            SlotError: another service is running, or the state cannot be read.
        """
        with self._slots.serving():
            state = self._slots.change(started)
            log.info("in service: %s", state.active or "nothing")
            run: _Run | None = None
            try:
                while not stopped():
                    run = self._step(run)
                    time.sleep(TICK_S)
            finally:
                if run is not None:
                    _stop(run.process)

    def _step(self, run: _Run | None) -> _Run | None:
        state = self._slots.read()
        now_s = time.monotonic()
        if run is not None and run.release != state.active:
            log.info("now in service: %s", state.active or "nothing")
            _stop(run.process)
            run = None
            self._crashes, self._trial_begun_s, self._not_before_s = 0, None, 0.0
        if run is None:
            if state.active is None or now_s < self._not_before_s:
                return None
            run = self._start(state.active, now_s)
        if state.on_trial and self._trial_begun_s is None:
            self._trial_begun_s = now_s
        self._listen(run, now_s)
        ended = self._ended(run, now_s)
        if state.on_trial:
            self._judge(state, run, ended, now_s)
        if ended is None:
            return run
        self._crashes = 1 if now_s - run.begun_s > STEADY_S else self._crashes + 1
        self._not_before_s = now_s + BACK_OFF_S[min(self._crashes, len(BACK_OFF_S)) - 1]
        log.warning("edgefas live ended: %s", ended)
        return None

    def _start(self, release: Release, now_s: float) -> _Run:
        command = [*self._program, "live", "--model", str(self._slots.bundle(release))]
        command += ["--json", "--headless", *self._options]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        run = _Run(release, process, now_s, Health(now_s))
        threading.Thread(target=_read_lines, args=(run,), daemon=True).start()
        threading.Thread(target=_read_errors, args=(run,), daemon=True).start()
        return run

    def _listen(self, run: _Run, now_s: float) -> None:
        while not run.lines.empty():
            text = run.lines.get()
            try:
                line = DecisionLine.from_json(text)
            except ContractError:
                log.warning("edgefas live said what is no line: %r", text[:200])
                continue
            if run.heard_s is None:
                run.health = Health(now_s)  # opening camera and engine is not counted
            run.heard_s = now_s
            run.health.hear(line, now_s)
            if self._tee is not None:
                self._tee(text)

    def _ended(self, run: _Run, now_s: float) -> str | None:
        """Why the process is over; one that hangs is ended."""
        code = run.process.poll()
        if code is not None:
            return f"exit code {code}: {run.said_last or 'it said nothing'}"
        since_s, allowed_s = (run.begun_s, OPENING_S) if run.heard_s is None else (run.heard_s, HANG_S)
        if now_s - since_s > allowed_s:
            _stop(run.process)
            return f"it said nothing for {now_s - since_s:.0f} s"
        return None

    def _judge(self, state: State, run: _Run, ended: str | None, now_s: float) -> None:
        """A verdict on the release on trial, as soon as there is one."""
        assert self._trial_begun_s is not None
        trouble = ended or run.health.trouble(self._window, now_s)
        if trouble is None:
            self._decide(state, commit)
            return
        late = now_s - self._trial_begun_s > self._window.deadline_s
        if late or (ended is not None and self._crashes + 1 > self._window.max_crashes):
            self._decide(state, lambda now: rollback(now, trouble))

    def _decide(self, state: State, step: Callable[[State], State]) -> None:
        def if_the_same(now: State) -> State:
            return step(now) if now.on_trial and now.active == state.active else now

        try:
            text = self._slots.change(if_the_same).last
        except EdgefasError as error:  # nothing to go back to, or the disk takes no more: asked again at the next tick
            text = str(error)
        if text != self._said:
            log.warning("%s", text)
            self._said = text


def _read_lines(run: _Run) -> None:
    assert run.process.stdout is not None
    for text in run.process.stdout:
        run.lines.put(text.rstrip("\n"))


def _read_errors(run: _Run) -> None:
    assert run.process.stderr is not None
    for text in run.process.stderr:
        sys.stderr.write(text)
        if text.strip():
            run.said_last = text.strip()


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
