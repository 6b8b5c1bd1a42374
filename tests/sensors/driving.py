"""One camera and its driver, through the real librealsense, for the tests."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

from edgefas.sensors.realsense.camera import open_camera
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from edgefas.sensors.realsense.source import Patience, Running
from tests.sensors.scenes import SMALL
from tests.sensors.soft_camera import SIZE

BAG = Path(__file__).with_name("fixtures") / "color_depth.bag"
HASTY = Patience(stall_s=0.6, give_up_s=60, backoff_max_s=0.3)


@contextmanager
def opened(camera: SoftwareD435, bus: SoftwareBus, **options):
    options = {"size_px": SIZE, "color_size_px": SIZE, "patience": HASTY} | options
    with open_camera(camera.serial, context=bus.context, **options) as source:
        yield source


def one_camera(**options) -> tuple[SoftwareBus, SoftwareD435]:
    bus = SoftwareBus()
    return bus, SoftwareD435(bus, SMALL, serial="SOFT1", **options)


def started(bus: SoftwareBus, serial: str = "SOFT1") -> Running:
    rs = load()
    pipeline, config = rs.pipeline(bus.context), rs.config()
    config.enable_device(serial)
    return Running(pipeline, pipeline.start(config))
