"""`edgefas keys`: make the keys that sign bundles, and say which of them this machine trusts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgefas.cli.console import print_json, results
from edgefas.cli.passphrase import PassphraseFile, passphrase_of
from edgefas.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Keys that sign bundles, and which of them this machine trusts.")

Folder = Annotated[Path | None, typer.Option("--folder", help="Trust folder; default: your own.", show_default=False)]
System = Annotated[bool, typer.Option("--system", help="The system's trust folder; needs root.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command("new")
def new(
    path: Annotated[Path, typer.Argument(help="The private key to write; PATH.pub is its public half.")],
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Lock it with a passphrase, which is asked.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Make a key pair. Who has the private key decides what boards run: keep it off them."""
    from edgefas.deploy.keys import make_key, public_path_of

    wanted = passphrase or passphrase_file is not None
    made = make_key(path, passphrase_of(path, passphrase_file, new=True) if wanted else None)
    if json:
        print_json({"schema": 1, "id": made.hex(), "private": str(path), "public": str(public_path_of(path))})
        return
    results.print(f"key {made.hex()}", highlight=False, soft_wrap=True)
    results.print(
        f"  {path}: private; keep it on the machine that signs, and a copy locked away", highlight=False, soft_wrap=True
    )
    results.print(
        f"  {public_path_of(path)}: public; on each board: edgefas keys trust {path.name}.pub",
        highlight=False,
        soft_wrap=True,
    )


@app.command("trust")
def trust(
    public: Annotated[Path, typer.Argument(help="A public key, NAME.pub.")],
    name: Annotated[str | None, typer.Option(help="Its name here; default: the file's.", show_default=False)] = None,
    folder: Folder = None,
    system: System = False,
    json: Json = False,
) -> None:
    """Let what this key signs run on this machine."""
    from edgefas.deploy.trust import trust_key

    place = _folder(folder, system)
    called = name or public.name.removesuffix(".pub")
    made = trust_key(public, place, called)
    if json:
        print_json({"schema": 1, "id": made.hex(), "name": called, "folder": str(place)})
    else:
        results.print(f"{called} ({made.hex()}) is trusted now, in {place}", highlight=False, soft_wrap=True)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="A key's id, or its public key's file.")],
    why: Annotated[str, typer.Option(help="Why; kept in the list.")],
    folder: Folder = None,
    system: System = False,
    json: Json = False,
) -> None:
    """Let nothing that this key has signed run here any more, whenever it was signed."""
    from edgefas.deploy.keys import ID_BYTES, key_id, read_public_key
    from edgefas.deploy.trust import revoke_key

    place = _folder(folder, system)
    if re.fullmatch(rf"[0-9a-f]{{{2 * ID_BYTES}}}", key):
        signer = bytes.fromhex(key)
    elif Path(key).is_file():
        signer = key_id(read_public_key(Path(key)))
    else:
        raise UsageError(f"{key!r} is neither an id of {2 * ID_BYTES} hex digits nor a file; see: edgefas keys list")
    revoke_key(signer, why, place)
    if json:
        print_json({"schema": 1, "id": signer.hex(), "folder": str(place)})
    else:
        results.print(f"{signer.hex()} is revoked in {place}", highlight=False, soft_wrap=True)


@app.command("list")
def list_keys(folder: Folder = None, json: Json = False) -> None:
    """Which keys are trusted here, and which are revoked."""
    from edgefas.deploy.trust import load_trust, trust_folders

    folders = trust_folders() if folder is None else (folder,)
    known = load_trust(folders)
    rows: list[tuple[str, str | None, str | None]] = [
        (key.hex(), name, known.revoked.get(key)) for key, (name, _) in known.keys.items()
    ]
    rows += [(key.hex(), None, why) for key, why in known.revoked.items() if key not in known.keys]
    if json:
        keys = [{"id": key, "name": name, "revoked": why} for key, name, why in rows]
        print_json({"schema": 1, "folders": [str(place) for place in folders], "keys": keys})
        return
    if not rows:
        results.print(
            "no key is trusted here; add one with: edgefas keys trust NAME.pub", highlight=False, soft_wrap=True
        )
        return
    table = Table("key", "name", "", box=None, pad_edge=False)
    for key, name, why in rows:
        table.add_row(key, name or "-", "trusted" if why is None else f"revoked: {why or 'no reason given'}")
    results.print(table)


def _folder(folder: Path | None, system: bool) -> Path:
    from edgefas.deploy.trust import SYSTEM_FOLDER, user_folder

    if folder is not None and system:
        raise UsageError("--folder and --system exclude each other")
    return folder or (SYSTEM_FOLDER if system else user_folder())
