"""Signed releases of a network that gives the mean of depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgefas.deploy.bundle import Manifest, sign_bundle, write_bundle
from edgefas.deploy.keys import make_key, public_path_of, read_private_key
from edgefas.deploy.trust import trust_key
from edgefas.engines.golden import write_golden
from tests.bundles import SPEC, mean_depth_network
from tests.deploy.signed import no_passphrase


@dataclass(frozen=True)
class Office:
    """A key, and a folder for what it signs."""

    folder: Path

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "office"

    def trusted_in(self, folder: Path) -> None:
        """Let a trust folder trust it."""
        trust_key(public_path_of(self.key), folder, "office")

    def release(
        self, number: int = 1, *, name: str = "door", off_by: float = 0.0, signed: bool = True, card: bytes = b""
    ) -> Path:
        """A bundle; with `off_by` its golden scores are wrong by so much."""
        rng = np.random.default_rng(1)
        inputs = {m.value: rng.normal(size=(3, *SPEC.shape(m))).astype(np.float16) for m in SPEC.modalities}
        scores = inputs["depth"].astype(np.float64).mean((1, 2, 3)) + off_by
        write_golden(self.folder / "golden.npz", inputs, {"score": scores.astype(np.float32)})
        members = {
            "policy.json": b"{}",
            "golden.npz": (self.folder / "golden.npz").read_bytes(),
            "ort/model.onnx": mean_depth_network().SerializeToString(),
        }
        if card:
            members["model_card.md"] = card
        path = self.folder / f"{name}-{number}.efas"
        manifest = Manifest(name=name, model="x", release=number, input_spec=SPEC, trained_on="nothing", members={})
        write_bundle(path, manifest, members)
        if signed:
            sign_bundle(path, path, read_private_key(self.key, no_passphrase))
        return path


def open_office(folder: Path) -> Office:
    """Make the key."""
    make_key(folder / "office")
    return Office(folder)
