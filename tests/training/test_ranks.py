"""Two processes take the steps that one takes with batches twice as large."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edgefas.training.objective import Objective
from tests.training.test_torchrun import torchrun

STEP = """
import atexit
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from edgefas.training.ranks import launched
from tests.training.test_ranks import CLASSES, loss_of, network, pictures


def step():
    fabric = launched("32-true")
    trained = network()
    wrapped, optimiser = fabric.setup(trained, torch.optim.SGD(trained.parameters(), 0.1))
    mine = slice(fabric.global_rank * 4, fabric.global_rank * 4 + 4)
    fabric.backward(loss_of(wrapped, pictures()[mine], CLASSES[mine]))
    print(threads(), flush=True)
    if fabric.is_global_zero:
        save_file({name: p.grad.contiguous() for name, p in trained.named_parameters()}, sys.argv[1])


def threads():
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    return f"threads of gloo: {sum('gloo' in name for name in names)}"


atexit.register(lambda: print("at the end,", threads(), flush=True))  # the first registered is the last to run
step()
"""
CLASSES = torch.tensor([1.0, 0, 1, 0, 1, 0, 1, 0])


class Layers(nn.Module):
    """No batch norm: its statistics are of a process's own part."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, depth: Tensor) -> Tensor:
        given: Tensor = self.layers(depth)
        return given.squeeze(1)


def network() -> Objective:
    torch.manual_seed(0)
    return Objective(Layers(), 0.05)


def pictures() -> Tensor:
    return torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def loss_of(trained: nn.Module, depth: Tensor, bona_fide: Tensor) -> Tensor:
    return torch.stack(list(trained(bona_fide=bona_fide, depth=depth).values())).sum()


def test_two_processes_give_the_gradients_of_one_with_the_doubled_batch(tmp_path: Path) -> None:
    """Balanced batches, as `sampler: balanced` makes them: then classes weigh the same in every process."""
    script, saved = tmp_path / "step.py", tmp_path / "two.safetensors"
    script.write_text(STEP)
    done = torchrun(script, saved)
    assert done.returncode == 0, done.stderr
    assert "terminate called" not in done.stderr
    assert (done.stdout.count("at the end, threads of gloo: 0"), done.stdout.count("threads of gloo: 0")) == (2, 2)
    one, two = network(), load_file(saved)
    loss_of(one, pictures(), CLASSES).backward()
    gradients = {name: p.grad for name, p in one.named_parameters()}
    assert set(gradients) == set(two)
    for name, gradient in gradients.items():
        assert gradient is not None
        assert gradient.abs().max() > 1e-3
        torch.testing.assert_close(two[name], gradient, rtol=1e-5, atol=1e-7)
