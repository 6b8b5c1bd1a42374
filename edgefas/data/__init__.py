"""Data sets of presentation attack detection: their lists as samples, their pictures read within bounds, their leaks.

`open_dataset` reads the lists of a protocol into a `SampleTable` of `Sample`s, `load` the pictures of one;
`require_sound` refuses a protocol whose splits leak. Nothing here imports torch.
"""

from edgefas.data.check import Kind, Report, check_lists, require_sound
from edgefas.data.files import check_files
from edgefas.data.reading import load, load_frames
from edgefas.data.registry import DATASETS, open_dataset
from edgefas.data.sample import DataError, Facts, Sample, Split
from edgefas.data.table import SampleTable

__all__ = [
    "DATASETS",
    "DataError",
    "Facts",
    "Kind",
    "Report",
    "Sample",
    "SampleTable",
    "Split",
    "check_files",
    "check_lists",
    "load",
    "load_frames",
    "open_dataset",
    "require_sound",
]
