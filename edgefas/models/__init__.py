"""The networks: `create_model(name, **config)`, their sizes, and their checkpoints. Needs PyTorch.

One file per family; importing this package registers all of them.
"""

from edgefas.models import (  # noqa: F401  (registers them)
    dah_fas,
    eca_fas,
    efficientnet,
    ghostnet,
    mm_fas,
    mobilenetv2,
    resnet,
    resnext,
    uadapter_fas,
    xception,
)
from edgefas.models.complexity import Complexity, count
from edgefas.models.registry import (
    ModelConfig,
    ModelEntry,
    PaperFigures,
    create_model,
    find_model,
    list_models,
    register_model,
)
from edgefas.models.weights import load_checkpoint, save_checkpoint

__all__ = [
    "Complexity",
    "ModelConfig",
    "ModelEntry",
    "PaperFigures",
    "count",
    "create_model",
    "find_model",
    "list_models",
    "load_checkpoint",
    "register_model",
    "save_checkpoint",
]
