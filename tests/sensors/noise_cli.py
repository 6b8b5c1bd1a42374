"""`python -m tests.sensors.noise_cli ...` is edgefas with small noise frames in place of the simulated people."""

from __future__ import annotations

from edgefas.cli.main import main
from edgefas.sensors import open as open_module
from edgefas.sensors.simulated import SimulatedSource
from tests.sensors.scenes import render_moment


def open_noise(options, record_to, progress):
    """Takes the place of `edgefas.sensors.open._open_simulated`."""
    return SimulatedSource(
        "noise",
        render=render_moment,
        frames=options.frames,
        emitter=options.emitter,
        record_to=record_to,
        progress=progress,
    )


if __name__ == "__main__":
    open_module._open_simulated = open_noise
    main()
