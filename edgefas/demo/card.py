"""The model card of the demo bundle, from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgefas.demo.make import Measured
    from edgefas.engines.quantize import QuantizeReport
    from edgefas.training.recipe import Recipe
    from edgefas.training.simulated import Samples


def model_card(
    recipe: Recipe, measured: Measured, test: Samples, quantized: QuantizeReport, machine: dict[str, Any]
) -> str:
    """Markdown; every number in it was just measured."""
    species = "\n".join(
        f"| {name} | {measured.validation.apcer[name]:.2%} | {measured.test.apcer[name]:.2%} |"
        for name in measured.test.apcer
    )
    train = recipe.simulated.train
    return f"""# Model card: dah-fas-lite demo

**Trained on simulated data only. It shows the toolkit at work; it protects nothing.** No real face, print, screen or
mask was seen in training or measurement, and nothing here says how it does on one.

- Network: `{recipe.model}` (see docs/models.md), INT8 for ONNX Runtime, infrared encoding `{recipe.ir_encoding.value}`.
- Made by `make demo-model` from the recipe `dah-fas-lite-sim`, seed {recipe.seed}.
- Training: {sum(train.samples.values())} simulated samples of subjects {train.first_subject}
  to {train.last_subject} at site {train.sites[0]}.
- Threshold {measured.threshold:.3f} (log-odds), chosen where the errors on validation subjects are equal.
- Measured on {machine["cpu"]}, {machine["date"]}.

| simulated presentations, INT8 engine, single frames | validation (site 0) | test (site 1, never seen) |
|---|---|---|
| bona fide rejected (BPCER) | {measured.validation.bpcer:.2%} | {measured.test.bpcer:.2%} |
{species}

Attack rows are APCER per species. The test split has {len(test)} samples; the detector found the face in
{test.detected_share:.1%} of them. INT8 against float on the calibration set: largest score difference
{quantized.difference.max_abs:.3f}, decisions that flip at log-odds 0: {quantized.difference.flips}.

What it cannot know: real skin, real optics, a real projector, occlusion, children, make-up, flexible masks, cut prints,
sunlight, and every camera that is not the simulated one. Do not open a door with it.
"""
