"""Imported as `edgefas.calibration`; the bare name would make a second copy of every class in it."""

if __name__ != "edgefas.calibration":
    raise ImportError(f"write `import edgefas.calibration`, not {__name__!r}")
