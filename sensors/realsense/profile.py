"""Camera profiles: how each RealSense model is set up, as YAML with the reasons beside it (`sensors/profiles/`)."""

from __future__ import annotations

import json
import logging
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from edgefas.contracts.base import Contract, explain_item
from edgefas.errors import UsageError
from edgefas.sensors.source import CameraError

log = logging.getLogger(__name__)

Emitter = Literal["on", "alternate"]
"""`on`: every infrared frame is lit by the projector. `alternate`: every second one, at twice the rate."""

Preset = Literal["default", "hand", "high_accuracy", "high_density", "medium_density"]

ProductId = Annotated[str, Field(pattern="^[0-9A-F]{4}$")]
"""Of USB: four hexadecimal digits in capitals; in YAML within quotes."""

DEFAULT = "d435i"
"""For a D400 camera no profile names."""

REFUSED = {
    "D405": "it has no projector and takes its colour from the infrared imager: there is no infrared cue",
    "D421": "it gives depth only: neither colour nor infrared",
}
_REFUSED_IDS = {"0B5B": "D405", "1155": "D421"}
_MAX_BYTES = 1 << 16


class Size(Contract):
    """Of a stream."""

    width_px: int = Field(ge=160, le=1920)
    height_px: int = Field(ge=90, le=1200)

    @property
    def pair(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width_px, self.height_px


class CameraProfile(Contract):
    """One model, or one camera of yours."""

    schema_version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=60)
    models: tuple[str, ...] = Field((), description="words of the camera's own name this profile is chosen by")
    product_ids: tuple[ProductId, ...] = Field((), description="it is chosen by, where no name fits")
    depth: Size = Size(width_px=640, height_px=480)
    color: Size = Size(width_px=640, height_px=480)
    fps: int = Field(30, ge=5, le=90, description="with the emitter on")
    alternate_fps: int | None = Field(60, ge=30, le=90, description="None: this model cannot alternate its emitter")
    visual_preset: Preset = "default"
    laser_power_mw: int = Field(150, ge=0, le=360)
    disparity_shift: int = Field(0, ge=0, le=512, description="lowers the least and the greatest distance")
    auto_exposure_priority: bool = Field(False, description="True halves the rate of colour in low light")
    power_line_hz: Literal[50, 60, "auto", "disabled"] = "auto"
    exposure_region: bool = Field(True, description="expose for the face")

    def rate(self, emitter: Emitter) -> int:
        """Framesets a second.

        Raises:
            CameraError: this model cannot alternate.
        """
        if emitter == "on":
            return self.fps
        if self.alternate_fps is None:
            raise CameraError(f"a {self.name} cannot alternate its emitter; use emitter=on")
        return self.alternate_fps


def profile_names() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _shipped().iterdir() if entry.name.endswith(".yaml"))


def load_profile(name_or_path: str) -> CameraProfile:
    """A shipped profile by name, or a YAML file by path.

    Raises:
        UsageError: no such profile; not YAML; an unknown, repeated or missing key or a value out of range, with the
            file, the line and the key.
    """
    shipped = name_or_path in profile_names()
    source: Any = _shipped() / f"{name_or_path}.yaml" if shipped else Path(name_or_path)
    if not shipped and source.suffix not in (".yaml", ".yml"):
        raise UsageError(
            f"no camera profile {name_or_path!r}; give a .yaml file or one of the shipped: {', '.join(profile_names())}"
        )
    try:
        with source.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise UsageError(f"camera profile {source}: more than {_MAX_BYTES >> 10} kB is no profile")
        return _parse(str(source), data.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read camera profile {source}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"camera profile {source} is not UTF-8 text") from None


def choose_profile(name: str, product_id: str) -> CameraProfile:
    """The shipped profile of a camera; the default, with a warning, for a model nobody wrote one for.

    Args:
        name: as the camera says it, e.g. "Intel RealSense D435I".
        product_id: e.g. "0B3A".

    Raises:
        CameraError: a model that cannot serve, and why.
    """
    words = name.upper().split()
    model = next((model for model in REFUSED if model in words), _REFUSED_IDS.get(product_id.upper()))
    if model is not None:
        raise CameraError(f"a {model} cannot be used: {REFUSED[model]}. Use a D435i, D435f, D455 or D457")
    profiles = [load_profile(known) for known in profile_names()]
    for profile in profiles:  # by name first: a D435f has the product id of a D435
        if any(model.upper() in words for model in profile.models):
            return profile
    for profile in profiles:
        if product_id.upper() in profile.product_ids:
            return profile
    log.warning("no profile for %r (product id %s): set up as a %s", name, product_id or "unknown", DEFAULT)
    return load_profile(DEFAULT)


def _shipped() -> Any:
    return files("edgefas.sensors") / "profiles"


def _parse(source: str, text: str) -> CameraProfile:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
        _refuse_repeated(source, node)
        as_json = json.dumps(data, default=str)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"camera profile {source}, line {line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"camera profile {source}: not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(data, dict):
        raise UsageError(f"camera profile {source}, line 1: must hold keys and values, such as `fps: 30`")
    try:
        # strict as in JSON: "30" is no number, and `yes` no text
        return CameraProfile.model_validate_json(as_json, strict=True)
    except ValidationError as error:
        found = [
            f"line {_line_of(node, item['loc'])}: {explain_item(CameraProfile, item)}"
            for item in error.errors(include_url=False)
        ]
        raise UsageError(f"camera profile {source}, {'; '.join(found)}") from None


def _refuse_repeated(source: str, node: Any) -> None:
    """YAML's loader would take the last of two equal keys without a word."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise UsageError(f"camera profile {source}, line {key.start_mark.line + 1}: {key.value}: given twice")
            seen.add(str(key.value))
            _refuse_repeated(source, value)


def _line_of(node: Any, where: tuple[int | str, ...]) -> int:
    """The line, from 1, of the innermost key on the way that the file has."""
    line = node.start_mark.line + 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if str(key.value) == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
