"""What the emulation itself rests on: half precision as IEEE defines it."""

from __future__ import annotations

import numpy as np

from tests.engines.plugins.emulation import Emulated, pointer_to


def test_half_widens_as_numpys(emulated: Emulated) -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    got = np.empty(bits.size, np.float32)
    emulated.library.shim_float(pointer_to(bits), pointer_to(got), bits.size)
    np.testing.assert_array_equal(got, bits.view(np.float16).astype(np.float32))


def test_half_rounds_as_numpys(emulated: Emulated) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = every[np.isfinite(every)]
    ties = (every[:-1] + every[1:]) / 2
    noise = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)
    values = np.concatenate([every, ties, np.nextafter(ties, np.float32(np.inf)), noise, np.float32([65519.9, 65520])])
    got = np.empty(values.size, np.uint16)
    emulated.library.shim_half(pointer_to(values), pointer_to(got), values.size)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got.view(np.float16), values.astype(np.float16))
