"""The training recipe: one YAML file says everything that makes a checkpoint."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from importlib import resources
from typing import Annotated, Any, Literal

import yaml
from pydantic import Discriminator, Field, Tag, model_validator

from edgefas.contracts import Contract, ContractError, IREncoding, Modality
from edgefas.errors import UsageError
from edgefas.sensors.simulator.episode import Presentation
from edgefas.training.shipped import read_mapping

SHIPPED = resources.files("edgefas.training").joinpath("recipes")


class SimulatedSplit(Contract):
    """Which simulated presentations a split holds; subjects and sites keep splits disjoint."""

    first_subject: int = Field(ge=0)
    last_subject: int = Field(ge=0)
    sites: tuple[int, ...] = Field(min_length=1)
    seed: int = Field(ge=0)
    samples: dict[Presentation, Annotated[int, Field(ge=1)]] = Field(description="how many of each presentation")
    frames_per_episode: int = Field(4, ge=1, le=30)

    @model_validator(mode="after")
    def _ordered(self) -> SimulatedSplit:
        if self.first_subject > self.last_subject:
            raise ValueError(f"first_subject {self.first_subject} is after last_subject {self.last_subject}")
        return self

    @model_validator(mode="after")
    def _of_both_classes(self) -> SimulatedSplit:
        if Presentation.BONA_FIDE not in self.samples or len(self.samples) < 2:
            raise ValueError("samples must name bona_fide and at least one attack")
        return self


class SimulatedData(Contract):
    """Training, validation and test data from the simulated camera."""

    kind: Literal["simulated"] = "simulated"
    simulator_version: int = Field(description="refused when the installed simulator has another")
    train: SimulatedSplit
    validation: SimulatedSplit
    test: SimulatedSplit | None = Field(None, description="scored once, when everything is chosen")

    @model_validator(mode="after")
    def _disjoint(self) -> SimulatedData:
        splits = [split for split in (self.train, self.validation, self.test) if split is not None]
        for earlier, later in itertools.pairwise(splits):
            if earlier.last_subject >= later.first_subject:
                raise ValueError("train, validation and test subjects must follow each other: a shared one is a leak")
        return self


class DatasetData(Contract):
    """Training and validation data from a data set: its train and dev splits."""

    kind: Literal["dataset"]
    dataset: str = Field(description="see `edgefas data list`")
    root: str = Field("", description="its folder; on the command line: data.root=FOLDER")
    protocol: str | None = Field(None, description="none: the data set's first")
    moments: int = Field(5, ge=1, le=1000, description="pictures of a clip, at equal distances")
    allow: tuple[str, ...] = Field((), description="kinds of leaks that shall not stop it, see `edgefas data check`")


def _kind_of(data: Any) -> str:
    """Recipes of simulated data need not say so."""
    kind = data.get("kind", "simulated") if isinstance(data, dict) else getattr(data, "kind", "simulated")
    return str(kind)


Data = Annotated[
    Annotated[SimulatedData, Tag("simulated")] | Annotated[DatasetData, Tag("dataset")],
    Discriminator(
        _kind_of, custom_error_type="kind", custom_error_message="kind must be 'simulated' or 'dataset' (data.kind)"
    ),
]


class Augmentation(Contract):
    """Random changes of a training batch: the paper's flipping, rotation and cropping, then light and noise."""

    flip: bool = True
    rotate_deg: float = Field(10.0, ge=0, le=45)
    shift_share: float = Field(0.05, ge=0, le=0.5, description="of the crop's side")
    scale_share: float = Field(0.08, ge=0, le=0.5)
    rgb_gain: float = Field(0.3, ge=0, le=1, description="log-uniform per channel and sample: white balance, exposure")
    ir_gain: float = Field(0.4, ge=0, le=1.5, description="log-uniform per sample: distance, power, exposure")
    contrast: float = Field(0.2, ge=0, le=0.9)
    noise: float = Field(0.05, ge=0, le=1, description="standard deviation on normalised colour and infrared")
    depth_noise: float = Field(0.02, ge=0, le=1, description="standard deviation on encoded depth")
    depth_gain: float = Field(0.0, ge=0, le=1, description="log-uniform per sample: cameras of unknown scale")
    depth_shift: float = Field(0.0, ge=0, le=1, description="of encoded depth, uniform per sample")
    cutout_share: float = Field(0.0, ge=0, le=1, description="side of a square that is shown as nothing, at most")
    modality_dropout: float = Field(0.0, ge=0, lt=1, description="chance that a modality is shown as nothing")


