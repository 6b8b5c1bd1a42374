"""mmFAS: each equation against a float64 transcription, the sizes of table 2, the switch, the alignment, the export."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from edgefas.benchmarks.onnx_size import count_onnx
from edgefas.contracts import ContractError
from edgefas.engines.export import export_onnx, random_inputs
from edgefas.engines.lowering.simplify import to_opset
from edgefas.engines.runtime import load_engine
from edgefas.errors import EdgefasError
from edgefas.models import count, create_model
from edgefas.models.alignment import Alignment, hard_partners
from edgefas.models.mm_fas import FusionBlock
from edgefas.models.vit import VisionTransformer, sinusoids
from edgefas.training.objective import WithTerms
from tests.models import mm_fas_numpy as paper
from tests.models.test_dah_fas import random_double

SMALL: dict[str, Any] = {"dim": 12, "heads": 3, "depth": 2, "fusion_blocks": 4, "patch_px": 8, "size_px": 32}
MODES = ["".join(letters) for letters in itertools.permutations("RDI")]
CLASSES = [1, 0, 0, 1, 0, 1, 1]


def small(**changes: Any) -> nn.Module:
    """With every weight random, in float64."""
    model = create_model("mm-fas", **{**SMALL, **changes})
    random_double(model)
    return model


def weights(module: nn.Module) -> paper.Weights:
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def pictures(model: nn.Module, batch: int) -> dict[str, torch.Tensor]:
    dtype = next(model.parameters()).dtype
    return {k: torch.from_numpy(v).to(dtype) for k, v in random_inputs(model.input_spec, batch, seed=3).items()}


def features(seed: int, batch: int = len(CLASSES)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(batch, 12))


def millions(module: nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def test_positions_are_sines_and_cosines() -> None:
    got = sinusoids(7, 12)[0].double().numpy()
    for position, i in np.ndindex(7, 6):
        angle = position / 10000 ** (2 * i / 12)
        np.testing.assert_allclose(got[position, 2 * i : 2 * i + 2], [math.sin(angle), math.cos(angle)], atol=1e-6)


def test_encoder() -> None:
    model = small()
    for name, x in pictures(model, 1).items():
        want = paper.encode(weights(model), f"encoders.{name}", x[0].numpy(), patch=8, depth=2, heads=3)
        got = model.encoders[name].forward_features(x)[0].detach().numpy()
        np.testing.assert_allclose(got, want, atol=1e-10)


@pytest.mark.parametrize("fusion", ["cross", "merge", *MODES])
def test_network_equations_5_to_8(fusion: str) -> None:
    config = {"fusion": "switch", "switch_mode": fusion} if fusion in MODES else {"fusion": fusion}
    model = small(**config)
    p, inputs = weights(model), pictures(model, 2)
    fuse = {"cross": paper.cross_fusion, "merge": paper.merge_fusion}.get(fusion, paper.switch_fusion)
    tokens = {
        name: [paper.encode(p, f"encoders.{name}", picture.numpy(), 8, 2, 3) for picture in x]
        for name, x in inputs.items()
    }
    fused = [
        fuse(p, rgb, depth, ir, fusion, 4, 3)
        for rgb, depth, ir in zip(tokens["rgb"], tokens["depth"], tokens["ir"], strict=True)
    ]
    with torch.no_grad():
        streams = model.encode(**inputs)
        np.testing.assert_allclose(model.fusion(streams).numpy(), fused, atol=1e-9)
        scores = model.classify(streams).numpy()
    np.testing.assert_allclose(scores, [paper.classify(p, x) for x in fused], rtol=1e-6)
    assert np.abs(fused[0] - fused[1]).max() > 1e-3


def test_modes_differ() -> None:
    state = small().state_dict()
    scores = []
    for mode in MODES:
        model = create_model("mm-fas", **SMALL, switch_mode=mode).double()
        model.load_state_dict(state)
        with torch.no_grad():
            scores.append(model(**pictures(model, 1)).item())
    assert min(abs(a - b) for a, b in itertools.combinations(scores, 2)) > 1e-3


def test_only_the_colour_stream_is_updated() -> None:
    model, seen = small(), []
    for block in model.fusion.blocks:
        assert isinstance(block, FusionBlock)
        block.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    model(**pictures(model, 1))
    assert [updated for _, updated, _ in seen] == ["rgb"] * 4
    assert [sources for _, _, sources in seen][:3] == [
        ("rgb", "depth", "ir"),
        ("depth", "ir", "rgb"),
        ("ir", "rgb", "depth"),
    ]
    (first, *_), (last, *_) = seen[0], seen[-1]
    assert last["depth"] is first["depth"]
    assert last["ir"] is first["ir"]
    assert not torch.equal(last["rgb"], first["rgb"])


def test_alignment_equations_1_to_4() -> None:
    align, rgb, other = Alignment(12), features(1), features(2)
    p = random_double(align)
    got = align(torch.from_numpy(rgb), torch.from_numpy(other), torch.tensor(CLASSES))
    icl = paper.icl(rgb, other, math.exp(p["log_temperature"]))
    np.testing.assert_allclose([v.item() for v in got], [icl, paper.cm(p, "matching", rgb, other, CLASSES)], rtol=1e-9)


def test_temperature_starts_where_clips_does() -> None:
    assert Alignment(12).log_temperature.exp().item() == pytest.approx(0.07)


@pytest.mark.parametrize("seed", range(8))
def test_mining_picks_what_loops_pick(seed: int) -> None:
    rgb, other = features(seed), features(seed + 100)
    classes = [1, *np.random.default_rng(seed).integers(0, 2, len(rgb) - 2).tolist(), 0]
    similarity = torch.from_numpy(paper.similarities(rgb, other))
    picked = torch.cat(hard_partners(similarity, torch.tensor(classes))).tolist()
    assert list(zip([*range(len(rgb))] * 2, picked, strict=True)) == paper.mined(rgb, other, classes)


def test_loss_equation_9() -> None:
    alpha, beta = 0.5, 2.0
    module = small(alpha=alpha, beta=beta).training_module()
    random_double(module)
    inputs, target = pictures(module.network, len(CLASSES)), torch.tensor(CLASSES, dtype=torch.float64)
    terms = WithTerms(module, 0.0)(bona_fide=target, **inputs)
    p, rgb, ir, depth = weights(module), *(f[:, 0].detach().numpy() for f in module.network.encode(**inputs).values())
    pairs = {"depth": depth, "ir": ir}
    temperature = {n: math.exp(p[f"alignments.{n}.log_temperature"]) for n in pairs}
    icl = sum(paper.icl(rgb, other, temperature[n]) for n, other in pairs.items())
    cm = sum(paper.cm(p, f"alignments.{n}.matching", rgb, other, CLASSES) for n, other in pairs.items())
    assert list(terms) == ["bce", "icl", "cm"]
    assert terms["icl"].item() == pytest.approx(alpha * icl, rel=1e-9)
    assert terms["cm"].item() == pytest.approx(beta * cm, rel=1e-9)
    scores = module.network(**inputs).detach().numpy()
    assert terms["bce"].item() == pytest.approx(paper.balanced_bce(scores, np.array(CLASSES)), rel=1e-6)  # float32


def test_each_term_trains_what_it_should() -> None:
    module = small().training_module().double()
    terms = WithTerms(module, 0.0)(bona_fide=torch.tensor(CLASSES, dtype=torch.float64), **pictures(module.network, 7))
    for term, aligned in (("bce", False), ("icl", True), ("cm", True)):
        module.zero_grad()
        terms[term].backward(retain_graph=True)
        moved = {name for name, q in module.named_parameters() if q.grad is not None and q.grad.abs().sum() > 0}
        assert all(f"network.encoders.{m}.cls_token" in moved for m in ("rgb", "ir", "depth"))
        assert any(name.startswith(("network.fusion", "network.classifier")) for name in moved) is not aligned
        for name in ("depth", "ir"):
            assert (f"alignments.{name}.log_temperature" in moved) is (term == "icl")
            assert (f"alignments.{name}.matching.weight" in moved) is (term == "cm")


@pytest.mark.parametrize("bona_fide", [0.0, 1.0])
def test_a_batch_of_one_class_has_nothing_to_match(bona_fide: float) -> None:
    module = create_model("mm-fas", **SMALL).training_module()
    terms = WithTerms(module, 0.0)(bona_fide=torch.full((3,), bona_fide), **pictures(module.network, 3))
    assert terms["cm"].item() == 0
    assert terms["icl"].item() > 0
    assert terms["bce"].item() > 0
    sum(terms.values()).backward()
    for name, parameter in module.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        if "matching" in name:
            assert not parameter.grad.any()


def test_a_single_sample_has_nothing_to_contrast() -> None:
    module = create_model("mm-fas", **SMALL).training_module()
    terms = WithTerms(module, 0.0)(bona_fide=torch.ones(1), **pictures(module.network, 1))
    assert terms["icl"].item() == terms["cm"].item() == 0


def test_sizes_of_table_2() -> None:
    """Of networks whose three inputs have three channels each, as the paper's counts imply; ours has one in two."""
    with torch.device("meta"):
        models = {fusion: create_model("mm-fas", fusion=fusion) for fusion in ("switch", "cross", "merge")}
        encoder = millions(VisionTransformer(3, 0, (224, 224), 16, 270, 3, 6))
    classifier = millions(models["switch"].classifier)
    assert [round(n * encoder + classifier, 2) for n in (1, 2, 3)] == [2.92, 5.76, 8.60]
    channels = 2 * 2 * 16 * 16 * 270 / 1e6
    assert round(millions(models["switch"]) + channels, 2) == 15.63
    assert millions(models["switch"]) == pytest.approx(15.63, rel=0.03)
    assert millions(models["cross"]) + channels == pytest.approx(29.66, rel=0.002)
    assert millions(models["merge"]) + channels == pytest.approx(56.11, rel=0.002)


