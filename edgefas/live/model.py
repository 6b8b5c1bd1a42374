"""What `edgefas live` runs: an engine with its policy, and how far it can be trusted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from edgefas.contracts import ContractError, InputSpec, IREncoding, Policy
from edgefas.deploy.bundle import Bundle, Trust, open_bundle
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
    trust: Trust
    warning: str | None
    sha256: str
    """Of the bundle or network file: what a calibration belongs to."""


def open_model(path: Path | None, *, allow_unsigned: bool = False, threads: int = 0) -> LiveModel:
    """Open a bundle or a bare network file; None is the shipped demo.

    Raises:
        BundleError, EngineError: it cannot be opened or is not trusted.
        UsageError: a bare network file without `allow_unsigned`.
    """
    if path is None:
        with resources.as_file(resources.files("edgefas.demo").joinpath(DEMO_BUNDLE)) as demo:
            return _from_bundle(open_bundle(demo), threads, None)
    if path.suffix == ".efas":
        return _from_bundle(open_bundle(path, allow_unsigned=allow_unsigned), threads, engines_folder(path))
    if not allow_unsigned:
        raise UsageError(f"{path} is no bundle, so nobody vouches for it; run again with --allow-unsigned to try it")
    warning = "A bare network file: not signed, and decided with the default policy (threshold 0)."
    return LiveModel(path.stem, load_engine(path, threads=threads), Policy(), "unsigned", warning, digest_of(path))


def with_policy(model: LiveModel, path: Path) -> LiveModel:
    """The model with the policy of a file, as `edgefas calibrate` writes it.

    It is then unsigned, whoever signed the bundle: a policy can open every door.

    Raises:
        ContractError: not a policy; every offending field is named.
        UsageError: the file cannot be read, or was calibrated for another model.
    """
    try:
        policy = Policy.from_json(path.read_bytes())
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read the policy {path}: {error.strerror}") from None
    made_for = policy.calibration
    if made_for is not None and made_for.model_sha256 != model.sha256:
        raise UsageError(
            f"{path} was calibrated for {made_for.model} ({made_for.model_sha256[:12]}…), this is {model.name} "
            f"({model.sha256[:12]}…): its scores mean something else; calibrate again with: edgefas calibrate"
        )
    return replace(model, policy=policy, trust="unsigned")


def emitter_for(spec: InputSpec) -> Emitter:
    """How a camera must light its pictures for this network: those that see unlit infrared need every second one."""
    return "on" if spec.ir is None or spec.ir.encoding is IREncoding.LIT else "alternate"


def digest_of(path: Path) -> str:
    """The sha256 of a file, or of the names and bytes of a folder's files."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _from_bundle(bundle: Bundle, threads: int, engines: Path | None) -> LiveModel:
    manifest = bundle.manifest
    engine = bundle.engine(threads, engines)
    return LiveModel(manifest.name, engine, bundle.policy, bundle.trust, manifest.warning, bundle.sha256)
