"""Bugs that the proof must catch: a proof that passes with one of these planted proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgefas.errors import CheckFailed


@dataclass(frozen=True)
class Bug:
    """`before` stands once in `file`; with `after` in its place, `step` must fail."""

    what: str
    file: str
    """Below engines/plugins."""
    before: str
    after: str
    step: str
    """Of the driver, or words of the linker's error."""


BUGS = (
    Bug(
        "stride of height and width swapped in the output's shape",
        "tensorrt/dcnv2_plugin.cpp",
        "fields_.stride[axis]",
        "fields_.stride[1 - axis]",
        "EdgefasDCNv2 getOutputShapes, configurePlugin, onShapeChange",
    ),
    Bug(
        "creators in the empty namespace",
        "tensorrt/plugin.h",
        'kNamespace = "edgefas"',
        'kNamespace = ""',
        "EdgefasBTE getCreator",
    ),
    Bug(
        "a field of unknown name is passed over",
        "tensorrt/fields.cpp",
        'return "unknown field \'" + name + "\'; fields are " + names(table);',
        "continue;",
        "EdgefasBTE createPlugin refuses bad fields by name",
    ),
    Bug(
        "a field is not serialised",
        "tensorrt/fields.cpp",
        "    fields.emplace_back(",
        '    if (with_data && std::strcmp(field.name, "padding") == 0) continue;\n    fields.emplace_back(',
        "EdgefasDCNv2 getFieldsToSerialize, createPlugin(kRUNTIME)",
    ),
    Bug(
        "kHWC8 offered for padded channels",
        "tensorrt/bte_plugin.cpp",
        "desc.dims.d[1] % 8 == 0",
        "desc.dims.d[1] % 4 == 0",
        "EdgefasBTE supportsFormatCombination",
    ),
    Bug(
        "deformable groups forgotten in the mask's channels",
        "tensorrt/shapes.cpp",
        "Dims const mask_shape{4, {batch, taps,",
        "Dims const mask_shape{4, {batch, times(weight.d[2], weight.d[3]),",
        "EdgefasDCNv2 wrong shapes are refused by name",
    ),
    Bug(
        "a failed launch reported as done",
        "tensorrt/dcnv2_plugin.cpp",
        "status == cudaSuccess ?",
        "status >= cudaSuccess ?",
        "EdgefasDCNv2 enqueue",
    ),
    Bug(
        "the logger of another major version is called",
        "tensorrt/log.cpp",
        "edgefas::major_version(finder) == NV_TENSORRT_MAJOR",
        "edgefas::major_version(finder) != 0",
        "setLoggerFinder",
    ),
    Bug(
        "the library needs a symbol of TensorRT",
        "tensorrt/log.cpp",
        "store(same ?",
        "store(same && getPluginRegistry() != nullptr ?",
        "undefined reference to `getPluginRegistry'",
    ),
)


def plant(bug: Bug, sources: Path) -> None:
    """Write the bug into a copy of the sources.

    Raises:
        CheckFailed: the text it replaces is not there exactly once any more.
    """
    file = sources / bug.file
    text = file.read_text(encoding="utf-8")
    if text.count(bug.before) != 1:
        count = text.count(bug.before)
        raise CheckFailed(
            f"the planted bug '{bug.what}' finds {bug.before!r} {count} times in {bug.file}, wanted is 1; "
            "bring BUGS in engines/plugins/proof/planted.py up to date"
        )
    file.write_text(text.replace(bug.before, bug.after), encoding="utf-8")
