"""What goes into a bundle: the files of `edgefas quantize` and the float network, beside policy and model card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from edgefas.contracts import ContractError, InputSpec, Policy
from edgefas.deploy.bundle import network_digest
from edgefas.engines.golden import GOLDEN_FILE, check_golden, read_golden
from edgefas.engines.runtime import load_engine
from edgefas.engines.runtime.metadata import MODEL_NAME_KEY
from edgefas.engines.runtime.onnx_file import check_network, read_onnx_file
from edgefas.engines.runtime.plan import CURRENT
from edgefas.errors import UsageError

NETWORK_FILE = "model.onnx"
NETWORK_SUFFIXES = (".onnx", ".bin")
SCALES_FILE = "scales.json"


def network_members(folder: Path, *, tensorrt: bool) -> dict[str, bytes]:
    """The networks of a folder of `edgefas quantize`, by member name.

    Args:
        tensorrt: take those for TensorRT, too; a board without it has no use for them.

    Raises:
        UsageError: it is no such folder.
    """
    if not (folder / NETWORK_FILE).is_file():
        raise UsageError(f"{folder} has no {NETWORK_FILE}; give a folder that edgefas quantize wrote")
    members = {f"ort/{name}": content for name, content in _network_files(folder).items()}
    if tensorrt:
        members |= {f"tensorrt/{path.name}": path.read_bytes() for path in sorted((folder / "tensorrt").glob("*.onnx"))}
    return members


def source_members(folder: Path, source: Path | None) -> dict[str, bytes]:
    """The scale table of the folder and, if given, the float ONNX file that all was made of.

    Raises:
        UsageError: no such file.
    """
    members = {}
    if (folder / SCALES_FILE).is_file():
        members[f"source/{SCALES_FILE}"] = (folder / SCALES_FILE).read_bytes()
    if source is not None:
        if not source.is_file():
            raise UsageError(f"no such file: {source}; edgefas export writes it")
        members[f"source/{NETWORK_FILE}"] = source.read_bytes()
    return members


def check_networks(folder: Path) -> tuple[InputSpec, str]:
    """(InputSpec, registered name) of the networks of a folder, which must agree.

    Raises:
        EngineError: a file is no network of edgefas.
        UsageError: two are of different networks.
    """
    first: tuple[InputSpec, str] | None = None
    for path in [folder / NETWORK_FILE, *sorted((folder / "tensorrt").glob("*.onnx"))]:
        file = read_onnx_file(path)
        this = (check_network(file), file.metadata.get(MODEL_NAME_KEY, ""))
        if first is not None and this != first:
            raise UsageError(f"{path} is another network than {folder / NETWORK_FILE}; quantise again into one folder")
        first = this
    assert first is not None
    return first


def check_golden_scores(folder: Path, policy: Policy, threads: int = 0) -> bytes:
    """The folder's golden vectors, after its network for ONNX Runtime gave their scores at the policy's threshold.

    Raises:
        EngineError: no golden vectors, or not for this network.
        CheckFailed: other scores, or another decision: no board would accept the bundle.
    """
    path = folder / GOLDEN_FILE
    precision = read_onnx_file(folder / NETWORK_FILE).precision
    with load_engine(folder, backend="onnxruntime", threads=threads) as engine:
        check_golden(engine, read_golden(path, engine.spec), precision, policy.threshold)
    return path.read_bytes()


def read_policy(path: Path, network: str, network_sha256: str) -> Policy:
    """A policy's file, as `edgefas calibrate` writes it, for this network.

    Raises:
        ContractError: not a policy; every offending field is named.
        UsageError: the file cannot be read, or was calibrated for another network.
    """
    try:
        policy = Policy.from_json(path.read_bytes())
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read the policy {path}: {error.strerror}") from None
    made_for = policy.calibration
    if made_for is not None and made_for.model_sha256 != network_sha256:
        raise UsageError(
            f"{path} was calibrated for {made_for.model} ({made_for.model_sha256[:12]}…), this is {network} "
            f"({network_sha256[:12]}…): its scores mean something else; calibrate again with: edgefas calibrate"
        )
    return policy


def network_digest_of(path: Path) -> str:
    """`network_digest` of a folder's files, or of which engine is in service; of a single file its sha256."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return network_digest(_network_files(path) or {CURRENT: (path / CURRENT).read_bytes()})


def _network_files(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in NETWORK_SUFFIXES}