@pytest.mark.parametrize(
    ("names", "params_m"), [("rgb", 2.92), ("depth", 2.92), ("rgb depth", 5.76), ("rgb ir depth", 8.60)]
)
def test_encoders_alone_have_the_sizes_of_table_2(names: str, params_m: float) -> None:
    """Where the paper counts three channels for infrared and depth, ours has one."""
    config = {"modalities": names.split(), "fusion": "none", "alpha": 0, "beta": 0}
    with torch.device("meta"):
        model = create_model("mm-fas", **config)
    assert [m.value for m in model.input_spec.modalities] == names.split()
    channels = 2 * 16 * 16 * 270 / 1e6 * sum(name != "rgb" for name in names.split())
    assert millions(model) + channels == pytest.approx(params_m, rel=0.002)


def test_encoders_alone_are_joined_by_their_mean() -> None:
    model = small(modalities=["ir", "rgb"], fusion="none", alpha=0, beta=0)
    p, inputs = weights(model), pictures(model, 1)
    tokens = [paper.encode(p, f"encoders.{name}", x[0].numpy(), 8, 2, 3)[0] for name, x in inputs.items()]
    with torch.no_grad():
        score = model(**inputs).item()
    assert score == pytest.approx(paper.classify(p, sum(tokens) / 2), rel=1e-6)
    terms = WithTerms(model.training_module(), 0.0)(bona_fide=torch.ones(1, dtype=torch.float64), **inputs)
    assert list(terms) == ["bce"]


