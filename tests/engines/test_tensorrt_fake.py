"""The fake refuses what the recorded release does not have: without this, tests against it would prove nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgefas.engines import tensorrt_builder
from edgefas.engines.build import build
from tests.engines.lowered import lowered_folder
from tests.engines.tensorrt_fake import RELEASES, Gpu, install, make_tensorrt


@pytest.fixture(params=RELEASES)
def trt(request: pytest.FixtureRequest) -> Any:
    return make_tensorrt(request.param)


def config_of(trt: Any) -> Any:
    return trt.Builder(trt.Logger()).create_builder_config()


def test_flags_removed_in_11_are_gone_there_alone() -> None:
    present = {release: hasattr(make_tensorrt(release).BuilderFlag, "FP16") for release in RELEASES}
    assert present == {"10.3": True, "10.13": True, "10.16": True, "11.4": False}
    trt = make_tensorrt("11.4")
    with pytest.raises(AttributeError):
        config_of(trt).set_flag(trt.BuilderFlag.FP16)
    with pytest.raises(AttributeError):
        config_of(trt).int8_calibrator = None


def test_newer_methods_are_missing_before() -> None:
    present = {release: hasattr(make_tensorrt(release).Builder, "build_engine_with_config") for release in RELEASES}
    assert present == {"10.3": False, "10.13": True, "10.16": True, "11.4": True}


def test_a_misspelt_keyword_is_refused(trt: Any) -> None:
    config = config_of(trt)
    config.set_memory_pool_limit(pool=trt.MemoryPoolType.WORKSPACE, pool_size=1)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        config.set_memory_pool_limit(pool=trt.MemoryPoolType.WORKSPACE, size=1)


def test_a_wrong_arity_is_refused(trt: Any) -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        config_of(trt).create_timing_cache(b"", False)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        config_of(trt).set_timing_cache(config_of(trt).create_timing_cache(b""))


def test_a_wrong_type_is_refused(trt: Any) -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        config_of(trt).clear_flag(6)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        config_of(trt).clear_flag(trt.DataType.HALF)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        trt.Builder("logger")
    with pytest.raises(TypeError, match="incompatible function arguments"):
        trt.get_plugin_registry().load_library(Path("a.so"))


def test_a_misspelt_attribute_is_refused(trt: Any) -> None:
    with pytest.raises(AttributeError, match="profiling_verbose"):
        config_of(trt).profiling_verbose = trt.ProfilingVerbosity.DETAILED
    with pytest.raises(AttributeError):
        config_of(trt).add_profile(None)
    with pytest.raises(AttributeError):
        _ = trt.ProfilingVerbosity.VERBOSE


def test_what_programs_cannot_construct_cannot_be_constructed(trt: Any) -> None:
    with pytest.raises(TypeError, match="No constructor defined"):
        trt.IBuilderConfig()


@pytest.mark.parametrize(("release", "first_always_strong"), [("10.3", 10), ("11.4", 12)])
def test_a_build_with_the_other_releases_flag_fails(
    release: str, first_always_strong: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: weakly typed on 10.3, and on 11.4 the bit that means something else there."""
    install(monkeypatch, tmp_path / "state", release)
    model = lowered_folder(tmp_path / "m")
    monkeypatch.setattr(tensorrt_builder, "STRONGLY_TYPED_ALWAYS", first_always_strong)
    with pytest.raises(AssertionError, match=r"strongly typed|every bit"):
        build(model, tmp_path / "m.engines", "fp32", "stock")


PLANTED = {
    "keyword": ("ignore_mismatch=False", "ignore_mismatches=False", RELEASES),
    "enum member": ("trt.ProfilingVerbosity.DETAILED", "trt.ProfilingVerbosity.VERBOSE", RELEASES),
    "attribute of TensorRT 8": (
        "config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)",
        "config.max_workspace_size = WORKSPACE_BYTES",
        RELEASES,
    ),
    "method of TensorRT 8": (".build_serialized_network(", ".build_engine(", RELEASES),
    "arity": ("config.add_optimization_profile(profile)", "config.add_optimization_profile(profile, 0)", RELEASES),
    "flag removed in 11": (
        "config.clear_flag(trt.BuilderFlag.TF32)",
        "config.set_flag(trt.BuilderFlag.FP16)",
        ["11.4"],
    ),
    "method newer than 10.3": (
        "builder.build_serialized_network(network, config)",
        "builder.build_engine_with_config(network, config).serialize()",
        ["10.3"],
    ),
}


@pytest.mark.parametrize(("plant", "release"), [(name, r) for name, plant in PLANTED.items() for r in plant[2]])
def test_a_bug_planted_in_the_builder_is_caught(
    plant: str, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "state", release)
    right, wrong, _ = PLANTED[plant]
    source = Path(tensorrt_builder.__file__).read_text()
    assert right in source
    module: dict[str, Any] = {"__name__": "edgefas.engines.planted"}
    monkeypatch.setitem(sys.modules, "edgefas.engines.planted", ModuleType("edgefas.engines.planted"))
    exec(compile(source.replace(right, wrong), "planted.py", "exec"), module)
    monkeypatch.setattr("edgefas.engines.build.build_plan", module["build_plan"])
    with pytest.raises((TypeError, AttributeError)):
        build(lowered_folder(tmp_path / "m"), tmp_path / "m.engines", "fp32", "stock")


def test_work_without_a_current_context_fails() -> None:
    with pytest.raises(AssertionError, match="no context is current"):
        Gpu().allocate(4)
