"""`edgefas collect`: a calibration set from recordings and simulated data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.contracts import Label
from edgefas.errors import UsageError

if TYPE_CHECKING:
    from edgefas.contracts import InputSpec

SOURCES = "FILE.db3, FILE.bag, dir:PATH or simulated:OPTIONS; may be given several times, each is one condition."


def command(
    model: Annotated[str, typer.Argument(help="Whom the set is for: a checkpoint, .onnx, folder, bundle or name.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The .npz to write; a .json is written beside it.")],
    bona_fide: Annotated[list[str] | None, typer.Option(help=f"Live faces: {SOURCES}")] = None,
    attack: Annotated[list[str] | None, typer.Option(help=f"Attacks: {SOURCES}")] = None,
    recipe: Annotated[str | None, typer.Option(help="A training recipe: its simulated training split.")] = None,
    count: Annotated[int, typer.Option(min=2, max=4096, help="Frames in all.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Draws the first frame of each source.")] = 0,
    cache: Annotated[Path, typer.Option(help="Rendered samples of --recipe.")] = Path(".cache/data"),
    json: Annotated[bool, typer.Option("--json", help="The manifest as JSON.")] = False,
) -> None:
    """Pick diverse frames for INT8 ranges, of every condition."""
    from edgefas.calibration.collect import candidates_of, candidates_of_recipe, write_set

    spec = _spec_of(model)
    asked = [(source, Label.BONA_FIDE) for source in bona_fide or ()] + [(s, Label.ATTACK) for s in attack or ()]
    if not asked and recipe is None:
        raise UsageError("nothing to collect from; give --bona-fide and --attack recordings, or --recipe")
    with errors.status("reading") as status:

        def show(source: str, done: int) -> None:
            status.update(f"{source}: {done}")

        offers = candidates_of_recipe(recipe, spec, cache, show) if recipe is not None else []
        offers += [candidates_of(source, label, spec, show) for source, label in asked]
        manifest = write_set(out, offers, count, seed, spec)
    if json:
        print_json(manifest.model_dump(mode="json"))
        return
    if manifest.frames < count:
        errors.print(f"only {manifest.frames} of {count} frames: the sources hold no more that differ", markup=False)
    lines = [f"  {e.label.value:9}  {len(e.picked):4} of {e.candidates:4}  {e.source}" for e in manifest.sources]
    lines.append(f"next: edgefas quantize MODEL.onnx --calibration {out} -o MODEL-int8")
    results.print(
        f"{out}: {manifest.frames} frames, sources in {out.with_suffix('.json')}", *lines, sep="\n", highlight=False,
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _spec_of(model: str) -> InputSpec:
    """Of a file or folder, else of a registered network."""
    path = Path(model)
    if path.exists() or path.suffix:
        from edgefas.live.model import open_model

        with open_model(path, allow_unsigned=True).engine as engine:
            return engine.spec
    from edgefas.models import create_model

    spec: InputSpec = create_model(model).input_spec
    return spec
