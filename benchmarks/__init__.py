"""Imported as `edgefas.benchmarks`; the bare name would make a second copy of every class in it."""

if __name__ != "edgefas.benchmarks":
    raise ImportError(f"write `import edgefas.benchmarks`, not {__name__!r}")