class Optimiser(Contract):
    """How weights follow gradients."""

    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0, le=1, description="the peak")
    weight_decay: float = Field(0.01, ge=0, le=1)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")


class Schedule(Contract):
    """The learning rate over time, after a linear warm-up."""

    kind: Literal["cosine", "cyclic_cosine", "decay"] = "cosine"
    warmup_epochs: float = Field(1.0, ge=0)
    cycle_epochs: float = Field(10.0, gt=0, description="of cyclic_cosine: each cycle starts at the peak")
    decay: float = Field(0.95, gt=0, le=1, description="of decay: the factor")
    decay_epochs: float = Field(50.0, gt=0, description="of decay: how often")


class Recipe(Contract):
    """One training run; equal recipes on equal machines give equal weights."""

    model: str
    model_options: dict[str, Any] = Field(default_factory=dict)
    start: str | None = Field(
        None, description="a checkpoint of edgefas train, of the same network, to begin from; none: fresh weights"
    )
    pretrained: dict[Modality, str] = Field(
        default_factory=dict, description="modality -> .safetensors of timm or torchvision for its backbone"
    )
    ir_encoding: IREncoding = IREncoding.LIT
    data: Data
    augmentation: Augmentation = Augmentation()
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    sampler: Literal["shuffled", "balanced"] = Field("shuffled", description="balanced: as many of either class")
    accumulate: int = Field(1, ge=1, le=1024, description="batches whose gradients make one step")
    max_gradient_norm: float | None = Field(5.0, gt=0, description="null: gradients are not clipped")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field("32-true", description="16-mixed needs a GPU")
    epochs: int = Field(ge=1, le=10000)
    batch_size: int = Field(ge=2, le=4096)
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="keeps log-odds finite on separable data")
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _one_beginning(self) -> Recipe:
        if self.start is not None and self.pretrained:
            raise ValueError("start and pretrained both say which weights to begin with; give one of them")
        return self

    @property
    def simulated(self) -> SimulatedData:
        """Its simulated data.

        Raises:
            UsageError: it is trained on a data set.
        """
        if isinstance(self.data, SimulatedData):
            return self.data
        raise UsageError(f"the recipe of {self.model} is trained on {self.data.dataset}; this needs simulated data")


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by name, or one by path.

    Args:
        changes: `key=value` each, dots between the levels: `data.root=FOLDER`, `epochs=3`; a value is YAML.

    Raises:
        UsageError: no such recipe, the file is no YAML mapping, a change is not of that form, or an unknown key or a
            value out of range, by name.
    """
    data = read_mapping("recipe", name, SHIPPED)
    for change in changes:
        _change(data, change)
    try:
        return Recipe.from_dict(data)
    except ContractError as error:
        raise UsageError(str(error)) from None


def _change(data: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not all(key.split(".")):
        raise UsageError(f"{change!r} is no change of a recipe; write key=value, as epochs=3 or data.root=FOLDER")
    *levels, last = key.split(".")
    place: Any = data
    for level in levels:
        place = place.setdefault(level, {})
        if not isinstance(place, dict):
            raise UsageError(f"{change!r}: {level} of the recipe is {place!r} and has no keys of its own")
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"{change!r}: the value is not valid YAML: {error}") from None
