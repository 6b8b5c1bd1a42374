"""Proof of the TensorRT plugins without a GPU: the real lean runtime loads them and asks them everything but a launch.

The lean runtime of PyPI has TensorRT's plugin registry and engine loader and no builder. What a builder would hand to
a plugin (shape expressions, tensor descriptions) is imitated by `fakes.h`. No kernel runs here.
"""
