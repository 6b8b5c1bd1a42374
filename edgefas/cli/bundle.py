"""`edgefas bundle`: pack a model with everything a board needs, sign it, and look into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from edgefas.cli.console import print_json, results
from edgefas.cli.passphrase import PassphraseFile, private_key_of
from edgefas.errors import CheckFailed, EdgefasError, UsageError

if TYPE_CHECKING:
    from edgefas.deploy.bundle import Bundle

app = typer.Typer(no_args_is_help=True, help="Pack a model with everything a board needs, sign it, look into it.")

BundleFile = Annotated[Path, typer.Argument(help="A bundle (.efas).", show_default=False)]
AllowUnsigned = Annotated[bool, typer.Option("--allow-unsigned", help="Take a bundle that nobody signed.")]
Key = Annotated[Path, typer.Option("--key", help="The private key, from edgefas keys new.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command("create")
def create(
    model: Annotated[Path, typer.Argument(help="A folder of edgefas quantize.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The bundle to write.", show_default=False)],
    release: Annotated[int, typer.Option(min=1, max=2**31 - 1, help="Boards take no lower one than they have.")],
    trained_on: Annotated[str, typer.Option(help="The data; said wherever the model's numbers are.")],
    name: Annotated[str | None, typer.Option(help="Default: the folder's.", show_default=False)] = None,
    policy: Annotated[Path | None, typer.Option(help="From edgefas calibrate; default: threshold 0, a vote.")] = None,
    source: Annotated[Path | None, typer.Option(help="The float .onnx all was made of.")] = None,
    card: Annotated[Path | None, typer.Option(help="A model card, Markdown.")] = None,
    warning: Annotated[str | None, typer.Option(help="Said before the first decision.")] = None,
    tensorrt: Annotated[bool, typer.Option(help="Pack the networks for TensorRT, too.")] = True,
    needs_jetpack: Annotated[str | None, typer.Option(help="The lowest JetPack it may go to, as 6.1.")] = None,
    needs_tensorrt: Annotated[str | None, typer.Option(help="The lowest TensorRT, as 10.3.")] = None,
    needs_gpu: Annotated[list[str] | None, typer.Option(help="A compute capability, as 8.7; repeatable.")] = None,
    needs_memory_gb: Annotated[float | None, typer.Option(help="The least memory of the board.")] = None,
    json: Json = False,
) -> None:
    """Pack an unsigned bundle, after its network gave its golden scores at the policy's threshold."""
    from edgefas.contracts import Policy
    from edgefas.deploy.bundle import Manifest, write_bundle
    from edgefas.deploy.pack import (
        check_golden_scores,
        check_networks,
        network_digest_of,
        network_members,
        read_policy,
        source_members,
    )
    from edgefas.deploy.requires import Requirements

    requires = Requirements.from_dict(
        {
            "jetpack": needs_jetpack,
            "tensorrt": needs_tensorrt,
            "compute_capabilities": tuple(needs_gpu or ()),
            "memory_gb": needs_memory_gb,
        }
    )
    members = network_members(model, tensorrt=tensorrt) | source_members(model, source)
    spec, registered = check_networks(model)
    chosen = Policy() if policy is None else read_policy(policy, str(model), network_digest_of(model))
    members["golden.npz"] = check_golden_scores(model, chosen)
    members["policy.json"] = chosen.to_json(indent=1).encode()
    if card is not None:
        members["model_card.md"] = _read_text(card)
    manifest = Manifest(
        name=name or model.resolve().name,
        model=registered,
        release=release,
        input_spec=spec,
        trained_on=trained_on,
        warning=warning,
        requires=requires,
        members={},
    )
    digest = write_bundle(out, manifest, members)
    _said(out, digest, json, f"next: edgefas bundle sign {out} --key KEY")


