"""Every registered network: shapes, gradients, checkpoint, determinism; and the errors of the registry."""

from pathlib import Path

import pytest
import torch

from edgefas.contracts import ContractError, IREncoding, Modality
from edgefas.errors import EdgefasError, UsageError
from edgefas.models import create_model, list_models, load_checkpoint, save_checkpoint
from edgefas.models.registry import default_input_spec

NAMES = [entry.name for entry in list_models()]


def inputs(name: str, batch: int) -> dict[str, torch.Tensor]:
    spec = next(e for e in list_models() if e.name == name).input_spec
    generator = torch.Generator().manual_seed(batch)
    return {m.value: torch.randn(batch, *spec.shape(m), generator=generator) for m in spec.modalities}


@pytest.mark.parametrize("name", NAMES)
def test_every_model(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model(name)
    logits = model(**inputs(name, 3))
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{key} is not part of the network"
        assert torch.isfinite(parameter.grad).all(), key

    save_checkpoint(tmp_path / "m.safetensors", name, {}, model.state_dict())
    again = load_checkpoint(tmp_path / "m.safetensors")
    model.eval()
    with torch.no_grad():
        one = model(**inputs(name, 1))
        assert one.shape == (1,)
        assert torch.equal(one, model(**inputs(name, 1)))
        assert torch.equal(one, again(**inputs(name, 1)))
    assert (again.model_name, again.config, again.input_spec) == (name, model.config, model.input_spec)


@pytest.mark.parametrize("name", ["mobilenetv2", "ghostnet", "resnet18", "resnext50", "xception"])
@pytest.mark.parametrize("modality", list(Modality))
def test_single_branches_take_any_one_modality(name: str, modality: Modality) -> None:
    model = create_model(name, modality=modality.value, size_px=64).eval()
    assert model.input_spec.modalities == (modality,)
    x = torch.zeros(2, *model.input_spec.shape(modality))
    with torch.no_grad():
        assert model(**{modality.value: x}).shape == (2,)


def test_a_single_branch_on_patches() -> None:
    """The mean over nine in scoring, one at random in training; the network of whole pictures otherwise."""
    torch.manual_seed(0)
    model = create_model("mobilenetv2", size_px=64, patch_px=32).eval()
    whole = create_model("mobilenetv2", size_px=64).eval()
    whole.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        apart = [whole(rgb=x[:, :, r : r + 32, c : c + 32]) for r in (0, 16, 32) for c in (0, 16, 32)]
        torch.testing.assert_close(model(rgb=x), torch.stack(apart).mean(0))
        model.backbone.eval()
        model.training = True  # the branch alone: no dropout, no statistics of a batch
        drawn = torch.stack([model(rgb=x) for _ in range(8)])
    assert len(drawn[:, 0].unique()) > 1
    with pytest.raises(ContractError, match="patch_px 96 is larger than size_px 64"):
        create_model("mobilenetv2", size_px=64, patch_px=96)


def test_another_preprocessing_can_be_asked_for() -> None:
    spec = default_input_spec(Modality.IR)
    assert spec.ir is not None
    active = spec.model_copy(update={"ir": spec.ir.model_copy(update={"encoding": IREncoding.ACTIVE})})
    assert create_model("ghostnet", input_spec=active).input_spec == active


def test_a_missing_modality_is_named() -> None:
    given = inputs("dah-fas-lite", 1)
    del given["ir"]
    with pytest.raises(EdgefasError, match="needs rgb, ir, depth, but got no ir"):
        create_model("dah-fas-lite").eval()(**given)


def test_unknown_model_suggests() -> None:
    with pytest.raises(UsageError, match="did you mean 'dah-fas-lite'"):
        create_model("dahfas-lite")


def test_unknown_config_suggests() -> None:
    with pytest.raises(ContractError, match="did you mean 'rgb_width'"):
        create_model("dah-fas", rgb_widht=0.5)


def test_spec_of_other_modalities_is_refused() -> None:
    with pytest.raises(UsageError, match="ghostnet takes ir; the InputSpec has depth"):
        create_model("ghostnet", input_spec=default_input_spec(Modality.DEPTH))
