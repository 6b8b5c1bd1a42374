"""Metrics for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_fabric.loggers import TensorBoardLogger

from edgefas.training.run_folder import EVENTS, read_metrics


@contextmanager
def tensorboard(out: Path) -> Iterator[TensorBoardLogger]:
    """Begins with what the metrics of the run say already: a kill may have come before the last of it was written."""
    for old in out.glob(EVENTS):
        old.unlink()
    board = TensorBoardLogger(root_dir=out, name="", version="")
    try:
        for row in read_metrics(out):
            log_epoch(board, row)
        yield board
    finally:
        board.finalize("")


def log_epoch(board: TensorBoardLogger, row: dict[str, Any]) -> None:
    """One line of the metrics."""
    terms = {f"terms/{name}": term for name, term in row["terms"].items()}
    board.log_metrics({name: row[name] for name in ("loss", "validation_loss", "eer")} | terms, row["epoch"])
    board.save()
