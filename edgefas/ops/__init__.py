"""Operators that PyTorch lacks, as torch custom operators: the bio-thermal enhancer and deformable convolution v2.

Importing this package registers `torch.ops.edgefas.bte` and `torch.ops.edgefas.deform_conv2d`; their ONNX forms are
in `edgefas.ops.onnx`.
"""

from edgefas.ops.bte import bte
from edgefas.ops.dcnv2 import deform_conv2d

__all__ = ["bte", "deform_conv2d"]