def test_without_mining_pairs_are_any_of_the_right_class() -> None:
    align, rgb, other = Alignment(12, mining=False), features(1), features(2)
    classes = torch.tensor(CLASSES)
    drawn = set()
    for seed in range(40):
        torch.manual_seed(seed)
        negative, positive = hard_partners(torch.rand(7, 7), classes)
        assert (classes[negative] != classes).all()
        assert (classes[positive] == classes).all()
        drawn |= {(row, *pair) for row, pair in enumerate(zip(negative.tolist(), positive.tolist(), strict=True))}
        torch.manual_seed(seed)
        again = align.double()(torch.from_numpy(rgb), torch.from_numpy(other), classes.double())
        assert again[1] > 0
    assert len(drawn) > 40, "one pair per row would be mining"
    mined = Alignment(12)
    mined.load_state_dict(align.state_dict())
    hard = mined.double()(torch.from_numpy(rgb), torch.from_numpy(other), classes.double())
    assert hard[0] == again[0]
    assert hard[1] != again[1]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_scores_do_not_depend_on_the_batch(batch: int) -> None:
    model = create_model("mm-fas", **SMALL).eval()
    inputs = pictures(model, batch)
    with torch.no_grad():
        scores = model(**inputs)
        alone = torch.cat([model(**{k: v[i : i + 1] for k, v in inputs.items()}) for i in range(batch)])
    assert scores.shape == (batch,)
    torch.testing.assert_close(scores, alone)


