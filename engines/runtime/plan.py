"""Plans on disk: TensorRT engines that `edgefas build` made on this machine, and what is known of each.

A folder of engines (`MODEL.engines/` beside the model) holds per build a `.plan`, its manifest `.json` and its layer
report, the compiled plugins, the timing cache, and `engine.json`: the manifest of the one in use. It is replaced last,
in one step, so a build that fails leaves the engine in use as it was.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgefas.contracts import Contract, ContractError, InputSpec
from edgefas.engines.runtime.engine import EngineError
from edgefas.engines.runtime.machine_key import stamp

Precision = Literal["fp32", "fp16", "int8", "int8+fp16"]
Plugins = Literal["own", "stock"]
ENGINES_SUFFIX = ".engines"
CURRENT = "engine.json"
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,120}$")]
"""No folder in it: what a manifest names lies beside it."""


class PlanError(EngineError):
    """A plan is missing, was changed, or was not built here."""


class ForeignPlan(PlanError):
    """A plan for another TensorRT, GPU or board."""


class BatchRange(Contract):
    """Batch sizes of one optimisation profile; it is tuned for the largest."""

    low: int = Field(ge=1, le=1024)
    high: int = Field(ge=1, le=1024)


class Device(Contract):
    """What a plan is tied to."""

    tensorrt: str
    compute_capability: str
    board: str


class PlanKey(Contract):
    """Equal keys give interchangeable plans: the name under which a build is cached."""

    device: Device
    model_sha256: Sha256
    plugin_sha256: Sha256 | None
    batches: tuple[BatchRange, ...] = Field(min_length=1, max_length=8)
    settings: int = Field(1, description="version of the builder's settings")

    def digest(self) -> str:
        """Short enough for a file name."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


class Verified(Contract):
    """How near the plan's golden scores were."""

    frames: int = Field(ge=1)
    max_abs: float = Field(ge=0)
    tolerance: float = Field(gt=0)
    threshold: float


class PlanManifest(Contract):
    """Everything that decides whether a plan may be deserialised, under the machine's stamp."""

    schema_version: Literal[1] = 1
    key: PlanKey
    precision: Precision
    plugins: Plugins
    model: str
    input_spec: InputSpec
    outputs: tuple[str, ...]
    plan: FileName
    plan_sha256: Sha256
    plugin: FileName | None
    verified: Verified | None = Field(description="None until the plan was loaded and scored")
    median_ms: float | None = Field(None, description="of batch 1, when it was measured at the build")
    built_at: str
    stamp: str = ""

    def stamped(self) -> PlanManifest:
        """With the stamp of this machine, whose key is made if there is none."""
        return self.model_copy(update={"stamp": stamp(self._unstamped(), make_key=True)})

    def is_ours(self) -> bool:
        """Whether this machine stamped it."""
        own = stamp(self._unstamped())
        return bool(own) and hmac.compare_digest(own, self.stamp)

    def _unstamped(self) -> bytes:
        data = self.model_copy(update={"stamp": ""}).model_dump(mode="json")
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Plan:
    """A plan that may be deserialised: these very bytes were hashed."""

    folder: Path
    manifest: PlanManifest
    data: bytes

    @property
    def plugin(self) -> Path | None:
        """The plugin library to load first."""
        return None if self.manifest.plugin is None else self.folder / self.manifest.plugin


def engines_folder(model: Path) -> Path:
    """Where the engines of a model lie if nothing else was said: beside it."""
    name = model.stem if model.suffix in (".onnx", ".efas") else model.name
    return model.with_name(name + ENGINES_SUFFIX)


def read_manifest(path: Path) -> PlanManifest:
    """A manifest this machine stamped.

    Raises:
        PlanError: missing, damaged, changed, or written by another machine or user.
    """
    try:
        manifest = PlanManifest.from_json(path.read_bytes())
    except OSError as error:
        raise PlanError(
            f"no engine in {path.parent}: {path.name}: {error.strerror}; run: edgefas build MODEL"
        ) from None
    except ContractError as error:
        raise PlanError(f"{path} is damaged: {error}; run: edgefas build MODEL") from None
    if not manifest.is_ours():
        raise PlanError(
            f"{path} was changed, or was not built by this user on this machine, and a plan is native code: "
            "nothing was loaded; build it here with: edgefas build MODEL"
        )
    return manifest


def open_plan(manifest_path: Path, here: Device) -> Plan:
    """The plan of a manifest, if it was built here, for this device, and nobody touched it since.

    Raises:
        PlanError, ForeignPlan: otherwise; nothing was handed to TensorRT.
    """
    manifest = read_manifest(manifest_path)
    differing = [
        f"{field.replace('_', ' ')} {getattr(manifest.key.device, field)}, here it is {getattr(here, field)}"
        for field in Device.model_fields
        if getattr(manifest.key.device, field) != getattr(here, field)
    ]
    folder = manifest_path.parent
    if differing:
        raise ForeignPlan(f"{folder / manifest.plan} is for {'; '.join(differing)}; run: edgefas build MODEL")
    data = _read_checked(folder / manifest.plan, manifest.plan_sha256)
    if manifest.plugin is not None:
        assert manifest.key.plugin_sha256 is not None
        _read_checked(folder / manifest.plugin, manifest.key.plugin_sha256)
    return Plan(folder, manifest, data)


def _read_checked(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(f"cannot read {path}: {error.strerror}; run: edgefas build MODEL") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PlanError(f"{path} was changed since it was built: nothing was loaded; run: edgefas build MODEL")
    return data
