"""What `edgefas live` runs: an engine with its policy, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from edgefas.contracts import InputSpec, IREncoding, Policy
from edgefas.deploy.bundle import Bundle, Standing, open_bundle
from edgefas.deploy.pack import network_digest_of, read_policy
from edgefas.deploy.slots import Slots, slots_root
from edgefas.engines.runtime import Engine, load_engine
from edgefas.engines.runtime.plan import engines_folder
from edgefas.errors import UsageError
from edgefas.sensors.realsense.camera import Emitter

DEMO_BUNDLE = "dah-fas-lite.efas"


@dataclass(frozen=True)
class LiveModel:
    """An engine ready to decide."""

    name: str
    engine: Engine
    policy: Policy
    trust: Standing
    warning: str | None
    network_sha256: str
    """Of the network alone: what a calibration belongs to."""


def open_model(path: Path | None, *, allow_unsigned: bool = False, threads: int = 0) -> LiveModel:
    """Open a bundle or a bare network file; None is what is in service in this board's slots, else the shipped demo.

    Raises:
        BundleError, EngineError: it cannot be opened or is not trusted.
        UsageError: a bare network file without `allow_unsigned`.
    """
    if path is None:
        slots = Slots(slots_root())
        active = slots.read().active
        if active is not None:
            path = slots.bundle(active)
            return _from_bundle(open_bundle(path), threads, engines_folder(path))
        with resources.as_file(resources.files("edgefas.demo").joinpath(DEMO_BUNDLE)) as demo:
            return _from_bundle(open_bundle(demo), threads, None)
    if path.suffix == ".efas":
        return _from_bundle(open_bundle(path, allow_unsigned=allow_unsigned), threads, engines_folder(path))
    if not allow_unsigned:
        raise UsageError(f"{path} is no bundle, so nobody vouches for it; run again with --allow-unsigned to try it")
    warning = "A bare network file: not signed, and decided with the default policy (threshold 0)."
    return LiveModel(
        path.stem, load_engine(path, threads=threads), Policy(), "unsigned", warning, network_digest_of(path)
    )


def with_policy(model: LiveModel, path: Path) -> LiveModel:
    """The model with the policy of a file, as `edgefas calibrate` writes it.

    It is then unsigned, whoever signed the bundle: a policy can open every door.

    Raises:
        ContractError: not a policy; every offending field is named.
        UsageError: the file cannot be read, or was calibrated for another model.
    """
    policy = read_policy(path, model.name, model.network_sha256)
    return replace(model, policy=policy, trust="unsigned")


def emitter_for(spec: InputSpec) -> Emitter:
    """How a camera must light its pictures for this network: those that see unlit infrared need every second one."""
    return "on" if spec.ir is None or spec.ir.encoding is IREncoding.LIT else "alternate"


def _from_bundle(bundle: Bundle, threads: int, engines: Path | None) -> LiveModel:
    manifest = bundle.manifest
    engine = bundle.engine(threads, engines)
    return LiveModel(manifest.name, engine, bundle.policy, bundle.trust, manifest.warning, bundle.network_sha256)