def test_alignment_is_no_part_of_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("mm-fas", **{**SMALL, "depth": 1, "fusion_blocks": 3})
    module = model.training_module()
    added = {name for name, _ in module.named_parameters()} - {f"network.{n}" for n, _ in model.named_parameters()}
    kinds = ("log_temperature", "matching.weight", "matching.bias")
    assert added == {f"alignments.{m}.{kind}" for m in ("depth", "ir") for kind in kinds}
    assert count(model, model.input_spec).params == sum(p.numel() for p in model.parameters())

    report = export_onnx(model, model.input_spec, "mm-fas", tmp_path / "m.onnx")
    assert report.parity.max_abs_difference < 1e-4
    assert count_onnx(tmp_path / "m.onnx")[1] == count(model, model.input_spec).macs
    exported = onnx.load(tmp_path / "m.onnx")
    to_opset(exported)  # refuses what TensorRT 10.3 cannot read
    graph = exported.graph
    assert [value.name for value in graph.output] == ["score"]
    for initializer in graph.initializer:
        assert "alignment" not in initializer.name
        assert 2 * SMALL["dim"] not in numpy_helper.to_array(initializer).shape, "the predictor reads two features"
    for batch in (1, 3):
        inputs = random_inputs(model.input_spec, batch, seed=9)
        with torch.inference_mode():
            expected = model(**{name: torch.from_numpy(x) for name, x in inputs.items()}).numpy()
        np.testing.assert_allclose(load_engine(tmp_path / "m.onnx").score(inputs), expected, atol=1e-4)


def test_a_missing_modality_is_refused_in_training_too() -> None:
    module = create_model("mm-fas", **SMALL).training_module()
    given = pictures(module.network, 2)
    del given["depth"]
    for forward in (module.network, lambda **inputs: module(torch.ones(2), **inputs)):
        with pytest.raises(EdgefasError, match="needs rgb, ir, depth, but got no depth"):
            forward(**given)


def test_a_picture_of_another_size_is_refused() -> None:
    model = create_model("mm-fas", **SMALL)
    with pytest.raises(EdgefasError, match="takes 32x32 pixels, the input has 40x32"):
        model(rgb=torch.zeros(1, 3, 40, 32), ir=torch.zeros(1, 1, 32, 32), depth=torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dim": 15}, "dim 15 must be even and a multiple of heads 3"),
        ({"heads": 5}, "dim 12 must be even and a multiple of heads 5"),
        ({"size_px": 36}, "size_px 36 must be a multiple of patch_px 8"),
        ({"switch_mode": "RRD"}, "switch_mode"),
        ({"fusion": "swich"}, "fusion"),
        ({"modalities": ["rgb", "ir"]}, "fusion and alignment need rgb, ir and depth; else set fusion: none"),
        ({"modalities": ["rgb", "rgb", "ir"]}, "modalities name one twice: rgb, rgb, ir"),
    ],
)
def test_config_that_no_network_has(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        create_model("mm-fas", **{**SMALL, **change})
