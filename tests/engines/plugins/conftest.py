"""The kernels compiled for the CPU, once for all tests here."""

from __future__ import annotations

import pytest

from tests.engines.plugins.emulation import COMPILER, Emulated, compile_kernels


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    if COMPILER is None:
        pytest.skip("needs g++: apt-get install g++")
    return compile_kernels(tmp_path_factory.mktemp("kernels") / "kernels.so")
