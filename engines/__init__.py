"""Imported as `edgefas.engines`; the bare name would make a second copy of every class in it."""

if __name__ != "edgefas.engines":
    raise ImportError(f"write `import edgefas.engines`, not {__name__!r}")