@app.command("sign")
def sign(
    bundle: BundleFile,
    key: Key,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Default: in place.", show_default=False)] = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Sign a bundle; a signature it may have is replaced."""
    from edgefas.deploy.bundle import sign_bundle

    digest = sign_bundle(bundle, out or bundle, private_key_of(key, passphrase_file))
    _said(out or bundle, digest, json, f"next: edgefas bundle verify {out or bundle}")


@app.command("verify")
def verify(bundle: BundleFile, json: Json = False) -> None:
    """Check signature and every member as a board does; exit code 3 if it would be refused."""
    from edgefas.deploy.bundle import open_bundle

    try:
        opened = open_bundle(bundle)
    except EdgefasError as error:
        raise CheckFailed(str(error)) from None
    if json:
        print_json({"schema": 1, "trust": opened.trust, "signer": opened.signer, "sha256": opened.sha256})
    elif opened.signer is None:
        results.print(f"{bundle}: unsigned, but pinned in this package", highlight=False, soft_wrap=True)
    else:
        results.print(
            f"{bundle}: signed by {opened.signer}, all {len(opened.members)} members whole",
            highlight=False,
            soft_wrap=True,
        )


@app.command("show")
def show(bundle: BundleFile, allow_unsigned: AllowUnsigned = False, json: Json = False) -> None:
    """What a bundle holds."""
    from edgefas.deploy.bundle import open_bundle

    opened = open_bundle(bundle, allow_unsigned=allow_unsigned)
    if json:
        print_json(
            {
                "schema": 1,
                "trust": opened.trust,
                "signer": opened.signer,
                "sha256": opened.sha256,
                "network_sha256": opened.network_sha256,
                "manifest": opened.manifest.model_dump(mode="json"),
                "policy": opened.policy.model_dump(mode="json"),
            }
        )
        return
    facts = Table(box=None, pad_edge=False, show_header=False)
    for what, value in _facts(opened).items():
        facts.add_row(what, value)
    results.print(facts)
    members = Table("member", "bytes", "sha256", box=None, pad_edge=False)
    for name, member in opened.manifest.members.items():
        members.add_row(name, f"{member.size:,}", member.sha256[:16])
    results.print(members)


@app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(show_default=False)],
    new: Annotated[Path, typer.Argument(show_default=False)],
    allow_unsigned: AllowUnsigned = False,
    json: Json = False,
) -> None:
    """What two bundles differ in: manifest, policy, members."""
    from edgefas.deploy.bundle import open_bundle

    before, after = (_flat(open_bundle(path, allow_unsigned=allow_unsigned)) for path in (old, new))
    changed = {
        key: (before.get(key), after.get(key)) for key in sorted(before | after) if before.get(key) != after.get(key)
    }
    if json:
        print_json({"schema": 1, "changed": {key: {"old": a, "new": b} for key, (a, b) in changed.items()}})
        return
    if not changed:
        results.print("no difference but, perhaps, the signature", highlight=False, soft_wrap=True)
        return
    table = Table("what", old.name, new.name, box=None, pad_edge=False)
    for key, values in changed.items():
        table.add_row(key, *("-" if value is None else str(value) for value in values))
    results.print(table)


def _facts(bundle: Bundle) -> dict[str, str]:
    manifest, policy = bundle.manifest, bundle.policy
    return {
        "name": f"{manifest.name}, release {manifest.release}",
        "network": f"{manifest.model} ({bundle.network_sha256[:16]})",
        "trained on": manifest.trained_on,
        "warning": manifest.warning or "-",
        "inputs": ", ".join(
            f"{m.value} {'x'.join(map(str, manifest.input_spec.shape(m)))}" for m in manifest.input_spec.modalities
        ),
        "threshold": f"{policy.threshold:g} ({'calibrated' if policy.calibration else 'not calibrated'})",
        "signed by": bundle.signer or "nobody",
        "sha256": bundle.sha256,
    }


def _flat(bundle: Bundle) -> dict[str, Any]:
    """Leaves by dotted name."""
    flat: dict[str, Any] = {}

    def walk(where: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                walk(f"{where}.{key}", part)
        else:
            flat[where] = value

    walk("manifest", bundle.manifest.model_dump(mode="json", exclude={"members"}))
    walk("policy", bundle.policy.model_dump(mode="json"))
    for name, member in bundle.manifest.members.items():
        if name != "policy.json":
            flat[name] = f"{member.sha256[:16]} ({member.size:,} bytes)"
    return flat


def _read_text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _said(path: Path, digest: str, json: bool, next_step: str) -> None:
    if json:
        print_json({"schema": 1, "bundle": str(path), "sha256": digest})
    else:
        results.print(f"{path}: {path.stat().st_size:,} bytes, sha256 {digest[:16]}…", highlight=False, soft_wrap=True)
        results.print(next_step, highlight=False, soft_wrap=True)
