"""Imported as `edgefas.sensors`; the bare name would make a second copy of every class in it."""

if __name__ != "edgefas.sensors":
    raise ImportError(f"write `import edgefas.sensors`, not {__name__!r}")
