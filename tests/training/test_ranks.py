"""Two processes take the steps that one takes with batches twice as large."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

STEP = """
import sys
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import nn
from edgefas.training.objective import Objective

fabric = Fabric(accelerator="cpu", devices=int(sys.argv[1]), strategy="ddp" if sys.argv[1] != "1" else "auto")
fabric.launch()
torch.manual_seed(0)

class Network(nn.Module):  # no batch norm: its statistics are of a process's own part
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, depth):
        return self.layers(depth).squeeze(1)

trained = Objective(Network(), 0.05)
optimiser = torch.optim.SGD(trained.parameters(), 0.1)
wrapped, optimiser = fabric.setup(trained, optimiser)
pictures = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
classes = torch.tensor([1.0, 0, 1, 0, 1, 0, 1, 0])
mine = slice(fabric.global_rank * 8 // fabric.world_size, (fabric.global_rank + 1) * 8 // fabric.world_size)
loss = torch.stack(list(wrapped(bona_fide=classes[mine], depth=pictures[mine]).values())).sum()
fabric.backward(loss)
if fabric.is_global_zero:
    save_file({name: p.grad.contiguous() for name, p in trained.named_parameters()}, sys.argv[2])
"""


def test_two_processes_give_the_gradients_of_one_with_the_doubled_batch(tmp_path: Path) -> None:
    """Balanced batches, as `sampler: balanced` makes them: then classes weigh the same in every process."""
    script = tmp_path / "step.py"
    script.write_text(STEP)
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    for ranks in ("1", "2"):
        command = [sys.executable, str(script), ranks, str(tmp_path / f"{ranks}.safetensors")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / f"{ranks}.safetensors") for ranks in (1, 2))
    assert set(one) == set(two)
    for name, gradient in one.items():
        assert gradient.abs().max() > 1e-3
        torch.testing.assert_close(two[name], gradient, rtol=1e-5, atol=1e-7)
