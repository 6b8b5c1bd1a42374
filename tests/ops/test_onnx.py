"""Both operators exported and run in ONNX Runtime."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from edgefas.ops import bte, deform_conv2d
from edgefas.ops.onnx import OPSET, bte_function_body, onnx_translations


class Net(nn.Module):
    """A strided, rectangular, grouped deformable convolution, another without bias, and BTE."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, 2, 1)
        self.offset = nn.Conv2d(8, 2 * 2 * 15, 3, (2, 1), 1)
        self.mask = nn.Conv2d(8, 2 * 15, 3, (2, 1), 1)
        self.weight = nn.Parameter(torch.randn(6, 4, 3, 5))
        self.bias = nn.Parameter(torch.randn(6))
        self.alpha = nn.Parameter(torch.tensor([1.5]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = deform_conv2d(
            x, self.offset(x), self.mask(x).sigmoid(), self.weight, self.bias, [2, 1], [1, 2], [1, 1], 2, 2
        )
        x = bte(x, self.alpha)
        zero = torch.zeros_like(x)[:, :2]
        return deform_conv2d(x, zero, zero[:, :1] + 1, self.weight[:4, :3, :1, :1], None, [1, 1], [0, 0], [1, 1], 2, 1)


def test_export_runs_in_onnx_runtime(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(2, 1, 24, 32)
    program = torch.onnx.export(
        net, (x,), dynamo=True, opset_version=OPSET, custom_translation_table=onnx_translations(), verbose=False
    )
    assert program is not None
    model = program.model_proto
    model.functions.append(bte_function_body())
    onnx.checker.check_model(model)
    nodes = Counter((node.domain, node.op_type) for node in model.graph.node)
    assert nodes["", "DeformConv"] == 2
    assert nodes["edgefas", "EdgefasBTE"] == 1

    onnx.save(model, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(got, net(x).detach().numpy(), atol=1e-5)


def test_bte_body_keeps_half_in_range() -> None:
    """A step of 400 has a Sobel response of 1600, whose square overflows half."""

    def half(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT16, shape)

    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("EdgefasBTE", ["x", "alpha"], ["y"], domain="edgefas")],
        "bte",
        [
            onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT16, s)
            for n, s in (("x", [1, 2, 6, 6]), ("alpha", [1]))
        ],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT16, [1, 2, 6, 6])],
    )
    model = onnx.helper.make_model(
        graph,
        functions=[bte_function_body()],
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("edgefas", 1)],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.zeros((1, 2, 6, 6), np.float16)
    x[..., 3:] = 400
    alpha = np.array([0.001], np.float16)
    (got,) = session.run(None, {"x": x, "alpha": alpha})
    want = bte(torch.from_numpy(x), torch.from_numpy(alpha)).numpy()
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, want, rtol=2e-3)
    assert got[0, 0, 2, 3] < 400 * 0.9  # the attention is not saturated, so its scale is tested
